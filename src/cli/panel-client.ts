import {homedir} from 'node:os'
import {join} from 'node:path'
import {codeInfo, isErrorCode} from '../system/codes.ts'
import {ContentCache} from '../system/content-cache.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited} from '../system/files.ts'
import type {Http} from '../system/http.ts'
import {makeHttp} from '../system/http-client.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import type {PanelFlagValues} from './license-flags.ts'

type Environment = Readonly<Record<string, string | undefined>>

const MAX_TOKEN_FILE = 4096
const MAX_ANSWER = 4 * 1024 * 1024

/** A panel as commands ask it: one JSON answer a call; a refusal of the panel is thrown as it came. */
export type PanelClient = {
  readonly url: string
  call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: JsonObject,
  ): Promise<JsonObject>
}

/**
 * The panel of --panel or REL_PANEL_URL, with the token of --token-file or REL_PANEL_TOKEN.
 * Refuses with input_required, token_missing, usage_invalid (no https, and not this machine).
 */
export function openPanelClient(flags: PanelFlagValues, env: Environment): PanelClient {
  if (flags.panel === undefined)
    throw new RelError('input_required', 'no panel was named', {hint: 'Give --panel URL.'})
  const url = checkedUrl(flags.panel)
  const authorization = `Bearer ${tokenFrom(flags, env)}`
  const cache = new ContentCache(join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rel'))
  const http = makeHttp({cache, userAgent: 'rel', proxyEnv: env})
  return {url, call: (method, path, body) => call(http, {url, authorization}, method, path, body)}
}

/** A token on a wire that anybody can read is everybody's. */
function checkedUrl(text: string): string {
  if (!URL.canParse(text)) throw new RelError('usage_invalid', '--panel is no URL')
  const {protocol, hostname, username, password, origin, pathname} = new URL(text)
  if (username !== '' || password !== '')
    throw new RelError('usage_invalid', '--panel has a user name in it; tokens come from a file')
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  if (protocol !== 'https:' && !(protocol === 'http:' && isHere))
    throw new RelError('usage_invalid', 'a panel on another machine is asked over https')
  return `${origin}${pathname.replace(/\/+$/, '')}`
}

function tokenFrom({'token-file': file}: PanelFlagValues, env: Environment): string {
  const text =
    file === undefined
      ? env.REL_PANEL_TOKEN
      : readFileLimited(file, MAX_TOKEN_FILE).toString('utf8')
  const token = text?.trim() ?? ''
  if (/^[!-~]{1,512}$/.test(token)) return token
  throw new RelError('token_missing', 'there is no token for the panel', {
    hint: 'Set REL_PANEL_TOKEN, or give --token-file FILE.',
  })
}

async function call(
  http: Http,
  panel: {readonly url: string; readonly authorization: string},
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body: JsonObject | undefined,
): Promise<JsonObject> {
  const {status, body: answer} = await http.send({
    method,
    url: `${panel.url}${path}`,
    authorization: panel.authorization,
    headers: {
      accept: 'application/json',
      ...(body === undefined ? {} : {'content-type': 'application/json'}),
    },
    ...(body === undefined ? {} : {body: Buffer.from(JSON.stringify(body))}),
    maxBytes: MAX_ANSWER,
    redirects: 'return',
    isKept: false,
  })
  if (status === 204) return {}
  const json = objectOf(parseStrictJson(answer, {bytes: MAX_ANSWER, depth: 16, profile: 'general'}))
  if (status >= 200 && status < 300) return json
  throw problem(status, json)
}

function objectOf(value: JsonValue): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : {}
}

/** The panel's refusal under its own code; a code of a newer panel is told as text. */
function problem(status: number, {code, detail, hint, request_id: id}: JsonObject): RelError {
  const known = typeof code === 'string' && isErrorCode(code) ? code : 'panel_refused'
  const seen = typeof detail === 'string' ? detail.slice(0, 500) : `the panel answered ${status}`
  const request = typeof id === 'string' ? id.slice(0, 64) : 'unknown'
  return new RelError(known, seen, {
    hint: typeof hint === 'string' ? hint.slice(0, 500) : codeInfo(known).fix,
    details: {status, request_id: request},
  })
}
