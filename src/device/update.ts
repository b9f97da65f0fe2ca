import {parseRelease} from '../release/release-manifest.ts'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {apply} from './apply.ts'
import {checkClock} from './clock-mark.ts'
import {type Device, ifNotBusy, recordsOf, tell, whileFetching, whileLocked} from './device.ts'
import {dropDownload} from './download.ts'
import type {Records} from './layout.ts'
import {checkLicensed} from './license-gate.ts'
import {noteOffered, quietSince} from './offered.ts'
import {queueFailure, queueResults} from './outbox.ts'
import {rememberRefused, wasRefused} from './refused.ts'
import {resume} from './resume.ts'
import type {Answer, Offer, OnProgress, Source} from './source.ts'
import {failureOf, localPlace, type Place, type StageOptions, stage} from './stage.ts'
import {type Closed, checkNotDegraded, checkOpen, closedGates} from './state.ts'

/** What a source has for a node, and what speaks against taking it. */
export type Found = {
  readonly answer: Answer
  readonly running: string
  /** In their order; empty where the offer may be taken. */
  readonly closed: readonly Closed[]
  /** The offer is staged already. */
  readonly isStaged: boolean
}

/** What an operator has said to it. */
export type LookOptions = Pick<StageOptions, 'isRetry' | 'grant'> & {
  /** This version instead of the highest. */
  readonly version?: string | undefined
}

/** Asks the source; changes nothing but what is remembered of it. Refuses as Source.find does. */
export async function look(
  device: Device,
  source: Source,
  {isRetry, version, grant}: LookOptions,
): Promise<Found> {
  const records = recordsOf(device)
  const {record, floor} = records
  const running = record.running.version
  const said = await source.find({
    running,
    floor,
    channels: device.config.allowedChannels,
    ...(version === undefined ? {} : {version}),
  })
  const answer = version === undefined ? await remembered(device, running, said) : said
  const {offer} = answer
  if (offer === undefined) return {answer, running, closed: [], isStaged: false}
  const {state, candidate} = record
  return {
    answer,
    running,
    closed: closedFor(device, records, offer, {isRetry, ...(grant === undefined ? {} : {grant})}),
    isStaged: state === 'staged' && candidate?.version === offer.version,
  }
}

/** What a source says, and what a node knows of it besides. */
async function remembered(device: Device, running: string, said: Answer): Promise<Answer> {
  const {source} = device.config
  // a hint of D2 is nobody's word: what it names is not remembered
  const isHint = source?.kind === 'panel' && source.protocol === 'd2'
  const withdrawn = isHint ? undefined : await noteOffered(device, running, said.offer?.version)
  const staleSince = said.staleSince ?? quietSince(device)
  return {
    ...said,
    ...(withdrawn === undefined ? {} : {withdrawn}),
    ...(staleSince === undefined ? {} : {staleSince}),
  }
}

/**
 * The gates as far as they can be asked before anything is fetched. What is not signed yet (D2) is
 * taken as if it were good: it is asked again of the manifest in the bundle.
 */
function closedFor(
  device: Device,
  {record, floor}: Records,
  offer: Offer,
  {isRetry, grant}: Pick<LookOptions, 'isRetry' | 'grant'>,
): readonly Closed[] {
  const {config} = device
  const {version, channel, releaseText} = offer
  const release =
    releaseText === undefined ? undefined : parseRelease(Buffer.from(releaseText)).release
  const failed = record.failed.find((it) => it.version === version)
  const closed = closedGates({
    enabled: config.enabled,
    allowedChannels: config.allowedChannels,
    minVersion: config.minVersion,
    floor,
    running: record.running.version,
    failed: record.failed,
    candidate: {
      version,
      digest: failed?.digest ?? '',
      channel: channel ?? config.allowedChannels[0],
      minFrom: release?.minFrom,
    },
    isRetry,
    // whether it really grants anything is asked when the bundle is there
    granted: grant === undefined ? undefined : version,
  })
  const {product} = config
  return [
    ...closed,
    ...refusalOf(() => checkClock(device)),
    ...(release === undefined
      ? []
      : refusalOf(() => checkLicensed(device, {product, channel, signed: release.timestamp}))),
    ...(isRetry || !wasRefused(device, offer)
      ? []
      : [
          {
            code: 'upgrade_blocked',
            message: `${version} was fetched and refused here today`,
          } as const,
        ]),
  ]
}

/** What closes a gate; whatever else fails is no answer of a gate. */
const ofGates: readonly ErrorCode[] = [
  'upgrade_clock_untrusted',
  'upgrade_license_frozen',
  'upgrade_license_invalid',
]

function refusalOf(check: () => void): readonly Closed[] {
  try {
    check()
    return []
  } catch (error) {
    if (!(error instanceof RelError) || !ofGates.includes(error.code)) throw error
    return [{code: error.code, message: error.message}]
  }
}

/** Refuses with the first closed gate, and with upgrade_not_newer when there is no offer. */
export function checkFound({answer: {offer}, closed, running}: Found): Offer {
  if (offer === undefined)
    throw new RelError('upgrade_not_newer', `the source has nothing newer than ${running}`)
  checkOpen(closed)
  return offer
}

type StageOffer = Pick<StageOptions, 'isRetry' | 'isUnattended' | 'grant'>

/**
 * Fetches an offer and stages it, by a delta from what runs where there is one, else the whole; what
 * was fetched is removed, unless another process acts just then: the next run has it at once. The
 * node itself is held only while it is staged, and its gates are asked again then. Refuses as
 * Offer.fetch and stage do.
 */
export async function stageOffer(
  device: Device,
  offer: Offer,
  options: StageOffer,
  onProgress?: OnProgress,
): Promise<Records> {
  checkNotDegraded(recordsOf(device).record.state, options.isUnattended)
  return whileFetching(device.root, async () => {
    tell(device, 'upgrade_started', {step: 'stage', version: offer.version})
    try {
      const byDelta = await stageDelta(device, offer, options, onProgress)
      return byDelta ?? (await stageWhole(device, offer, options, onProgress))
    } catch (error) {
      if (!isOf(error, 'interrupted')) tell(device, 'upgrade_stage_failed', failureOf(error))
      throw error
    }
  })
}

async function stageWhole(
  device: Device,
  offer: Offer,
  options: StageOffer,
  onProgress: OnProgress | undefined,
): Promise<Records> {
  const path = await offer.fetch(onProgress)
  return thenDrop(device, path, async () => {
    try {
      const place = await placeOf(device, offer, path)
      return await stageNow(device, offer, place, options)
    } catch (error) {
      await ifNotBusy(device.root, () => rememberRefused(device, offer, error))
      throw error
    }
  })
}

async function thenDrop<T>({root}: Device, path: string, work: () => Promise<T>): Promise<T> {
  let isKept = false
  try {
    return await work()
  } catch (error) {
    isKept = isOf(error, 'upgrade_busy')
    throw error
  } finally {
    if (!isKept) dropDownload(root, path)
  }
}

function stageNow(
  device: Device,
  {version, channel}: Offer,
  place: Place,
  options: StageOffer,
): Promise<Records> {
  const expect = {version, ...(channel === undefined ? {} : {channel})}
  return whileLocked(device.root, () =>
    stage(device, place, {...options, expect, isStarted: true, isOneWayOfTwo: true}),
  )
}

function isOf(error: unknown, code: ErrorCode): boolean {
  return error instanceof RelError && error.code === code
}

/** What the whole may mend. */
const ofDelta: readonly ErrorCode[] = [
  'upgrade_checksum_mismatch',
  'upgrade_delta_failed',
  'upgrade_download_failed',
  'upgrade_size_exceeded',
]

/** Undefined where there is no delta for this node, or it came to nothing, which is told. */
async function stageDelta(
  device: Device,
  offer: Offer,
  options: StageOffer,
  onProgress: OnProgress | undefined,
): Promise<Records | undefined> {
  const {version} = recordsOf(device).record.running
  const delta = offer.deltas.find(({from}) => from === version)
  const isTree = device.config.profile.kind === 'tree'
  if (delta === undefined || !isTree || delta.size >= (offer.size ?? 0)) return undefined
  const {mayTakeDelta} = await import('./delta-tries.ts')
  if (!mayTakeDelta(device, offer.version)) return undefined
  const {deltaPlace} = await import('./place-delta.ts')
  try {
    const path = await delta.fetch(onProgress)
    return await thenDrop(device, path, () => stageNow(device, offer, deltaPlace(path), options))
  } catch (error) {
    if (!(error instanceof RelError) || !ofDelta.includes(error.code)) throw error
    tell(device, 'upgrade_delta_failed', {version: offer.version, error_code: error.code})
    return undefined
  }
}

async function placeOf(device: Device, {releaseText}: Offer, path: string): Promise<Place> {
  if (device.config.profile.kind === 'tree') return localPlace(device, path)
  if (releaseText === undefined)
    throw new RelError('upgrade_source_invalid', 'the source gives no release for one program')
  const {binaryPlace} = await import('./place-binary.ts')
  return binaryPlace(releaseText, path)
}

/** What one turn of the updater has done. */
export type Turn = {
  readonly did: 'nothing' | 'found' | 'staged' | 'applied'
  readonly found: Found
}

/**
 * One poll, and what upgrade.policy allows after it. What is staged is applied also when the source
 * does not answer. The node is held while something of it is changed, not while the source is waited
 * for. Refuses as look, stageOffer and apply do.
 */
export async function turn(device: Device, source: Source, onProgress?: OnProgress): Promise<Turn> {
  await whileLocked(device.root, async () => {
    queueResults(device) // before anything happens, so that what happens is news
    await resume(device)
  })
  const options = {isRetry: false, isUnattended: true}
  let found: Found | undefined
  let failure: unknown
  let did: Turn['did'] = 'nothing'
  try {
    found = await look(device, source, options)
    const {offer} = found.answer
    if (offer !== undefined && found.closed.length === 0) {
      did = 'found'
      if (!found.isStaged && device.config.policy !== 'manual') {
        await stageOffer(device, offer, options, onProgress)
        did = 'staged'
      }
    }
  } catch (error) {
    failure = error
    await noteFailure(device, found?.answer.offer, error)
  }
  if (!isOf(failure, 'interrupted') && (await mayApply(device))) {
    await applyStaged(device, found?.answer.offer, onProgress)
    did = 'applied'
  }
  if (found === undefined || failure !== undefined) throw failure
  return {did, found}
}

/** A failure that has a version is a result, and is reported. */
async function noteFailure(
  device: Device,
  offer: Offer | undefined,
  error: unknown,
): Promise<void> {
  if (offer === undefined || !(error instanceof RelError)) return
  const {code} = error
  if (code === 'interrupted' || code === 'upgrade_busy') return
  await ifNotBusy(device.root, () =>
    queueFailure(device, {code, version: offer.version, phase: 'stage'}),
  )
}

/** What was damaged on disk since it was staged is fetched once more. */
async function applyStaged(
  device: Device,
  offer: Offer | undefined,
  onProgress: OnProgress | undefined,
): Promise<void> {
  const options = {isRetry: false, isUnattended: true}
  const applyNow = () => whileLocked(device.root, () => apply(device, options))
  try {
    await applyNow()
  } catch (error) {
    if (!isOf(error, 'upgrade_staged_corrupt') || offer === undefined) throw error
    await stageOffer(device, offer, options, onProgress)
    await applyNow()
  }
}

async function mayApply(device: Device): Promise<boolean> {
  const {policy} = device.config
  if (recordsOf(device).record.state !== 'staged') return false
  if (policy === 'auto') return true
  return policy === 'apply_when_stopped' && (await device.world.isStopped())
}
