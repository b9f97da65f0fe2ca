import {setTimeout as sleep} from 'node:timers/promises'
import {RelError} from '../system/error.ts'
import {rollback} from './apply.ts'
import {bootSecs} from './boot-clock.ts'
import {type Device, recordsOf, whileLocked} from './device.ts'
import {askBack} from './guard.ts'
import type {Slot} from './record.ts'
import {type Rested, resume} from './resume.ts'
import {deadlineOf} from './trial.ts'

const PAUSE_MS = 200

/**
 * An operator's way back, also out of a trial: whoever waits for the health of the new version is
 * asked to give it up, and is waited for; one that was killed has left the same to this process.
 * Refuses as rollback does, with upgrade_busy where the other one does not end, upgrade_degraded.
 */
export async function goBack(device: Device, onWait: () => void): Promise<Rested> {
  const {state, candidate} = recordsOf(device).record
  if (state !== 'trial' || candidate === undefined)
    return whileLocked(device.root, () => rollback(device))
  askBack(device, candidate)
  return whenFree(device, onWait, () => endOf(device, candidate))
}

/** The trial ends with the version before, unless it was committed just then. */
async function endOf(device: Device, candidate: Slot): Promise<Rested> {
  let rested: Rested
  try {
    rested = await resume(device)
  } catch (error) {
    if (!(error instanceof RelError) || error.code !== 'upgrade_rolled_back') throw error
    const {problem} = error.details ?? {}
    return {...recordsOf(device), ...(typeof problem === 'string' ? {problem} : {})}
  }
  const {state, running} = rested.record
  if (state === 'degraded')
    throw new RelError(
      'upgrade_degraded',
      `nothing could be brought back for ${candidate.version}`,
      {
        details: {running: running.version},
      },
    )
  return running.digest === candidate.digest ? rollback(device) : rested
}

/** Tries for as long as a trial may last. */
async function whenFree<T>(device: Device, onWait: () => void, work: () => Promise<T>): Promise<T> {
  const end = deadlineOf(bootSecs(), device.config.bootHealthWindowSecs)
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await whileLocked(device.root, work)
    } catch (error) {
      const isBusy = error instanceof RelError && error.code === 'upgrade_busy'
      if (!isBusy || bootSecs() >= end) throw error
    }
    if (isFirst) onWait()
    await sleep(PAUSE_MS)
  }
}
