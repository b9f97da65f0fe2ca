import type {CodeTable} from './code.ts'

export const archiveCodes = {} as const satisfies CodeTable
