import type {CodeTable} from './code.ts'

export const sigstoreCodes = {} as const satisfies CodeTable
