import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {
  type Candidate,
  type IntegrityLevel,
  integrityLevels,
  type VerifiedVersion,
} from '../upstream/upstream.ts'
import type {Assignments} from './assignments.ts'
import {branchOf, subjectOf, tagOf} from './change-text.ts'
import type {FileDiff} from './evidence.ts'
import {LOCK_FILE, type Lock, type LockEntry, parseLock, withLockEntry} from './lock-file.ts'
import {editPin} from './pins/edit-pin.ts'
import {findPin, pinText} from './pins/find-pin.ts'
import {unifiedDiff} from './pins/unified-diff.ts'
import type {Playbook} from './playbook.ts'

/** The files of a commit by path; absent ones are not there. */
export type Files = ReadonlyMap<string, Uint8Array>

export type BumpOptions = {
  /** Going to a lower version was asked for. */
  readonly rollback: boolean
  /** The change is critical to the platform (a CVE, a removal upstream). */
  readonly critical: boolean
  /** The pin stays; what it has is verified and put into the lock. */
  readonly lockOnly?: boolean
}

/** The pins of an item as the files have them: what is current is read there, never from the lock. */
export type CurrentPin = {readonly file: string; readonly line: number; readonly value: string}

/** The files of a change, its names and its diff. */
export type BumpPlan = {
  readonly item: string
  readonly old: string
  readonly new: string
  readonly subject: string
  readonly branch: string
  readonly tag?: string
  /** New content by path. */
  readonly files: Files
  readonly diffs: readonly FileDiff[]
  /** The lock's entry before, where there was one. */
  readonly previous?: LockEntry
}

/** Every pin of a playbook. Refuses as findPin does, and with pin_missing for an absent file. */
export function currentPins(playbook: Playbook, files: Files): readonly CurrentPin[] {
  return playbook.pins.map((spec) => {
    const bytes = files.get(spec.file)
    if (bytes === undefined)
      throw new RelError('pin_missing', `${spec.file}, which holds ${pinText(spec)}, is not there`)
    const {line, value} = findPin(bytes, spec)
    return {file: spec.file, line, value}
  })
}

/** The version that an item is pinned to. Refuses as currentPins does, and with pins_disagree. */
export function currentVersion(playbook: Playbook, files: Files): string {
  const pins = currentPins(playbook, files)
  const versions = pins.filter((_, index) => playbook.pins[index]?.input === 'NEW')
  const [first] = versions
  if (first === undefined)
    throw new RelError('playbook_invalid', `no pin of ${playbook.item} takes NEW`)
  const other = versions.find(({value}) => value !== first.value)
  if (other !== undefined)
    throw new RelError(
      'pins_disagree',
      `${first.file} line ${first.line} says ${first.value}, ${other.file} line ${other.line} says ${other.value}`,
    )
  return first.value
}

/**
 * Whether a version may be moved to from another. Refuses with version_same, and with
 * downgrade_refused unless a rollback was asked for.
 */
export function checkMove(
  move: {readonly item: string; readonly old: string; readonly new: string},
  order: number,
  {rollback}: BumpOptions,
): void {
  const {item, old, new: next} = move
  if (old === next)
    throw new RelError('version_same', `${item} is at ${old} already`, {
      hint: `rel bump audit ${item} checks it again; rel bump ${item} --lock locks it where nobody did.`,
    })
  if (order >= 0 || rollback) return
  throw new RelError('downgrade_refused', `${next} is older than ${old}, which ${item} is at`, {
    hint: `rel rollback ${item}, or add --rollback to go back on purpose.`,
  })
}

/**
 * Whether the pinned version may be locked as it is. Refuses with usage_invalid another version, and
 * with version_same one that is locked, unless what stands for a run on hardware is renewed.
 */
export function checkLockOnly(
  {item, old, new: next}: {readonly item: string; readonly old: string; readonly new: string},
  locked: LockEntry | undefined,
  isRenewal: boolean,
): void {
  if (old !== next)
    throw new RelError('usage_invalid', `--lock locks ${old}, which ${item} is at, and no other`, {
      hint: `rel bump ${item} --lock, or rel bump ${item} NEW=${next}`,
    })
  if (locked?.version === old && !isRenewal)
    throw new RelError('version_same', `${LOCK_FILE} has ${item} ${old} already`, {
      hint: `rel bump audit ${item}`,
    })
}

/**
 * Whether a candidate has been public long enough. Refuses with version_too_young; a date that
 * nobody knows is as young as can be.
 */
export function checkAge({verify}: Playbook, candidate: Candidate, now: number): void {
  const hours = verify.min_age_hours ?? 0
  if (hours === 0) return
  const {publishedAt, version} = candidate
  if (publishedAt === undefined)
    throw new RelError('version_too_young', `nobody says when ${version} was published`)
  const ready = publishedAt + hours * 3600
  if (now >= ready) return
  const when = new Date(ready * 1000).toISOString()
  throw new RelError('version_too_young', `${version} is younger than ${hours} h, until ${when}`, {
    details: {ready_at: ready},
  })
}

/** Fails closed should an upstream hand out less than it was asked for. Refuses with integrity_too_low. */
export function checkLevel({item, verify}: Playbook, {level}: VerifiedVersion): void {
  if (rankOf(level) >= rankOf(verify.min)) return
  throw new RelError(
    'integrity_too_low',
    `${item} is verified to ${level}, ${verify.min} is demanded`,
    {
      details: {had: level, needed: verify.min},
    },
  )
}

function rankOf(level: IntegrityLevel): number {
  return integrityLevels.indexOf(level)
}

export type PlanFacts = {
  readonly playbook: Playbook
  readonly assignments: Assignments
  readonly options: BumpOptions
  /** Files of the commit that the bump starts from: those of the pins and the lock. */
  readonly files: Files
  readonly verified: VerifiedVersion
  readonly now: number
  /** Digests of what was vendored, once it was. */
  readonly artifacts: LockEntry['artifacts']
  /** Signed proofs of what no gate could see, as they go into the lock. */
  readonly proofs?: Pick<LockEntry, 'waivers' | 'hardwareEvidence'>
}

/** What the change is, byte by byte. Refuses as currentVersion, editPin and parseLock do. */
export function planBump(facts: PlanFacts): BumpPlan {
  const {playbook, assignments, options, files} = facts
  const move = {item: playbook.item, old: currentVersion(playbook, files), new: assignments.NEW}
  const edited = editPins(playbook, assignments, files)
  const lock = lockedFile(facts)
  const tag = tagOf(playbook, move, options.critical)
  const previous = lock.before.get(playbook.item)
  return {
    ...move,
    subject: subjectOf(move),
    branch: branchOf(playbook, move),
    ...(tag === undefined ? {} : {tag}),
    files: new Map([...edited.files, [LOCK_FILE, new TextEncoder().encode(lock.text)]]),
    diffs: [...edited.diffs, lock.diff],
    ...(previous === undefined ? {} : {previous}),
  }
}

function editPins(playbook: Playbook, assignments: Assignments, files: Files) {
  const edited = new Map<string, Uint8Array>()
  const lines = new Map<string, number>()
  for (const spec of playbook.pins) {
    const value = assignments[spec.input]
    const bytes = edited.get(spec.file) ?? files.get(spec.file)
    if (value === undefined || bytes === undefined) continue
    const result = editPin(bytes, spec, value)
    edited.set(spec.file, result.bytes)
    lines.set(spec.file, lines.get(spec.file) ?? result.after.line)
  }
  const diffs = [...edited]
    .map(([path, bytes]) => ({
      path,
      line: lines.get(path) ?? 1,
      diff: unifiedDiff(path, textOf(files.get(path)), textOf(bytes) ?? ''),
    }))
    .filter(({diff}) => diff !== '')
  return {files: edited, diffs}
}

function lockedFile(facts: PlanFacts): {
  before: Lock
  text: string
  diff: FileDiff
} {
  const {playbook, assignments, files, verified, now, artifacts, proofs} = facts
  const text = textOf(files.get(LOCK_FILE))
  const before = parseLock(text)
  const entry: LockEntry = {
    version: assignments.NEW,
    level: verified.level,
    verifiedAt: now,
    artifacts,
    upstream: verified.lock,
    ...proofs,
  }
  const after = withLockEntry(before, playbook.item, entry)
  return {before, text: after, diff: {path: LOCK_FILE, diff: unifiedDiff(LOCK_FILE, text, after)}}
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : new TextDecoder('utf-8', {ignoreBOM: true}).decode(bytes)
}

/**
 * That a change moves no pin of another item: their smoke tests differ, so they go one by one.
 * `before` is what the base has on the remote, so that an unpushed bump counts too. Refuses with
 * second_pin. A playbook whose pin cannot be read says nothing here: rel bump audit tells.
 */
export function checkOnePin(others: readonly Playbook[], before: Files, after: Files): void {
  for (const other of others) {
    const was = versionOrNone(other, before)
    const is = versionOrNone(other, after)
    if (was !== undefined && is !== undefined && was !== is)
      throw new RelError('second_pin', `the change also moves ${other.item} from ${was} to ${is}`, {
        hint: `Bump ${other.item} in a change of its own.`,
        details: {item: other.item, was, is},
      })
  }
}

function versionOrNone(playbook: Playbook, files: Files): string | undefined {
  try {
    return currentPins(playbook, files)
      .map(({value}) => value)
      .join(' ')
  } catch (error) {
    if (error instanceof RelError) return undefined
    throw error
  }
}

/** The facts of a bump that a release engineer signs, before anything is committed. */
export function signOffStatement(plan: BumpPlan, evidenceSha256: string): JsonObject {
  return {item: plan.item, old: plan.old, new: plan.new, evidence_sha256: evidenceSha256}
}
