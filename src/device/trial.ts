import {RelError} from '../system/error.ts'
import type {Profile} from './config.ts'

/** What the guard needs to know of a trial (docs/formats/device-state.md). */
export type Trial = {
  /** Stays the same while a trial lasts, however often it is resumed. */
  readonly id: number
  readonly profile: Profile
  readonly from: string
  /** Of the program before, for the profile `binary`: the way back must have exactly its bytes. */
  readonly fromDigest: string
  readonly to: string
  readonly maxAttempts: number
  readonly windowSecs: number
  readonly bootId: string
  /** Seconds since the machine started (CLOCK_BOOTTIME), valid in this boot only. */
  readonly deadline: number
}

/** For reading the file, and for a question that was asked just before the window was over. */
const GRACE_SECS = 30

/**
 * When the guard may end a trial that begins now: after the updater had a window for the restart
 * and one for health, so that the two never judge at the same time unless the updater hangs.
 */
export function deadlineOf(uptimeSecs: number, windowSecs: number): number {
  return Math.ceil(uptimeSecs) + 2 * windowSecs + GRACE_SECS
}

/**
 * The text of .rel/trial: lines for a shell. Refuses with upgrade_config_invalid a path that does
 * not fit on a line, since nothing could be brought back to it.
 */
export function trialText(trial: Trial): string {
  const {profile} = trial
  const path =
    profile.kind === 'binary'
      ? [`path=${lineOf(profile.path)}`, `from_sha256=${trial.fromDigest}`]
      : []
  const lines = [
    'rel-trial 1',
    `id=${trial.id}`,
    `kind=${profile.kind}`,
    ...path,
    `from=${trial.from}`,
    `to=${trial.to}`,
    `max_attempts=${trial.maxAttempts}`,
    `window_secs=${trial.windowSecs}`,
    `boot_id=${trial.bootId}`,
    `deadline=${trial.deadline}`,
    'end',
  ]
  return `${lines.join('\n')}\n`
}

function lineOf(path: string): string {
  if (!path.includes('\n')) return path
  throw new RelError('upgrade_config_invalid', 'binary.path has a line break')
}

/** The id of a trial of these versions in such a text; undefined for any other text. */
export function idOfTrial(
  text: string,
  {from, to}: Pick<Trial, 'from' | 'to'>,
): number | undefined {
  const lines = text.split('\n')
  const id = /^id=(\d{1,9})$/m.exec(text)?.[1]
  const isSame = lines.includes(`from=${from}`) && lines.includes(`to=${to}`)
  return isSame && lines.includes('end') && id !== undefined ? Number(id) : undefined
}
