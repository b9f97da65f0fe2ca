import type {ErrorCode} from '../system/codes.ts'

/** The proof that a gate leaves behind: a log in the evidence folder, named in the pull request. */
export type GateLog = {
  readonly path: string
  /** SHA-256 of the log, 64 lower-case hex digits. */
  readonly sha256: string
}

/**
 * What a gate decided. Only 'passed' lets a change through; a tool that is missing makes
 * 'unavailable', never a pass; 'needs_evidence' is for what no gate here can prove (a GPU firmware
 * in QEMU) and asks for a hardware evidence item or a signed waiver.
 */
export type GateResult = {
  /** The name in the playbook, such as "boot-smoke arm64". */
  readonly gate: string
  readonly verdict: 'passed' | 'refused' | 'unavailable' | 'needs_evidence'
  /** Why not, for every verdict but 'passed'. */
  readonly code?: ErrorCode
  /** One line for people: what was seen and wanted. */
  readonly summary: string
  /** What the gate does not prove, printed into the report word by word. */
  readonly caveats: readonly string[]
  readonly logs: readonly GateLog[]
}
