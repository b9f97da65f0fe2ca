import {compareVersions} from '../../../src/bundle/version.ts'
import {
  checkGrant,
  type GrantFile,
  type GrantMemory,
  grantOver,
  type UsedGrant,
  withUsed,
} from '../../../src/device/grant.ts'
import {closedGates, higher} from '../../../src/device/state.ts'
import {RelError} from '../../../src/system/error.ts'
import type {Anchor} from '../../../src/trust/anchor.ts'

/** Something that happens to a node; `grant` and `key` are numbers of a world. */
export type Step =
  | {
      readonly op: 'update'
      readonly version: string
      readonly isGood: boolean
      readonly grant?: number
    }
  | {readonly op: 'rollback'; readonly grant?: number}
  | {readonly op: 'rotate'; readonly key: number}
  | {readonly op: 'wait'; readonly secs: number}
  /** Puts back the state files, or the floor, of so many steps ago. */
  | {readonly op: 'restore'; readonly what: 'state' | 'floor'; readonly ago: number}
  | {readonly op: 'repair'}

/** What a history plays in: signed grants, and an anchor for each rollback key. */
export type GrantWorld = {
  readonly grants: readonly GrantFile[]
  readonly anchors: readonly Anchor[]
  readonly start: number
}

type RecordModel = {
  readonly seq: number
  readonly running: string
  readonly previous: string | undefined
  readonly floor: string
}

/** How a version came to run. */
export type Arrival = 'update' | 'rollback' | 'grant' | 'repair'

/** A node without disks and bundles; what decides about grants, gates and floors is the real code. */
export class NodeModel {
  readonly #world: GrantWorld
  #now: number
  #key = 0
  #record: RecordModel = {seq: 0, running: '1.0.0', previous: undefined, floor: '1.0.0'}
  #floorFile = '1.0.0'
  #memory: GrantMemory = {used: [], forgottenUntil: 0}
  #current = '1.0.0'
  #previousLink: string | undefined
  #disk = new Set(['1.0.0'])
  readonly #past: {readonly record: RecordModel; readonly floorFile: string}[] = []
  arrival: Arrival = 'update'
  /** Nonces of grants that were acted on. */
  readonly acted: string[] = []

  constructor(world: GrantWorld) {
    this.#world = world
    this.#now = world.start
  }

  get now(): number {
    return this.#now
  }

  get key(): number {
    return this.#key
  }

  get current(): string {
    return this.#current
  }

  get floor(): string {
    return higher(this.#record.floor, this.#floorFile)
  }

  /** Does a step: the code of the refusal, why a grant did not count, or 'done'. */
  play(step: Step): string {
    this.#past.push({record: this.#record, floorFile: this.#floorFile})
    try {
      this.#act(step)
      return 'done'
    } catch (error) {
      return wordOf(error)
    }
  }

  #act(step: Step): void {
    if (step.op === 'wait') this.#now += step.secs
    else if (step.op === 'rotate') this.#key = step.key
    else if (step.op === 'repair') this.#repair()
    else if (step.op === 'rollback') this.#rollback(step.grant)
    else if (step.op === 'update') this.#update(step.version, step.isGood, step.grant)
    else {
      const then = this.#past[Math.max(0, this.#past.length - 1 - step.ago)]
      if (then !== undefined && step.what === 'state') this.#record = then.record
      else if (then !== undefined) this.#floorFile = then.floorFile
    }
  }

  /** What every act begins with. */
  #resume(): void {
    if (this.#current !== this.#record.running)
      throw new RelError('upgrade_layout_invalid', 'current leads elsewhere')
    this.#floorFile = this.floor
    this.#collect(undefined)
  }

  #collect(candidate: string | undefined): void {
    const {running, previous} = this.#record
    const kept = [this.#current, this.#previousLink, running, previous, candidate]
    this.#disk = new Set([...this.#disk].filter((version) => kept.includes(version)))
  }

  #update(version: string, isGood: boolean, grant: number | undefined): void {
    this.#resume()
    const before = this.#record
    const used = grant === undefined ? undefined : this.#checked(grant, version)
    this.#gates(version, used === undefined ? undefined : version)
    this.#disk.add(version)
    if (used !== undefined) this.#use(used)
    this.#record = {...before, seq: before.seq + 1, floor: this.floor}
    this.#collect(version)
    const over = grantOver(this.#memory, {version, digest: version})
    const isOver = over?.from === before.running && this.#now <= over.notAfter
    this.#gates(version, isOver ? version : undefined)
    this.#previousLink = before.running
    if (!isGood) {
      this.#record = {...this.#record, seq: before.seq + 4}
      throw new RelError('upgrade_rolled_back', 'not healthy')
    }
    const floor = higher(this.floor, version)
    this.#record = {seq: before.seq + 3, running: version, previous: before.running, floor}
    this.#floorFile = floor
    this.#current = version
    this.arrival = isOver ? 'grant' : 'update'
    this.#collect(undefined)
  }

  #gates(version: string, granted: string | undefined): void {
    const [first] = closedGates({
      enabled: true,
      allowedChannels: ['stable'],
      minVersion: undefined,
      floor: this.floor,
      running: this.#record.running,
      failed: [],
      candidate: {version, digest: version, channel: 'stable', minFrom: undefined},
      isRetry: true,
      granted,
    })
    if (first !== undefined) throw new RelError(first.code, first.message)
  }

  #rollback(grant: number | undefined): void {
    this.#resume()
    const {previous, seq} = this.#record
    if (previous === undefined) throw new RelError('upgrade_no_previous', 'none')
    const used = grant === undefined ? undefined : this.#checked(grant, previous)
    if (!this.#disk.has(previous)) throw new RelError('upgrade_rollback_failed', 'it is gone')
    if (used !== undefined) this.#use(used)
    this.#record = {seq: seq + 2, running: previous, previous: undefined, floor: this.floor}
    this.#current = previous
    this.arrival = used === undefined ? 'rollback' : 'grant'
  }

  #checked(at: number, to: string): UsedGrant & {readonly seq: number} {
    const {anchors, grants} = this.#world
    const [file, anchor] = [grants[at], anchors[this.#key]]
    if (file === undefined || anchor === undefined) throw new Error('no such grant or key')
    const facts = {product: 'app', node: 'berlin-7', from: this.#record.running, to}
    checkOnce(file, at, anchor, this.#key, {...facts, channel: 'stable', now: this.#now})
    const {nonce, from, notAfter} = file.grant
    const used = {nonce, from, to, digest: to, notAfter, seq: this.#record.seq}
    withUsed(this.#memory, used, this.#now)
    return used
  }

  #use(used: UsedGrant & {readonly seq: number}): void {
    const after = withUsed(this.#memory, used, this.#now)
    this.#memory = {...after, used: after.used.map(({seq: _, ...it}) => it)}
    this.acted.push(used.nonce)
  }

  #repair(): void {
    const floor = higher(this.floor, this.#current)
    this.#record = {seq: this.#record.seq + 1, running: this.#current, previous: undefined, floor}
    this.#floorFile = floor
  }
}

/** A refusal in one word; throws what is none. */
export function wordOf(error: unknown): string {
  if (!(error instanceof RelError)) throw error
  const {code, details} = error
  return code === 'upgrade_grant_invalid' ? String(details?.cause_code) : code
}

const verdicts = new Map<string, RelError | undefined>()

/** checkGrant is pure, so that the signatures of one question are checked once. */
function checkOnce(
  file: GrantFile,
  at: number,
  anchor: Anchor,
  key: number,
  facts: Parameters<typeof checkGrant>[2],
): void {
  const question = JSON.stringify([at, key, facts])
  if (!verdicts.has(question)) {
    try {
      checkGrant(file, anchor, facts)
      verdicts.set(question, undefined)
    } catch (error) {
      if (!(error instanceof RelError)) throw error
      verdicts.set(question, error)
    }
  }
  const refusal = verdicts.get(question)
  if (refusal !== undefined) throw refusal
}

/** Whether a version is older than another. */
export function isOlder(version: string, than: string): boolean {
  return compareVersions(version, than) < 0
}
