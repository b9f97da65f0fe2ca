import type {CodeTable} from './code.ts'

export const bundleCodes = {} as const satisfies CodeTable
