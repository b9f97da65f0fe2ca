/** Exit codes of rel (docs/error-codes.md). They start at 20 because Node itself uses 1 to 14. */
export const exitCodes = {
  done: 0,
  bug: 1,
  usage: 2,
  changed: 10,
  verification: 20,
  unauthorised: 21,
  gate: 22,
  notCertified: 23,
  conflict: 24,
  rolledBack: 25,
  upstreamMissing: 26,
  notReproducible: 27,
  local: 28,
  temporary: 75,
  interrupted: 130,
} as const

export type ExitName = keyof typeof exitCodes

/** What `rel explain CODE` and docs/error-codes.md say about one permanent code. */
export type CodeInfo = {
  readonly exit: ExitName
  /** What happened, in one line. */
  readonly title: string
  /** Why it happens and what rel protects by refusing. */
  readonly cause: string
  /** The command or action that unblocks. */
  readonly fix: string
}

export type CodeTable = Readonly<Record<string, CodeInfo>>
