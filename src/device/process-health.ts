import {execFile} from 'node:child_process'
import {createHash} from 'node:crypto'
import {createReadStream, realpathSync} from 'node:fs'
import {readlink} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {type Profile, SETTLE_SECS} from './config.ts'
import {
  isOfVersion,
  judgeSettled,
  judgeUnit,
  parseUnit,
  type Unhealthy,
  type UnitSeen,
  unitProperties,
} from './health-rules.ts'
import {versionPath} from './layout.ts'

/** systemctl answers at once, unless systemd itself hangs. */
const ANSWER_MS = 5000

/** Which service must run what. */
export type ProcessQuestion = {
  readonly kind: 'process'
  readonly unit: string
  readonly root: string
  readonly profile: Profile
  /** Of the program, with the profile `binary`. */
  readonly digest: string
}

/**
 * Asks once whether a service runs this version and stays so: active, its main process of the
 * version, and neither exchanged within some seconds. Node.js cannot take the notifications that
 * systemd gets; systemd can be asked for what it made of them.
 */
export async function askProcess(
  question: ProcessQuestion,
  version: string,
  stop: AbortSignal | undefined,
): Promise<Unhealthy> {
  const {unit} = question
  const first = await lookAt(unit)
  const reason = judgeUnit(first)
  if (reason !== undefined || first === undefined) return reason
  const foreign = await judgeOrigin(first.mainPid, question, version)
  if (foreign !== undefined) return foreign
  const options = stop === undefined ? {} : {signal: stop}
  const isWaited = await sleep(SETTLE_SECS * 1000, true, options).catch(() => false)
  // the process that was looked at is the one that stayed
  return isWaited ? judgeSettled(first, await lookAt(unit)) : 'it was not waited for'
}

function lookAt(unit: string): Promise<UnitSeen | undefined> {
  const {PATH = '/usr/bin:/bin'} = process.env
  const options = {timeout: ANSWER_MS, maxBuffer: 64 * 1024, env: {PATH, LC_ALL: 'C'}}
  return new Promise((resolve) => {
    execFile(
      'systemctl',
      ['show', `--property=${unitProperties}`, '--', unit],
      options,
      (error, out) => resolve(error === null ? parseUnit(out) : undefined),
    )
  })
}

async function judgeOrigin(
  pid: number,
  {root, profile, digest}: ProcessQuestion,
  version: string,
): Promise<Unhealthy> {
  const process = `/proc/${pid}`
  try {
    if (profile.kind === 'binary')
      // the bytes that run, whatever has been put in the place of their file since
      return (await digestOf(`${process}/exe`)) === digest
        ? undefined
        : `its process does not run ${version}`
    const [exe, cwd] = await Promise.all([readlink(`${process}/exe`), readlink(`${process}/cwd`)])
    return isOfVersion({exe, cwd}, realpathSync(join(root, versionPath(version))))
      ? undefined
      : `neither program nor working directory of its process are of ${version}`
  } catch {
    return 'its process cannot be looked at'
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece)
  return hash.digest('hex')
}
