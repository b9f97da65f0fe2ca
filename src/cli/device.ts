import {apply, checkApply, checkRollback, rollback} from '../device/apply.ts'
import {
  type Device,
  type DeviceEvent,
  readConfig,
  realRoot,
  realWorld,
  whileLocked,
} from '../device/device.ts'
import type {GrantFile} from '../device/grant.ts'
import type {Records} from '../device/layout.ts'
import {type Slot, slotJson} from '../device/record.ts'
import {notStarted, type Rested} from '../device/resume.ts'
import {rememberedStale} from '../device/seen.ts'
import {checkSource, stage} from '../device/stage.ts'
import {transitions} from '../device/state.ts'
import {type Status, statusJson, statusOf, verifyDevice} from '../device/status.ts'
import type {Takeover} from '../device/takeover-plan.ts'
import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {shellWord} from '../system/shell-word.ts'
import {timeText} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import {printMessages} from './output.ts'
import type {ProgressMode} from './progress.ts'

type ChangeFlags = {readonly 'dry-run': boolean; readonly events: boolean}
type UpdateFlags = ChangeFlags & {readonly retry: boolean; readonly unattended: boolean}

type GrantFlags = {readonly grant?: string | undefined}

type StageFlags = UpdateFlags & GrantFlags & ProgressMode & {readonly to?: string | undefined}

async function grantOf({grant: path}: GrantFlags): Promise<{readonly grant?: GrantFile}> {
  if (path === undefined) return {}
  const {readGrant} = await import('../device/grant-memory.ts')
  return {grant: readGrant(path)}
}

/** One line of JSON on standard error, as journald and log shippers take it. */
function printEvent(event: DeviceEvent): void {
  process.stderr.write(`${JSON.stringify({...event, time: new Date().toISOString()})}\n`)
}

/** A node as it is, with the world around it. Refuses as readConfig does. */
export function openDevice(path: string, flags?: ChangeFlags, stop?: AbortSignal): Device {
  const root = realRoot(path)
  const config = readConfig(root)
  const onEvent = flags?.events === true ? printEvent : () => undefined
  return {root, config, world: realWorld(root, config, onEvent, stop)}
}

/** `rel device status`: reads and changes nothing. */
export function deviceStatus(path: string, flags: {readonly explain: boolean}): Outcome {
  const device = openDevice(path)
  const status = statusOf(device)
  const stale = rememberedStale(device)
  const table = transitions.map(({from, to, when, promise}) => ({from, to, when, promise}))
  return {
    result: {
      ...statusJson(status),
      ...(stale === undefined ? {} : {stale_since: stale}),
      ...(flags.explain ? {transitions: table} : {}),
    },
    lines: [
      ...statusLines(status),
      ...(stale === undefined ? [] : [`! the source is stale since ${timeText(stale)}`]),
      ...(flags.explain ? ['', ...transitions.map(transitionLine)] : []),
    ],
  }
}

function transitionLine({from, to, when, promise}: (typeof transitions)[number]): string {
  return `${from} -> ${to}: ${when}; then ${promise}`
}

function statusLines({state, record, floor, belowFloorBy, foreign}: Status): string[] {
  const {running, previous, candidate, failed} = record
  return [
    `${state}: ${running.version} runs, floor ${floor}`,
    ...(candidate === undefined ? [] : [`candidate ${candidate.version}`]),
    ...(previous === undefined ? [] : [`rel device rollback goes back to ${previous.version}`]),
    ...(belowFloorBy === undefined
      ? []
      : [`! ${running.version} is below the floor, as a ${belowFloorBy} has left it`]),
    ...failed.map(({version}) => `! ${version} was taken back here before`),
    ...foreign.map((name) => `! versions/${name} is not of rel`),
  ]
}

/** `rel device verify`: that what runs is exactly as signed. */
export async function deviceVerify(path: string): Promise<Outcome> {
  const result = await verifyDevice(openDevice(path))
  const {version} = result.running as JsonObject
  const files = counted(Number(result.files), 'file')
  return {result, lines: [`✔ ${String(version)}: ${files}, exactly as signed`]}
}

/** `rel device stage`: verified and durable in versions/, not running yet; from the source without a bundle. */
export async function deviceStage(
  path: string,
  source: string | undefined,
  flags: StageFlags,
): Promise<Outcome> {
  const device = openDevice(path, flags)
  const {retry: isRetry, unattended: isUnattended} = flags
  const options = {isRetry, isUnattended, ...(await grantOf(flags))}
  const isDryRun = flags['dry-run']
  if (source === undefined) {
    const {stageFromSource} = await import('./device-source.ts')
    return stageFromSource(path, device, {...options, isDryRun, version: flags.to}, flags)
  }
  if (flags.to !== undefined)
    throw new RelError('usage_invalid', '--to is for the source of the node, not for a bundle')
  if (isDryRun) {
    const {slot} = await checkSource(device, source, options)
    return dryOutcome('stage', slot)
  }
  const {record} = await whileLocked(device.root, async () => {
    const staged = await stage(device, source, options)
    const {rememberTimes} = await import('../device/staged-time.ts')
    rememberTimes(device)
    return staged
  })
  return stagedOutcome(path, device, record.candidate?.version, isRetry)
}

/** What a command says that has staged a version. */
export function stagedOutcome(
  path: string,
  device: Device,
  version: string | undefined,
  isRetry: boolean,
): Outcome {
  // a version that was taken back is asked about again before it runs
  return {
    result: {...statusJson(statusOf(device)), dry_run: false},
    lines: [`✔ staged ${version}, verified and on disk`],
    next: `rel device apply ${shellWord(path)}${isRetry ? ' --retry' : ''}`,
  }
}

/** `rel device apply`: ends with the new version healthy, or with the old one. */
export async function deviceApply(path: string, flags: UpdateFlags): Promise<Outcome> {
  const device = openDevice(path, flags)
  const options = {isRetry: flags.retry, isUnattended: flags.unattended}
  if (flags['dry-run']) return dryOutcome('apply', (await checkApply(device, options)).slot)
  const records = await whileLocked(device.root, () => apply(device, options))
  return changedOutcome(device, records, `rel device rollback ${shellWord(path)}`)
}

/** `rel device rollback`: the version before the last commit. */
export async function deviceRollback(
  path: string,
  flags: ChangeFlags & GrantFlags & ProgressMode,
): Promise<Outcome> {
  const device = openDevice(path, flags)
  const {grant} = await grantOf(flags)
  if (flags['dry-run']) return dryOutcome('go back to', await checkRollback(device, grant))
  const rested =
    grant === undefined
      ? await operatorGoesBack(device, flags)
      : await whileLocked(device.root, () => rollback(device, grant))
  const {problem, record} = rested
  const warnings = problem === undefined ? [] : [notStarted(record.running, problem)]
  return {...changedOutcome(device, rested), warnings}
}

async function operatorGoesBack(device: Device, {json, quiet}: ProgressMode): Promise<Rested> {
  const {goBack} = await import('../device/go-back.ts')
  return goBack(device, () => {
    if (json !== true && !quiet)
      printMessages(['Another process waits for health: it is asked to go back …'])
  })
}

function dryOutcome(verb: string, slot: Slot): Outcome {
  return {
    result: {dry_run: true, candidate: slotJson(slot)},
    lines: [`✔ would ${verb} ${slot.version}`],
  }
}

function changedOutcome(device: Device, {record, floor}: Records, undo?: string): Outcome {
  return {
    result: {...statusJson(statusOf(device)), dry_run: false},
    lines: [`✔ ${record.running.version} runs, floor ${floor}`],
    ...(undo === undefined ? {} : {undo}),
  }
}

export type InitFlags = ChangeFlags & {
  readonly repair: boolean
  readonly adopt: boolean
  readonly config?: string | undefined
  readonly trust?: string | undefined
  readonly bundle?: string | undefined
}

/** `rel device init`: the first installation, or the records of one that has lost them. */
export async function deviceInit(path: string, flags: InitFlags): Promise<Outcome> {
  if (flags.repair) return deviceRepair(path, flags)
  if (flags.adopt) return deviceAdopt(path, flags)
  const {config: configPath, trust, bundle} = flags
  if (configPath === undefined || trust === undefined || bundle === undefined)
    throw new RelError('input_required', '--config, --trust and --bundle are needed', {
      hint: 'rel device init --help',
    })
  const {install, makeRoot, readConfigFile} = await import('../device/init.ts')
  const {config, configText} = readConfigFile(configPath)
  if (flags['dry-run']) return dryOutcome('install', await checkBundle(config, trust, bundle))
  makeRoot(path)
  const root = realRoot(path)
  const onEvent = flags.events ? printEvent : () => undefined
  const device = {root, config, world: realWorld(root, config, onEvent)}
  const slot = await install(device, {configText, anchorPath: trust, source: bundle})
  return {
    result: {...statusJson(statusOf(device)), dry_run: false},
    lines: [`✔ ${slot.version} is installed, ${startOf(config)}`],
    undo: `rm -r ${shellWord(path)}`,
  }
}

function startOf({profile}: Device['config']): string {
  return profile.kind === 'tree' ? 'current leads to it' : `as ${profile.path}`
}

async function checkBundle(config: Device['config'], trust: string, bundle: string): Promise<Slot> {
  const {checkFirst} = await import('../device/init.ts')
  return checkFirst(config, trust, bundle, Math.floor(Date.now() / 1000))
}

async function deviceAdopt(path: string, flags: InitFlags): Promise<Outcome> {
  const {config: configPath, trust: anchorPath} = flags
  if (configPath === undefined || anchorPath === undefined)
    throw new RelError('input_required', '--config and --trust are needed', {
      hint: 'rel device init --help',
    })
  const {readConfigFile} = await import('../device/init.ts')
  const {adopt, checkTakeover} = await import('../device/takeover.ts')
  const {takeoverJson, takeoverLines} = await import('../device/takeover-plan.ts')
  const {config, configText} = readConfigFile(configPath)
  const root = realRoot(path)
  const now = Math.floor(Date.now() / 1000)
  const plan = await checkTakeover(root, config, {configText, anchorPath}, now)
  const steps = {plan: takeoverJson(plan)}
  if (flags['dry-run'])
    return {
      result: {dry_run: true, candidate: slotJson(plan.running), ...steps},
      lines: takeoverLines(plan),
    }
  const world = realWorld(root, config, flags.events ? printEvent : () => undefined)
  await adopt({root, config, world}, plan, anchorPath)
  const device = openDevice(path)
  return {
    result: {...statusJson(statusOf(device)), dry_run: false, ...steps},
    lines: [`✔ ${plan.running.version} is taken over, and nothing was restarted`],
    warnings: plan.leaves.map((name) => `start the program again, then remove ${name}`),
    undo: undoOf(path, plan),
  }
}

/** What leads back to the other updater. */
function undoOf(path: string, {undo, keeps}: Takeover): string {
  const at = (name: string) => shellWord(`${path}/${name}`)
  return [
    `ln -sfn ${shellWord(undo.current)} ${at('current')}`,
    ...(undo.previous === undefined
      ? []
      : [`ln -sfn ${shellWord(undo.previous)} ${at('previous')}`]),
    `rm -r ${['.rel', 'device.json', 'trust_anchor.json'].map(at).join(' ')}`,
    ...keeps.map((name) => `mv ${at(`${name}.before-rel`)} ${at(name)}`),
  ].join(' && ')
}

async function deviceRepair(path: string, flags: InitFlags): Promise<Outcome> {
  const device = openDevice(path, flags)
  if (flags['dry-run'])
    throw new RelError('usage_invalid', '--dry-run is not for --repair', {
      hint: 'rel device verify shows what is wrong.',
    })
  const {repair} = await import('../device/repair.ts')
  const {slot, isMoved, isFailuresLost} = await whileLocked(device.root, () => repair(device))
  const moved = `nothing that verifies ran: ${slot.version} is put back, start the program again`
  return {
    result: {...statusJson(statusOf(device)), dry_run: false},
    lines: [`✔ the records are rebuilt: ${slot.version} runs`],
    warnings: [
      'the version before is forgotten: there is no way back before the next update',
      ...(isFailuresLost ? ['versions that were taken back here are forgotten'] : []),
      ...(isMoved ? [moved] : []),
    ],
  }
}
