import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {type Device, ifNotBusy, tell} from './device.ts'
import {paths} from './layout.ts'
import {firstPollSecs, MAX_ASKED_SECS, nextPollSecs} from './poll-rules.ts'
import {readSealed, writeSealed} from './sealed-file.ts'
import type {Source} from './source.ts'
import {type Turn, turn} from './update.ts'

/** What the loop needs of the world. */
export type LoopWorld = {
  /** From 0 to below 1. */
  random(): number
  /** Ends early when the loop is to stop. */
  sleep(secs: number): Promise<void>
  isStopping(): boolean
}

/** What a loop has done until it was stopped. */
export type LoopEnd = {readonly polls: number; readonly failed: number; readonly last?: Turn}

/**
 * Polls until it is stopped, or once and at once; a source that asked for later is not asked then.
 * Failures are told and waited out; with `isOnce` they end it. What is under way is ended where it can be continued. Results are reported after each turn.
 */
export async function runLoop(
  device: Device,
  source: Source,
  world: LoopWorld,
  {isOnce, report}: {readonly isOnce: boolean; readonly report: () => Promise<void>},
): Promise<LoopEnd> {
  const {pollIntervalSecs: interval} = device.config
  let [polls, failed, failures] = [0, 0, 0]
  let last: Turn | undefined
  if (isOnce && mustWait(device))
    return {polls, failed, last: await turn(device, silent, stopper(world))}
  if (!isOnce) await world.sleep(firstPollSecs(interval, world.random()))
  while (!world.isStopping()) {
    polls += 1
    let askedSecs: number | undefined
    try {
      last = await turn(device, source, stopper(world))
      failures = 0
      askedSecs = last.found.answer.pollAfterSecs
      tellFound(device, last)
    } catch (error) {
      if (!(error instanceof RelError)) throw error
      askedSecs = askedBy(error)
      if (error.code !== 'interrupted') {
        failed += 1
        failures += 1
        // what was taken back has been told, and nothing is wrong with the source
        if (error.code !== 'upgrade_rolled_back')
          tell(device, 'upgrade_check_failed', {error_code: error.code})
      }
      if (isOnce) {
        await rememberWait(device, askedSecs)
        await report()
        throw error
      }
    }
    await report()
    if (isOnce) break
    await world.sleep(nextPollSecs(interval, {failures, askedSecs}, world.random()))
  }
  return {polls, failed, ...(last === undefined ? {} : {last})}
}

/**
 * What a node hears that asks nobody: what it does of itself, such as ending a trial that was killed or
 * applying what is staged, is no source's to put off.
 */
const silent: Source = {find: async () => ({})}

/**
 * True while a source that asked a node to come back later is not to be asked: a timer that starts
 * one poll at a time knows nothing of it. No longer than a day, whatever the clock has done.
 */
function mustWait({root, world}: Device): boolean {
  const {not_before: until} = readSealed(root, paths.wait) ?? {}
  const left = typeof until === 'number' ? until - world.now() : 0
  return left > 0 && left <= MAX_ASKED_SECS
}

async function rememberWait({root, world}: Device, secs = 0): Promise<void> {
  if (secs === 0) return
  const until = world.now() + Math.min(MAX_ASKED_SECS, secs)
  await ifNotBusy(root, () => {
    writeSealed(world.fs, paths.wait, {schema: 1, not_before: until})
  })
}

/** A download that is under way when the loop is to stop is left as it is, to be continued. */
function stopper({isStopping}: LoopWorld): () => void {
  return () => {
    if (isStopping()) throw new RelError('interrupted', 'the download was stopped')
  }
}

function askedBy({details}: RelError): number | undefined {
  const at = details?.retry_at
  return typeof at === 'number' ? Math.max(0, at - Math.floor(Date.now() / 1000)) : undefined
}

function tellFound(device: Device, {did, found}: Turn): void {
  const {offer, staleSince, withdrawn} = found.answer
  const [closed] = found.closed
  const details: JsonObject = {
    running: found.running,
    ...(offer === undefined ? {} : {version: offer.version}),
    ...(closed === undefined ? {} : {error_code: closed.code}),
    ...(staleSince === undefined ? {} : {stale_since: staleSince}),
    ...(withdrawn === undefined ? {} : {withdrawn}),
  }
  if (did === 'found' || closed !== undefined) tell(device, 'upgrade_available', details)
  else if (staleSince !== undefined || withdrawn !== undefined)
    tell(device, 'upgrade_check_failed', details)
}
