import {join} from 'node:path'
import {readFileLimited, statIfThere} from '../system/files.ts'
import {bootId, bootSecs} from './boot-clock.ts'
import type {Device} from './device.ts'
import {replaceFile} from './durable-fs.ts'
import {paths, writing} from './layout.ts'
import type {DeviceRecord} from './record.ts'
import {deadlineOf, idOfTrial, trialText} from './trial.ts'

/** The guard reads more than this nowhere. */
const MAX_TRIAL_BYTES = 4096

/**
 * Tells the guard of a trial, or of the new window of one that is resumed: durable once this
 * returns. Written before the first swap, so that what starts is always either what was committed
 * or what the guard knows of.
 */
export function watchTrial({root, config, world}: Device, record: DeviceRecord): void {
  const {running, candidate, seq} = record
  const {profile, maxBootAttempts: maxAttempts, bootHealthWindowSecs: windowSecs} = config
  const {version: from, digest: fromDigest} = running
  const to = candidate?.version ?? ''
  const path = join(root, paths.trial)
  const before =
    statIfThere(path)?.isFile() === true
      ? readFileLimited(path, MAX_TRIAL_BYTES).toString('latin1')
      : ''
  const id = idOfTrial(before, {from, to}) ?? seq
  const deadline = deadlineOf(bootSecs(), windowSecs)
  const trial = {
    id,
    profile,
    from,
    fromDigest,
    to,
    maxAttempts,
    windowSecs,
    bootId: bootId(),
    deadline,
  }
  writing(() => replaceFile(world.fs, paths.trial, trialText(trial)))
}

/** True once the guard has decided that the trial is over. */
export function isTakenBack(root: string): boolean {
  return statIfThere(join(root, paths.reverted)) !== undefined
}

/**
 * Asks whoever waits for the health of a trial to end it with going back, and the next run to do so
 * where nobody waits. What asks for a trial that has just ended is removed with it, unread.
 */
export function askBack({world}: Device): void {
  writing(() => replaceFile(world.fs, paths.back, 'rel-back 1\n', 0o600))
}

/** True once an operator has asked. */
export function isAskedBack(root: string): boolean {
  return statIfThere(join(root, paths.back)) !== undefined
}

/**
 * Ends the trial for the guard: durable once this returns. False when the guard has taken it back:
 * it gives the same file a second name first, so exactly one of the two decides.
 */
export function endTrial({root, world}: Device): boolean {
  return writing(() => {
    try {
      world.fs.run({op: 'unlink', path: paths.trial})
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    world.fs.run({op: 'sync_dir', path: paths.private})
    return !isTakenBack(root)
  })
}

/** Removes what the guard was told and what it left: durable once this returns. */
export function forgetTrial({root, world}: Device): void {
  const {trial, reverted, revertedSeen, attempts, asked, back} = paths
  const left = [trial, reverted, revertedSeen, attempts, asked, back].filter(
    (path) => statIfThere(join(root, path)) !== undefined,
  )
  if (left.length === 0) return
  writing(() => {
    for (const path of left) world.fs.run({op: 'unlink', path})
    world.fs.run({op: 'sync_dir', path: paths.private})
  })
}
