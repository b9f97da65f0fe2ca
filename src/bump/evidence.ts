import type {GateResult} from '../gates/gate.ts'
import type {Candidate, Fact, IntegrityLevel, VerifiedAsset} from '../upstream/upstream.ts'

/** One file of the change: its unified diff is exactly what the commit does to it. */
export type FileDiff = {
  readonly path: string
  /** Line of the pin, from 1; absent for the lock file. */
  readonly line?: number
  /** Unified diff with three lines of context. */
  readonly diff: string
}

/** How a bump is taken back, and what trying it gave. */
export type RollbackPlan = {
  /** Commands for people, in order. */
  readonly commands: readonly string[]
  /** Git tree that was there before, and that the commands bring back: hex digits. */
  readonly tree: string
  /**
   * Vendored files and the SHA-256 they come back with: as locked, and once the plan was tried as
   * they came back.
   */
  readonly artifacts: readonly {readonly path: string; readonly sha256: string}[]
  /** Upstream's files of the version before: as locked, or as they were verified for the trial. */
  readonly assets: readonly OldAsset[]
  /** What the trial on a scratch work tree found; absent in a plan that was not tried yet. */
  readonly tried?: GateResult
  /** The playbook's own words. */
  readonly notes?: string
}

/** A file of upstream as it was before a change. */
export type OldAsset = {
  readonly name: string
  readonly arch: string
  readonly sha256: string
  readonly size: number
}

/** A recorded, signed exception that lets a gate pass which could not prove its point. */
export type BumpWaiver = {
  readonly gate: string
  readonly reason: string
  /** Name or key id of who signed it. */
  readonly by: string
  /** Seconds since the epoch. */
  readonly expires: number
}

/** Who signed the change off. */
export type SignOff = {
  /** Name in the trust anchor, or key id. */
  readonly by: string
  readonly keyId: string
  /** SHA-256 of the evidence that was signed, 64 lower-case hex digits. */
  readonly evidenceSha256: string
  /** Over the statement of docs/formats/playbook.md: 64 bytes in base64. */
  readonly signature: string
}

/**
 * Everything a pull request says, as data: the body is a pure function of it. Same inputs, same
 * evidence, byte for byte: no path of this machine, no time that was not asked for.
 */
export type BumpEvidence = {
  readonly item: string
  readonly title: string
  /** The version that the pin had, read from the file. */
  readonly old: string
  readonly new: string
  /** Branch that the change goes into, and the branch that it is on. */
  readonly base: string
  readonly branch: string
  /** `chore(<item>): bump <item> <old> → <new>` */
  readonly subject: string
  readonly candidate: Candidate
  readonly assets: readonly VerifiedAsset[]
  readonly facts: readonly Fact[]
  /** What was reached, and what the playbook demands. */
  readonly level: IntegrityLevel
  readonly minimum: IntegrityLevel
  readonly gates: readonly GateResult[]
  readonly diffs: readonly FileDiff[]
  readonly rollback: RollbackPlan
  readonly waivers: readonly BumpWaiver[]
  readonly signOff?: SignOff
  /** Upstream's changelog of this version: untrusted text, to be escaped. */
  readonly changelog?: string
  /** Advisories that the changelog names, such as CVE-2025-1234 and GHSA-…. */
  readonly advisories: readonly string[]
  /** Lines of the changelog that speak of breaking changes: untrusted text. */
  readonly breaking: readonly string[]
  readonly warnings: readonly string[]
}
