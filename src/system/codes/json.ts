import type {CodeTable} from './code.ts'

export const jsonCodes = {} as const satisfies CodeTable
