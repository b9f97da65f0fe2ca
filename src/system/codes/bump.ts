import type {CodeTable} from './code.ts'

export const bumpCodes = {} as const satisfies CodeTable
