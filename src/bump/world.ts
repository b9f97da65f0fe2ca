import type {GateResult} from '../gates/gate.ts'
import type {Git} from '../system/git.ts'
import type {JsonObject} from '../system/json.ts'
import type {Upstream, VerifiedAsset} from '../upstream/upstream.ts'
import type {BumpEvidence, SignOff} from './evidence.ts'
import type {Playbook} from './playbook.ts'
import type {GateSpec} from './playbook-gates.ts'
import type {Waiver} from './waiver.ts'

/** What a gate may look at while it decides. */
export type GateContext = {
  readonly playbook: Playbook
  readonly old: string
  readonly new: string
  /** Every KEY=VALUE that was given. */
  readonly inputs: Readonly<Record<string, string>>
  /** A clean checkout of the change, with what was vendored in it. */
  readonly folder: string
  /** Where logs that prove a verdict are left. */
  readonly evidenceFolder: string
  readonly assets: readonly VerifiedAsset[]
  /** When the bump began, seconds since the epoch. */
  readonly now: number
  /** A signed run on hardware, where one was given: untrusted until the gate has checked it. */
  readonly hardwareEvidence?: JsonObject
}

/** A pull request that is open now. */
export type OpenedPullRequest = {
  readonly url: string
  readonly number: number
  readonly isNew: boolean
  /** What it should have and does not, such as a reviewer. */
  readonly warnings?: readonly string[]
}

/** The forge where the pull request is. */
export type PullRequests = {
  /**
   * That there is a token, that it opens the repository, and that it may write there as far as the
   * forge says: asked before anything is fetched. Nothing is changed.
   */
  checkAccess(): Promise<void>
  /** Opens the one pull request of the branch, or updates the one that is open. */
  openOrUpdate(evidence: BumpEvidence): Promise<OpenedPullRequest>
  /** Starts a workflow on a branch. */
  dispatch?(
    workflow: string,
    branch: string,
    inputs: Readonly<Record<string, string>>,
  ): Promise<void>
}

/** Everything a bump touches, handed in: the repository, the upstream, the gates, the forge. */
export type BumpWorld = {
  readonly git: Git
  readonly upstream: Upstream
  runGate(spec: GateSpec, context: GateContext): Promise<GateResult>
  /** Signs a statement as release engineer, where one was named; refuses who may not. */
  signOff?(statement: JsonObject): Promise<SignOff & {readonly envelope: JsonObject}>
  /** Signs a waiver as that engineer, and says who that is. */
  signWaiver?(waiver: Waiver): Promise<{readonly envelope: JsonObject; readonly by: string}>
  /** A signed run on hardware that was given: untrusted. */
  readonly hardwareEvidence?: JsonObject
  /** Where a forge is configured. */
  readonly pullRequests?: PullRequests
  /** Seconds since the epoch. */
  readonly now: number
  /** True when every answer comes from a recording: then nothing leaves this machine, no push either. */
  readonly isReplay?: boolean
  /** Told before each step, and after it before it is journalled. */
  onStep?(phase: 'begin' | 'end', name: string, text?: string): void
}
