import type {CodeTable} from './code.ts'

export const gatesCodes = {} as const satisfies CodeTable
