import {spawn} from 'node:child_process'
import {get} from 'node:http'
import {setTimeout as sleep} from 'node:timers/promises'
import {RelError} from '../system/error.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {bootSecs} from './boot-clock.ts'
import type {HealthConfig} from './config.ts'
import {judgeHealth, type Unhealthy} from './health-rules.ts'
import type {ProcessQuestion} from './process-health.ts'

type Question = Exclude<HealthConfig, {kind: 'process'}> | ProcessQuestion

/** D2 answers in less than 1 KB. */
const MAX_ANSWER = 64 * 1024

/** One question takes no longer, so that a hanging program is asked again. */
const QUESTION_SECS = 5

const PAUSE_MS = 1000

/**
 * Asks until the version is healthy, the window is over or somebody else has taken the version
 * back; a suspend counts. Answers with the last reason against it.
 */
export async function awaitHealth(
  health: Question,
  version: string,
  windowSecs: number,
  isTakenBack: () => boolean,
): Promise<Unhealthy> {
  const end = bootSecs() + windowSecs
  for (;;) {
    if (isTakenBack()) return 'the guard took it back'
    const left = Math.max(0.1, end - bootSecs())
    const reason = await askOnce(health, version, Math.min(QUESTION_SECS, left))
    if (reason === undefined || bootSecs() + PAUSE_MS / 1000 >= end) return reason
    await sleep(PAUSE_MS)
  }
}

async function askOnce(health: Question, version: string, secs: number): Promise<Unhealthy> {
  if (health.kind === 'url') return askUrl(health, version, secs)
  if (health.kind === 'process') {
    const {askProcess} = await import('./process-health.ts')
    return askProcess(health, version, undefined)
  }
  const exit = await runProgram(health.command, secs, {REL_VERSION: version})
  return exit === 0 ? undefined : `the health command ended with ${exit}`
}

function askUrl(
  {url, versionKey}: Extract<HealthConfig, {kind: 'url'}>,
  version: string,
  secs: number,
): Promise<Unhealthy> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(Math.ceil(secs * 1000))
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

/** Runs a program in a group of its own; what is left of the group after the time is killed. */
export function runProgram(
  [file = '', ...args]: readonly string[],
  secs: number,
  env: Readonly<Record<string, string>> = {},
): Promise<number | string> {
  const {PATH = '/usr/bin:/bin', HOME = '/'} = process.env
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      stdio: 'ignore',
      env: {PATH, HOME, ...env},
      detached: true,
    })
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, secs * 1000)
    const done = (how: number | string) => {
      clearTimeout(timer)
      resolve(how)
    }
    child.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? 'an error'))
    child.once('exit', (code, signal) => done(code ?? signal ?? 'a signal'))
  })
}
