import {spawn} from 'node:child_process'
import {get} from 'node:http'
import {setTimeout as sleep} from 'node:timers/promises'
import {RelError} from '../system/error.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {bootSecs} from './boot-clock.ts'
import type {HealthConfig} from './config.ts'
import {judgeHealth, type Unhealthy} from './health-rules.ts'
import type {ProcessQuestion} from './process-health.ts'

/** D2 answers in less than 1 KB. */
const MAX_ANSWER = 64 * 1024

/** One question takes no longer, so that a hanging program is asked again. */
const QUESTION_SECS = 5

const PAUSE_MS = 1000

type Question = Exclude<HealthConfig, {kind: 'process'}> | ProcessQuestion

/** How long it is waited for, and what ends the waiting early. */
export type Waiting = {
  readonly secs: number
  isTakenBack(): boolean
  readonly stop?: AbortSignal | undefined
}

/**
 * Asks until the version is healthy, the window is over or somebody else has taken the version
 * back; a suspend counts. Answers with the last reason against it. Refuses with interrupted.
 */
export async function awaitHealth(
  health: Question,
  version: string,
  {secs, isTakenBack, stop}: Waiting,
): Promise<Unhealthy> {
  const end = bootSecs() + secs
  let slept = sleptSecs()
  let reason: Unhealthy = 'it was not asked'
  for (;;) {
    if (isTakenBack()) return 'the guard took it back'
    // a program that wakes up as late as the machine has one whole question
    const hasSlept = sleptSecs() - slept > 1
    slept = sleptSecs()
    const left = hasSlept ? QUESTION_SECS : end - bootSecs()
    if (left <= 0) return reason
    reason = await askOnce(health, version, Math.min(QUESTION_SECS, left), stop)
    if (reason === undefined) return undefined
    const pauseMs = Math.max(0, Math.min(PAUSE_MS, (end - bootSecs()) * 1000))
    await sleep(pauseMs, undefined, stop === undefined ? {} : {signal: stop}).catch(() => {})
    checkGoesOn(stop)
  }
}

/** How long the machine was suspended, from some point on. */
function sleptSecs(): number {
  return bootSecs() - performance.now() / 1000
}

/** Nobody has judged what was not answered: the trial stays as it is, for the next run. */
function checkGoesOn(stop: AbortSignal | undefined): void {
  if (stop?.aborted === true) throw new RelError('interrupted', 'waiting was stopped')
}

async function askOnce(
  health: Question,
  version: string,
  secs: number,
  stop: AbortSignal | undefined,
): Promise<Unhealthy> {
  if (health.kind === 'url') {
    const reason = await askUrl(health, version, secs, stop)
    if (reason !== undefined) checkGoesOn(stop)
    return reason
  }
  if (health.kind === 'process') {
    const {askProcess} = await import('./process-health.ts')
    const reason = await askProcess(health, version, stop)
    if (reason !== undefined) checkGoesOn(stop)
    return reason
  }
  const exit = await runProgram(health.command, secs, {env: {REL_VERSION: version}, stop})
  return exit === 0 ? undefined : `the health command ended with ${exit}`
}

function askUrl(
  {url, versionKey}: Extract<HealthConfig, {kind: 'url'}>,
  version: string,
  secs: number,
  stop: AbortSignal | undefined,
): Promise<Unhealthy> {
  return new Promise((resolve) => {
    const late = AbortSignal.timeout(Math.ceil(secs * 1000))
    const signal = stop === undefined ? late : AbortSignal.any([late, stop])
    const request = get(url, {agent: false, signal}, (response) => {
      const pieces: Buffer[] = []
      let size = 0
      response.on('data', (piece: Buffer) => {
        size += piece.length
        if (size > MAX_ANSWER) request.destroy(new Error('too long'))
        else pieces.push(piece)
      })
      response.on('error', () => resolve('the answer broke off'))
      response.on('end', () => {
        if (response.statusCode !== 200) return resolve(`HTTP status ${response.statusCode}`)
        resolve(judgeBytes(Buffer.concat(pieces), version, versionKey))
      })
    })
    request.on('error', () => resolve('no answer'))
  })
}

function judgeBytes(bytes: Buffer, version: string, versionKey: string | undefined): Unhealthy {
  try {
    const limits = {bytes: MAX_ANSWER, depth: 16, profile: 'general'} as const
    return judgeHealth(parseStrictJson(bytes, limits), version, versionKey)
  } catch (error) {
    if (error instanceof RelError) return 'the answer is no JSON'
    throw error
  }
}

/**
 * Runs a program in a group of its own; what is left of the group after the time, or once it is to
 * stop, is killed. Refuses with interrupted: what was cut short has said nothing.
 */
export function runProgram(
  [file = '', ...args]: readonly string[],
  secs: number,
  {
    env = {},
    stop,
  }: {
    readonly env?: Readonly<Record<string, string>>
    readonly stop?: AbortSignal | undefined
  } = {},
): Promise<number | string> {
  const {PATH = '/usr/bin:/bin', HOME = '/'} = process.env
  return new Promise((resolve, reject) => {
    checkGoesOn(stop)
    const child = spawn(file, args, {
      stdio: 'ignore',
      env: {PATH, HOME, ...env},
      detached: true,
    })
    const kill = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // it has just ended by itself
      }
    }
    const timer = setTimeout(kill, secs * 1000)
    stop?.addEventListener('abort', kill)
    const done = (how: number | string) => {
      clearTimeout(timer)
      stop?.removeEventListener('abort', kill)
      if (stop?.aborted === true) reject(new RelError('interrupted', 'a program was stopped'))
      else resolve(how)
    }
    child.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? 'an error'))
    child.once('exit', (code, signal) => done(code ?? signal ?? 'a signal'))
  })
}
