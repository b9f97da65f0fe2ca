/** One line that is wrong on purpose, and the tests of which one must turn red. */
export type Mutant = {
  /** Below src/. */
  readonly file: string
  /** Text that occurs once in it. */
  readonly from: string
  readonly to: string
  /** What would be wrong then. */
  readonly means: string
  /** Below test/, without .test.ts, the cheap ones first. */
  readonly tests: readonly string[]
  /** Why no test can tell the difference, for one that is no fault. */
  readonly equivalent?: string
}

type Fault = readonly [means: string, from: string, to: string, equivalent?: string]

/** Faults of one file that the same tests must see. */
export function faults(file: string, tests: readonly string[], list: readonly Fault[]): Mutant[] {
  return list.map(([means, from, to, equivalent]) => ({
    file,
    tests,
    means,
    from,
    to,
    ...(equivalent === undefined ? {} : {equivalent}),
  }))
}
