import type {CodeTable} from './code.ts'

export const upstreamCodes = {} as const satisfies CodeTable
