import {copyFileSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import type {GateResult} from '../gates/gate.ts'
import {isErrorCode} from '../system/codes.ts'
import {isDigest} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {sha256Hex} from '../system/hash.ts'
import type {Downloaded, DownloadRequest, Http, HttpRequest, HttpResponse} from '../system/http.ts'
import {shownUrl} from '../system/http-rules.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import type {BumpWorld, GateContext} from './world.ts'

/** What a bump was answered: `now`, every HTTP exchange in its order, every gate. No secrets. */
type Recording = {
  readonly version: 1
  readonly now: number
  readonly exchanges: Exchange[]
  readonly gates: {readonly key: string; readonly result: GateResult}[]
}

type Exchange = {
  /** SHA-256 of what was asked. */
  readonly key: string
  readonly asked: string
  readonly answer:
    | {
        readonly kind: 'response'
        readonly response: Omit<HttpResponse, 'body'>
        readonly body: string
      }
    | {
        readonly kind: 'file'
        readonly sha256: string
        readonly size: number
        readonly fetched: number
      }
    | {readonly kind: 'refusal'; readonly code: string; readonly message: string}
}

/** Answers of a bump are kilobytes; files lie beside them. */
const MAX_RECORDING_BYTES = 256 * 1024 * 1024
const NAME = 'recording.json'

/** Something that wraps what a bump asks the world. */
export type Tape = {
  readonly now: number
  http(): Http
  gates(run: BumpWorld['runGate']): BumpWorld['runGate']
}

/**
 * A tape that keeps everything in a folder while it passes it on; `save` writes it. The
 * authorization of a request is never on it. Refuses with file_exists a folder that has one.
 */
export function recordingTape(folder: string, http: Http, now: number): Tape & {save(): void} {
  if (statIfThere(join(folder, NAME)) !== undefined)
    throw new RelError('file_exists', `${join(folder, NAME)} exists already`)
  const recording: Recording = {version: 1, now, exchanges: [], gates: []}
  const keep = async <T>(
    key: Asked,
    work: () => Promise<T>,
    answerOf: (value: T) => Exchange['answer'],
  ) => {
    try {
      const value = await work()
      recording.exchanges.push({...key, answer: answerOf(value)})
      return value
    } catch (error) {
      if (error instanceof RelError)
        recording.exchanges.push({
          ...key,
          answer: {kind: 'refusal', code: error.code, message: error.message},
        })
      throw error
    }
  }
  return {
    now,
    http: () => ({
      send: (request) => keep(sendKey(request), () => http.send(request), responseAnswer),
      download: (request) =>
        keep(
          downloadKey(request),
          () => http.download(request),
          (file) => fileAnswer(folder, file),
        ),
    }),
    gates: (run) => async (spec, context) => {
      const result = await run(spec, context)
      recording.gates.push({key: gateKey(spec, context), result})
      return result
    },
    save: () => {
      mkdirSync(folder, {recursive: true})
      writeFileAtomic(join(folder, NAME), `${JSON.stringify(recording, null, 2)}\n`, {mode: 0o600})
    },
  }
}

/**
 * A tape that answers from a folder alone: no socket is opened, no gate is run, time is what it was.
 * Refuses with recording_invalid; its answers refuse with not_recorded what was not asked then.
 */
export function replayTape(folder: string): Tape {
  const recording = load(join(folder, NAME))
  const exchanges = [...recording.exchanges]
  const gates = [...recording.gates]
  const next = (key: Asked): Exchange['answer'] => {
    const at = exchanges.findIndex((exchange) => exchange.key === key.key)
    const [found] = at === -1 ? [] : exchanges.splice(at, 1)
    if (found === undefined) throw new RelError('not_recorded', `no answer for ${key.asked}`)
    if (found.answer.kind === 'refusal') throw refusalOf(found.answer)
    return found.answer
  }
  return {
    now: recording.now,
    http: () => ({
      send: async (request) => {
        const answer = next(sendKey(request))
        if (answer.kind !== 'response') throw broken(NAME)
        return {...answer.response, body: Buffer.from(answer.body, 'base64')}
      },
      download: async (request) => {
        const answer = next(downloadKey(request))
        if (answer.kind !== 'file') throw broken(NAME)
        return {path: keptFile(folder, answer.sha256), ...answer}
      },
    }),
    gates: () => async (spec, context) => {
      const wanted = gateKey(spec, context)
      const at = gates.findIndex(({key}) => key === wanted)
      const [found] = at === -1 ? [] : gates.splice(at, 1)
      if (found === undefined) throw new RelError('not_recorded', `no verdict of gate ${spec.uses}`)
      return found.result
    },
  }
}

type Asked = {readonly key: string; readonly asked: string}

function sendKey({method = 'GET', url, headers = {}, body}: HttpRequest): Asked {
  const text = canonicalJson({
    method,
    url,
    headers,
    body: body === undefined ? '' : sha256Hex(wholeBody(body)),
  })
  return {key: sha256Hex(text), asked: `${method} ${url}`}
}

function wholeBody(body: NonNullable<HttpRequest['body']>): Uint8Array {
  if (body instanceof Uint8Array) return body
  throw new RelError('internal_error', 'a body that is read while it is sent cannot be recorded')
}

function downloadKey({url, sha256 = ''}: DownloadRequest): Asked {
  return {key: sha256Hex(canonicalJson({download: url, sha256})), asked: `download ${url}`}
}

/** A verdict is of one gate over one version and its verified files, and of nothing else. */
function gateKey(spec: object, {old, new: next, assets}: GateContext): string {
  const files = assets.map(({name, sha256}) => ({name, sha256}))
  return sha256Hex(JSON.stringify({spec, old, new: next, files}))
}

/** A redirect leads to signed addresses, which are secrets, and cookies are. */
function responseAnswer({body, ...response}: HttpResponse): Exchange['answer'] {
  const {'set-cookie': _, ...headers} = response.headers
  const kept = {...response, url: shownUrl(response.url), headers}
  return {kind: 'response', response: kept, body: body.toString('base64')}
}

function fileAnswer(folder: string, {path, sha256, size, fetched}: Downloaded): Exchange['answer'] {
  const kept = join(folder, 'files', sha256)
  try {
    mkdirSync(join(folder, 'files'), {recursive: true})
    if (statIfThere(kept) === undefined) copyFileSync(path, kept)
  } catch (error) {
    throw fileError(error, kept, 'write')
  }
  return {kind: 'file', sha256, size, fetched}
}

/** A recording is data from somewhere: its files are what their names say or nothing. */
function keptFile(folder: string, sha256: string): string {
  const path = join(folder, 'files', sha256)
  if (!isDigest(sha256) || sha256Hex(readFileLimited(path, MAX_FILE_BYTES)) !== sha256)
    throw broken(path)
  return path
}

const MAX_FILE_BYTES = 1024 * 1024 * 1024

function refusalOf({code, message}: {readonly code: string; readonly message: string}): RelError {
  return isErrorCode(code) ? new RelError(code, message) : broken(NAME)
}

function load(path: string): Recording {
  try {
    const json = JSON.parse(
      readFileLimited(path, MAX_RECORDING_BYTES).toString('utf8'),
    ) as Recording
    const isWhole = Array.isArray(json.exchanges) && Array.isArray(json.gates)
    if (json.version === 1 && Number.isSafeInteger(json.now) && isWhole) return json
  } catch (error) {
    if (error instanceof RelError) throw error
  }
  throw broken(path)
}

function broken(path: string): RelError {
  return new RelError('recording_invalid', `${path} is no recording of this version of rel`)
}
