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

/** What a gate may use of the machine; nothing else is taken from the environment. */
export type GateWorld = {
  /** Folders to look programs up in, as in $PATH; also the PATH of what is run. */
  readonly path: string
  /** Folder for the logs; made when it does not exist. */
  readonly evidence: string
  /** Folder for private temporary files, such as os.tmpdir(). */
  readonly scratch: string
  /** Called with one line about what happens now. */
  readonly report?: (text: string) => void
}

/** Why a gate did not pass. */
export type Refusal = {readonly code: ErrorCode; readonly summary: string}

type Extras = {readonly caveats?: readonly string[]; readonly logs?: readonly GateLog[]}

export function passed(gate: string, summary: string, extras: Extras = {}): GateResult {
  return {gate, verdict: 'passed', summary, caveats: [], logs: [], ...extras}
}

export function refused(gate: string, {code, summary}: Refusal, extras: Extras = {}): GateResult {
  return {gate, verdict: 'refused', code, summary, caveats: [], logs: [], ...extras}
}

/** A gate that could not be run here: gate_unavailable. */
export function unavailable(gate: string, summary: string): GateResult {
  return {
    gate,
    verdict: 'unavailable',
    code: 'gate_unavailable',
    summary,
    caveats: [],
    logs: [],
  }
}
