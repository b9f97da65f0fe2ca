import {loadPlaybooks, playbookOf} from '../bump/load-playbooks.ts'
import type {LockEntry} from '../bump/lock-file.ts'
import {openUpstream} from '../bump/open-upstream.ts'
import type {Playbook} from '../bump/playbook.ts'
import {type AuditRow, auditItems, type ItemRow, surveyItems} from '../bump/survey.ts'
import {systemTime} from '../system/clock.ts'
import {isErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {openGit} from '../system/git.ts'
import type {JsonObject} from '../system/json.ts'
import type {Outcome} from './base-command.ts'
import {upstreamWorld} from './bump-world.ts'
import {type TrustFlagValues, trustSourceFromFlags} from './trust-flags.ts'

/** `rel bump list`: every item, where its pin is, what is newest; what cannot be asked is said. */
export async function listItems({offline}: {readonly offline: boolean}): Promise<Outcome> {
  const git = await openGit(process.cwd())
  const rows = await surveyItems(git, await loadPlaybooks(git), offline ? undefined : opener())
  return {
    result: {items: rows.map(itemJson)},
    lines: rows.length === 0 ? ['There are no playbooks.'] : rows.flatMap(itemLines),
    warnings: rows.flatMap(({playbook, problem}) =>
      problem === undefined ? [] : [`${playbook.item}: ${problem.code}: ${problem.message}`],
    ),
    ...(rows.length === 0 ? {next: 'rel bump new ITEM'} : {}),
  }
}

function opener() {
  const world = upstreamWorld(process.env)
  return (playbook: Playbook, locked: LockEntry | undefined) =>
    openUpstream(playbook, world, locked)
}

function itemJson({
  playbook,
  pins,
  current,
  lock,
  latest,
  lastAudit,
  isAsked,
  problem,
}: ItemRow): JsonObject {
  return {
    item: playbook.item,
    title: playbook.title,
    kind: playbook.upstream.kind,
    current: current ?? null,
    pins: pins.map(({file, line, value}) => ({file, line, value})),
    minimum: playbook.verify.min,
    level: lock?.level ?? null,
    verified_at: lock?.verifiedAt ?? null,
    last_audit: lastAudit ?? null,
    asked: isAsked,
    latest: latest ?? null,
    problem: problem ?? null,
  }
}

function itemLines(row: ItemRow): string[] {
  const {playbook, pins, current, lock, lastAudit} = row
  const {min} = playbook.verify
  const trust =
    lock === undefined
      ? `never verified; the playbook demands ${min}`
      : `${lock.level}, verified ${day(lock.verifiedAt)}; the playbook demands ${min}`
  const stale =
    lock === undefined || current === undefined || lock.version === current
      ? ''
      : `, but the lock is of ${lock.version}`
  return [
    `${playbook.item}  ${current ?? 'pin not found'}`,
    ...pins.map(({file, line}) => `  pin       ${file}:${line}`),
    `  upstream  ${newest(row)}`,
    `  trust     ${trust}${stale}`,
    `  audit     ${lastAudit === undefined ? 'never in this clone' : `${day(lastAudit.at)}, ${lastAudit.verdict}`}`,
  ]
}

function newest({latest, isAsked, problem}: ItemRow): string {
  if (isAsked) return latest === undefined ? 'this is the newest of its line' : `${latest} is newer`
  return problem === undefined ? 'not asked' : `unknown: ${problem.code}`
}

function day(secs: number): string {
  return new Date(secs * 1000).toISOString().slice(0, 10)
}

/** `rel bump audit [ITEM]`: is every pin still what was verified; drift fails, so does not knowing. */
export async function auditPins(
  item: string | undefined,
  flags: TrustFlagValues,
): Promise<Outcome> {
  const git = await openGit(process.cwd())
  const playbooks = await loadPlaybooks(git)
  const chosen = item === undefined ? playbooks : [playbookOf(playbooks, item)]
  const rows = await auditItems(git, chosen, opener(), {
    now: systemTime(),
    trust: () => trustSourceFromFlags(flags, process.env, 'release-manager'),
  })
  const failure = failureOf(rows)
  return {
    result: {items: rows.map(auditJson)},
    lines: rows.flatMap(auditLines),
    ...(failure === undefined ? {} : {failure}),
  }
}

function auditJson({item, current, verdict, drifts, problem}: AuditRow): JsonObject {
  return {
    item,
    current: current ?? null,
    verdict,
    drifts: drifts.map((drift) => ({...drift})),
    problem: problem ?? null,
  }
}

function auditLines({item, current, verdict, drifts, problem}: AuditRow): string[] {
  if (verdict === 'unchanged') return [`✔ ${item} ${current}: as it was verified`]
  if (verdict === 'unknown') return [`! ${item}: ${problem?.code}: ${problem?.message}`]
  return drifts.map(({subject, code, seen, wanted}) => {
    return `✖ ${item}: ${code}: ${subject} is ${seen}, was ${wanted}`
  })
}

/** Drift comes first; else the reason why nothing could be said, with its own exit code. */
function failureOf(rows: readonly AuditRow[]): RelError | undefined {
  const drifted = rows.filter(({verdict}) => verdict === 'drifted').map(({item}) => item)
  if (drifted.length > 0)
    return new RelError('pin_drift', `${drifted.join(', ')} changed since the last bump`, {
      details: {items: drifted, audits: rows.map(auditJson)},
    })
  const unknown = rows.filter(({verdict}) => verdict === 'unknown')
  const [first] = unknown
  if (first?.problem === undefined) return undefined
  const {code, message} = first.problem
  const names = unknown.map(({item}) => item)
  const others = unknown.length === 1 ? '' : `; nothing is known of ${names.join(', ')}`
  const hint = code === 'pin_not_locked' ? {hint: `rel bump ${first.item} --lock`} : {}
  return new RelError(
    isErrorCode(code) ? code : 'internal_error',
    `${first.item}: ${message}${others}`,
    {...hint, details: {items: names, audits: rows.map(auditJson)}},
  )
}
