import type {CodeTable} from './code.ts'

export const trustCodes = {} as const satisfies CodeTable
