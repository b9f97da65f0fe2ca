import {randomBytes} from 'node:crypto'
import {lstatSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {licenseHeader} from '../release/license-file.ts'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {entriesIn, statIfThere} from '../system/files.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonObject} from '../system/json.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import {type Device, recordsOf, tell} from './device.ts'
import {ask} from './device-http.ts'
import {paths, settle, writing} from './layout.ts'
import {licenseOf} from './license-gate.ts'
import type {DeviceRecord} from './record.ts'
import {readSealed, writeSealed} from './sealed-file.ts'
import {statementOf} from './statement.ts'

/** A result as a panel takes it (POST /v1/report). */
type Result = {readonly code: string; readonly version: string; readonly phase: string}

/** A panel that is away for long gets what matters most: the newest. */
const MAX_WAITING = 64
const MAX_ANSWER_BYTES = 64 * 1024
const DAY = 86_400

/** What the record has told already. */
type Reported = {
  readonly running: string
  readonly failed: readonly string[]
  /** Of this node alone: two nodes of one licence do not send the same report. */
  readonly salt: string
}

/**
 * Puts into the outbox what the record says and was not told yet, whoever has done it: nothing is
 * lost between the act and the report, for the record is the report until it is told.
 */
export function queueResults(device: Device): void {
  const {record} = recordsOf(device)
  const before = loadReported(device.root)
  const now: Reported = {
    running: record.running.digest,
    failed: record.failed.map(({digest}) => digest),
    salt: before?.salt || randomBytes(16).toString('hex'),
  }
  if (before !== undefined && canonicalJson(before) === canonicalJson(now)) return
  // else a power cut could take back what is told: the record, or the folder that the reports are in
  settle(device.world)
  if (before !== undefined) for (const result of newResults(record, before)) put(device, result)
  writeSealed(device.world.fs, paths.reported, {schema: 1, ...now})
}

function loadReported(root: string): Reported | undefined {
  const json = readSealed(root, paths.reported)
  if (json === undefined) return undefined
  const {schema, running, failed, salt = ''} = json
  const isList = Array.isArray(failed) && failed.every((digest) => typeof digest === 'string')
  if (schema === 1 && typeof running === 'string' && isList && typeof salt === 'string')
    return {running, failed: failed as string[], salt}
  throw new RelError('upgrade_state_corrupt', `${paths.reported} is malformed`)
}

function newResults(record: DeviceRecord, before: Reported): readonly (Result & {key: string})[] {
  const failed = record.failed.filter(({digest}) => !before.failed.includes(digest))
  const results = failed.map(({version, digest}) => ({
    code: 'upgrade_rolled_back',
    version,
    phase: 'rollback',
    key: digest,
  }))
  const {running} = record
  const isBack = failed.some(({digest}) => digest === before.running)
  if (running.digest === before.running || isBack) return results
  const {version, digest} = running
  return [...results, {code: 'upgrade_completed', version, phase: 'apply', key: digest}]
}

/** Puts a failure into the outbox: the same one once a day, however often it is met. */
export function queueFailure(device: Device, result: Result): void {
  put(device, {...result, key: String(Math.floor(device.world.now() / DAY))})
}

function put(device: Device, {key, ...result}: Result & {readonly key: string}): void {
  const {root, world, config} = device
  const {salt = ''} = loadReported(root) ?? {}
  const id = sha256Hex(canonicalJson({node: config.node ?? '', salt, key, ...result}))
  const path = `${paths.outbox}/${id}.json`
  if (lstatSync(join(root, paths.outbox), {throwIfNoEntry: false}) === undefined)
    writing(() => {
      world.fs.run({op: 'mkdir', path: paths.outbox})
      world.fs.run({op: 'sync_dir', path: paths.private})
    })
  writeSealed(world.fs, path, {schema: 1, ...result, at: world.now()})
  const waiting = idsOf(root)
  for (const old of waiting.slice(0, Math.max(0, waiting.length - MAX_WAITING)))
    drop(device, old, 'upgrade_source_unreachable')
}

/** The ids of what waits, oldest first. */
function idsOf(root: string): readonly string[] {
  const folder = join(root, paths.outbox)
  if (lstatSync(folder, {throwIfNoEntry: false}) === undefined) return []
  return entriesIn(folder)
    .flatMap(({name}) => /^([0-9a-f]{64})\.json$/.exec(name)?.[1] ?? [])
    .map((id) => {
      // another process may just have told it
      const stat = lstatSync(join(folder, `${id}.json`), {throwIfNoEntry: false})
      return {id, time: stat?.mtimeMs ?? 0}
    })
    .toSorted((a, b) => a.time - b.time || (a.id < b.id ? -1 : 1))
    .map(({id}) => id)
}

/** How many results wait to be told. */
export function waitingResults(root: string): number {
  return idsOf(root).length
}

function drop(device: Device, id: string, why: ErrorCode): void {
  rmSync(join(device.root, paths.outbox, `${id}.json`), {force: true})
  tell(device, 'upgrade_report_failed', {report: id, error_code: why})
}

/**
 * Tells a panel what waits. What it does not answer stays; what it will never take is dropped, and
 * that is told. Nothing here changes what the node is, and nothing is thrown. Needs no lock: a report
 * that two processes send at once is one for the panel.
 */
export async function flushResults(device: Device): Promise<void> {
  const {source} = device.config
  if (source?.kind !== 'panel' || device.world.stop?.aborted === true) return
  try {
    for (const id of idsOf(device.root)) await send(device, source.url, id)
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    if (error.code === 'interrupted') return
    tell(device, 'upgrade_report_failed', {error_code: error.code})
  }
}

async function send(device: Device, url: string, id: string): Promise<void> {
  const path = `${paths.outbox}/${id}.json`
  if (statIfThere(join(device.root, path)) === undefined) return
  const result = read(device, path)
  if (result === undefined) return drop(device, id, 'upgrade_state_corrupt')
  const license = licenseOf(device)
  const {status} = await ask(
    {
      url: `${url}/v1/report`,
      method: 'POST',
      headers: {'content-type': 'application/json', 'idempotency-key': id},
      authorization: license === undefined ? undefined : `Bearer ${licenseHeader(license)}`,
      body: Buffer.from(JSON.stringify({...result, ...statementOf(device)})),
      stop: device.world.stop,
    },
    MAX_ANSWER_BYTES,
  )
  if (status >= 200 && status < 300) rmSync(join(device.root, path), {force: true})
  else if ([400, 404, 405, 410, 422].includes(status)) drop(device, id, 'upgrade_source_invalid')
  else throw new RelError('upgrade_source_unreachable', `the report: the source answers ${status}`)
}

function read({root}: Device, path: string): JsonObject | undefined {
  try {
    const {code, version, phase} = readSealed(root, path) ?? {}
    const isWhole = [code, version, phase].every((field) => typeof field === 'string')
    return isWhole ? ({code, version, phase} as JsonObject) : undefined
  } catch (error) {
    if (error instanceof RelError && error.code === 'upgrade_state_corrupt') return undefined
    throw error
  }
}
