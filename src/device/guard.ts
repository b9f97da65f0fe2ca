import {readlinkSync} from 'node:fs'
import {join} from 'node:path'
import {readFileLimited, statIfThere} from '../system/files.ts'
import {bootId, bootSecs} from './boot-clock.ts'
import type {Device} from './device.ts'
import {replaceFile} from './durable-fs.ts'
import {mustWrite, paths, writing} from './layout.ts'
import type {DeviceRecord, Slot} from './record.ts'
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
 * Asks whoever waits for the health of a candidate to end its trial with going back, and the next run
 * to do so where nobody waits. A link, which two operators can make at once and nobody sees half of;
 * it leads to the digest, for it may be made when that trial has just ended and the next one begins.
 */
export function askBack({root, world}: Device, {digest}: Slot): void {
  const path = paths.back
  mustWrite(world.fs, () => {
    if (isAskedBack(root, digest)) return
    unless(['ENOENT'], () => world.fs.run({op: 'unlink', path}))
    unless(['EEXIST'], () => world.fs.run({op: 'symlink', path, target: digest}))
    world.fs.run({op: 'sync_dir', path: paths.private})
  })
}

/** True once an operator has asked for the end of the trial of these bytes. */
export function isAskedBack(root: string, digest: string): boolean {
  return unless(['ENOENT', 'EINVAL'], () => readlinkSync(join(root, paths.back))) === digest
}

/** For what another process may have done just now. */
function unless<T>(known: readonly string[], work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (known.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/**
 * Ends the trial for the guard: durable once this returns. False when the guard has taken it back:
 * it gives the same file a second name first, so exactly one of the two decides.
 */
export function endTrial({root, world}: Device): boolean {
  return writing(() => {
    unless(['ENOENT'], () => world.fs.run({op: 'unlink', path: paths.trial}))
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
