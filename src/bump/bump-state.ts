import type {GateResult} from '../gates/gate.ts'
import type {JsonObject} from '../system/json.ts'
import type {Candidate, VerifiedVersion} from '../upstream/upstream.ts'
import type {Assignments} from './assignments.ts'
import type {RollbackPlan, SignOff} from './evidence.ts'
import type {LockEntry} from './lock-file.ts'
import type {BumpOptions} from './plan.ts'
import type {Base} from './repository.ts'

/** What was asked for. */
export type BumpRequest = {
  readonly item: string
  readonly assignments: Assignments
  readonly options: BumpOptions & {
    /** Push and open a pull request, where there is a remote and a forge. */
    readonly push: boolean
    /** Reasons by name of the gate that could not prove its point; the sign-off covers them. */
    readonly waivers: Readonly<Record<string, string>>
  }
}

/** All that a bump knows so far; the journal is this, so that another process can go on with it. */
export type BumpState = BumpRequest & {
  /** Seconds since the epoch at which this run began. */
  readonly started: number
  /** Dates of commit, lock and waivers: those of an earlier run of the same bump, else `started`. */
  readonly madeAt: number
  /** Commit of that earlier run. */
  readonly earlier?: string
  readonly base: Base
  /** True when what is known comes from a recording: it must not be published as if it were seen. */
  readonly isReplay?: boolean
  /** SHA-256 of the playbook as it was read. */
  readonly playbookSha256: string
  /** Name of the remote that the branch goes to. */
  readonly remote: string
  readonly old: string
  /** Names of the steps that are over, in order. */
  readonly done: readonly string[]
  readonly gates: readonly GateResult[]
  readonly warnings: readonly string[]
  readonly artifacts: LockEntry['artifacts']
  /** Signed for gates that could not prove their point, with who signed. */
  readonly waivers?: readonly {readonly envelope: JsonObject; readonly by: string}[]
  /** A signed run on hardware, as it was given. */
  readonly hardwareEvidence?: JsonObject
  readonly candidate?: Candidate
  readonly verified?: VerifiedVersion
  /** Tree of the change, hex digits. */
  readonly tree?: string
  readonly rollback?: RollbackPlan
  readonly signOff?: SignOff
  readonly commit?: string
  readonly branch?: string
  /** What the branch was at before, when it was there. */
  readonly branchBefore?: string
  readonly tag?: string
  readonly isPushed?: boolean
  readonly pullRequest?: {readonly url: string; readonly number: number; readonly isNew: boolean}
}
