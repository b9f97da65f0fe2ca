import {RelError} from '../system/error.ts'
import type {Git} from '../system/git.ts'
import type {Trust} from '../trust/trust-source.ts'
import type {Drift, Upstream} from '../upstream/upstream.ts'
import {type LastAudit, readAudits, writeAudits} from './audit-log.ts'
import {isBumpSubject} from './change-text.ts'
import {LOCK_FILE, type Lock, type LockEntry, parseLock} from './lock-file.ts'
import {type CurrentPin, currentPins, currentVersion} from './plan.ts'
import type {Playbook} from './playbook.ts'
import {proofDrifts} from './proof-drifts.ts'
import {REPLAY_TRAILER} from './publish-steps.ts'
import {filesAt, headCommit} from './repository.ts'

/** Opens the upstream of a playbook; refuses what is not configured. */
export type OpenUpstream = (playbook: Playbook, locked: LockEntry | undefined) => Promise<Upstream>

/** One item as `rel bump list` shows it; what could not be asked says why. */
export type ItemRow = {
  readonly playbook: Playbook
  readonly pins: readonly CurrentPin[]
  readonly current?: string
  readonly lock?: LockEntry
  readonly latest?: string
  readonly lastAudit?: LastAudit
  /** True when upstream was asked. */
  readonly isAsked: boolean
  /** Code and message of what went wrong. */
  readonly problem?: {readonly code: string; readonly message: string}
}

/** Every item: its pin, its lock and, unless offline, the newest version of its line. */
export async function surveyItems(
  git: Git,
  playbooks: readonly Playbook[],
  open: OpenUpstream | undefined,
): Promise<readonly ItemRow[]> {
  if (playbooks.length === 0) return []
  const lock = await loadLock(git)
  const rows: ItemRow[] = []
  for (const playbook of playbooks) rows.push(await surveyItem(git, playbook, lock, open))
  return rows
}

async function surveyItem(
  git: Git,
  playbook: Playbook,
  lock: Lock,
  open: OpenUpstream | undefined,
): Promise<ItemRow> {
  const entry = lock.get(playbook.item)
  const lastAudit = readAudits(git).get(playbook.item)
  let row: ItemRow = {
    playbook,
    pins: [],
    isAsked: false,
    ...(entry === undefined ? {} : {lock: entry}),
    ...(lastAudit === undefined ? {} : {lastAudit}),
  }
  try {
    const files = await pinFiles(git, playbook)
    row = {...row, pins: currentPins(playbook, files), current: currentVersion(playbook, files)}
    if (open === undefined) return row
    const upstream = await open(playbook, entry)
    const latest = await upstream.latest(row.current ?? '')
    return {...row, isAsked: true, ...(latest === undefined ? {} : {latest: latest.version})}
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    return {...row, problem: {code: error.code, message: error.message}}
  }
}

/** The verdict over one pin. */
export type AuditRow = {
  readonly item: string
  readonly current?: string
  readonly verdict: 'unchanged' | 'drifted' | 'unknown'
  readonly drifts: readonly Drift[]
  /** Why nothing could be said: upstream did not answer, or there is no lock. */
  readonly problem?: {readonly code: string; readonly message: string}
}

/** When, and whose signatures under waivers and evidence count: asked only where there are some. */
export type AuditTerms = {readonly now: number; readonly trust: () => Promise<Trust>}

/**
 * Compares every pin with its lock and with upstream now, and asks whether what no gate could see is
 * still vouched for. A pin without a lock, and an upstream
 * that does not answer, are unknown: never unchanged.
 */
export async function auditItems(
  git: Git,
  playbooks: readonly Playbook[],
  open: OpenUpstream,
  {now, trust}: AuditTerms,
): Promise<readonly AuditRow[]> {
  const lock = await loadLock(git)
  const rows: AuditRow[] = []
  for (const playbook of playbooks)
    rows.push(await auditItem(git, playbook, lock, open, {now, trust}))
  writeAudits(git, new Map(rows.map(({item, verdict}) => [item, {at: now, verdict}])))
  return rows
}

async function auditItem(
  git: Git,
  playbook: Playbook,
  lock: Lock,
  open: OpenUpstream,
  terms: AuditTerms,
): Promise<AuditRow> {
  const {item} = playbook
  const entry = lock.get(item)
  try {
    const current = await pinnedVersion(git, playbook)
    const unlocked = {code: 'pin_not_locked', message: `${LOCK_FILE} does not know ${item}`}
    if (entry === undefined)
      return {item, current, verdict: 'unknown', drifts: [], problem: unlocked}
    if (entry.version !== current) {
      const drift = {subject: item, code: 'pin_drift', seen: current, wanted: entry.version}
      return {item, current, verdict: 'drifted', drifts: [drift]}
    }
    const drifts = [
      ...(await replayDrifts(git, playbook)),
      ...(await proofDrifts(playbook, entry, terms)),
      ...(await (await open(playbook, entry)).audit(current, entry.upstream)),
    ]
    return {item, current, verdict: drifts.length === 0 ? 'unchanged' : 'drifted', drifts}
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    const problem = {code: error.code, message: error.message}
    return {item, verdict: 'unknown', drifts: [], problem}
  }
}

/** How many commits back the bump is looked for that made the pin what it is. */
const MAX_COMMITS = 200

/** A pin that a replay moved: nothing was fetched and no gate was run for it. */
async function replayDrifts(git: Git, {item, pins}: Playbook): Promise<readonly Drift[]> {
  const files = [...new Set([...pins.map(({file}) => file), LOCK_FILE])]
  const format = `%s%x00%(trailers:key=${REPLAY_TRAILER},valueonly,separator=%x20)`
  const args = ['log', `--format=${format}`, `--max-count=${MAX_COMMITS}`, 'HEAD', '--', ...files]
  const bumps = (await git.text(args)).split('\n').map((line) => line.split('\0'))
  const [, replayed = ''] = bumps.find(([subject = '']) => isBumpSubject(subject, item)) ?? []
  if (replayed === '') return []
  return [{subject: item, code: 'bump_replayed', seen: 'a replay', wanted: 'a bump that asked'}]
}

async function pinFiles(git: Git, {pins}: Playbook) {
  return filesAt(
    git,
    await headCommit(git),
    pins.map(({file}) => file),
  )
}

/** What the lock of the current commit knows of an item. */
export async function lockedEntry(git: Git, item: string): Promise<LockEntry | undefined> {
  return (await loadLock(git)).get(item)
}

/** The lock of the current commit. Refuses with git_no_commit and lock_invalid. */
async function loadLock(git: Git): Promise<Lock> {
  const bytes = (await filesAt(git, await headCommit(git), [LOCK_FILE])).get(LOCK_FILE)
  return parseLock(bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8'))
}

/** The version that an item is pinned to in the current commit. Refuses as currentVersion does. */
export async function pinnedVersion(git: Git, playbook: Playbook): Promise<string> {
  return currentVersion(playbook, await pinFiles(git, playbook))
}

/**
 * The version that an item had before its last change on this branch: what `rel rollback` goes back
 * to. Refuses with no_previous_version.
 */
export async function previousVersion(git: Git, playbook: Playbook): Promise<string> {
  const current = await pinnedVersion(git, playbook)
  const files = [...new Set(playbook.pins.map(({file}) => file))]
  const log = await git.text(['log', '--format=%H', '--max-count=200', 'HEAD', '--', ...files])
  for (const commit of log.split('\n').filter((id) => id !== '')) {
    const version = await versionAt(git, playbook, `${commit}^`)
    if (version !== undefined && version !== current) return version
  }
  throw new RelError('no_previous_version', `${playbook.item} has been ${current} all along`, {
    hint: `rel bump ${playbook.item} NEW=VERSION --rollback`,
  })
}

/** Undefined where the pin was not there yet, or was something else. */
async function versionAt(
  git: Git,
  playbook: Playbook,
  commit: string,
): Promise<string | undefined> {
  const {exitCode} = await git.run(['rev-parse', '--verify', '--quiet', `${commit}^{commit}`])
  if (exitCode !== 0) return undefined
  try {
    const files = playbook.pins.map(({file}) => file)
    return currentVersion(playbook, await filesAt(git, commit, files))
  } catch (error) {
    if (error instanceof RelError) return undefined
    throw error
  }
}
