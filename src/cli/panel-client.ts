import {homedir} from 'node:os'
import {join} from 'node:path'
import {askPanel, jsonOf} from '../release/publish/panel-api.ts'
import {ContentCache} from '../system/content-cache.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited} from '../system/files.ts'
import {makeHttp} from '../system/http-client.ts'
import type {JsonObject} from '../system/json.ts'
import type {PanelFlagValues} from './license-flags.ts'

type Environment = Readonly<Record<string, string | undefined>>

const MAX_TOKEN_FILE = 4096

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
  const url = apiAddress(flags.panel, '--panel')
  const authorization = `Bearer ${panelToken(flags, env)}`
  const cache = new ContentCache(join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rel'))
  const http = makeHttp({cache, userAgent: 'rel', proxyEnv: env})
  return {
    url,
    async call(method, path, body) {
      const headers = {'content-type': 'application/json'}
      const sent = body === undefined ? {} : {headers, body: Buffer.from(JSON.stringify(body))}
      const answer = await askPanel({http, url, authorization}, {method, path, ...sent})
      return answer.status === 204 ? {} : jsonOf(answer.body)
    },
  }
}

/**
 * The address of an API that gets a token, without a final slash: a token on a wire that anybody can
 * read is everybody's. Refuses with usage_invalid.
 */
export function apiAddress(text: string, flag: string): string {
  if (!URL.canParse(text)) throw new RelError('usage_invalid', `${flag} is no URL`)
  const {protocol, hostname, username, password, origin, pathname} = new URL(text)
  if (username !== '' || password !== '')
    throw new RelError('usage_invalid', `${flag} has a user name in it; tokens come from a file`)
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  if (protocol !== 'https:' && !(protocol === 'http:' && isHere))
    throw new RelError('usage_invalid', `${flag}: another machine is asked over https`)
  return `${origin}${pathname.replace(/\/+$/, '')}`
}

/** The token of --token-file or REL_PANEL_TOKEN. Refuses with token_missing. */
export function panelToken({'token-file': file}: PanelFlagValues, env: Environment): string {
  const text = file === undefined ? env.REL_PANEL_TOKEN : tokenFile(file)
  const token = text?.trim() ?? ''
  if (isToken(token)) return token
  throw new RelError('token_missing', 'there is no token for the panel', {
    hint: 'Set REL_PANEL_TOKEN, or give --token-file FILE.',
  })
}

/** What a file with a token holds. */
export function tokenFile(path: string): string {
  return readFileLimited(path, MAX_TOKEN_FILE).toString('utf8').trim()
}

/** True for text that can stand in a header as a token. */
export function isToken(text: string): boolean {
  return /^[!-~]{1,512}$/.test(text)
}
