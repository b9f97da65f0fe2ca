import {codeInfo, isErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import type {Http, HttpHeaders, HttpMethod, HttpRequest} from '../../system/http.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {parseStrictJson} from '../../trust/strict-json.ts'

const MAX_ANSWER = 4 * 1024 * 1024

export type PanelRequest = {
  readonly method: HttpMethod
  /** From the first slash on. */
  readonly path: string
  readonly headers?: HttpHeaders
  readonly body?: HttpRequest['body']
  /** The publisher's when not given. */
  readonly authorization?: string
  /** More than a JSON answer. */
  readonly maxBytes?: number
}

export type PanelAnswer = {
  readonly status: number
  readonly headers: HttpHeaders
  readonly body: Buffer
}

export type PanelAccess = {
  readonly http: Http
  readonly url: string
  readonly authorization: string
}

/** One exchange with a panel; a refusal is an answer here. Refuses as Http does, with store_full. */
export async function exchangeWithPanel(
  {http, url, authorization}: PanelAccess,
  request: PanelRequest,
): Promise<PanelAnswer> {
  try {
    return await http.send({
      method: request.method,
      url: `${url}${request.path}`,
      authorization: request.authorization ?? authorization,
      headers: {accept: 'application/json', ...request.headers},
      ...(request.body === undefined ? {} : {body: request.body}),
      maxBytes: request.maxBytes ?? MAX_ANSWER,
      redirects: 'return',
      isKept: false,
    })
  } catch (error) {
    // 507 is the one server error that waiting does not mend
    if (error instanceof RelError && error.details?.status === 507)
      throw new RelError('store_full', 'the panel has no space left', {cause: error})
    throw error
  }
}

/** The answer, which must be a success; else the panel's refusal under its own code. */
export async function askPanel(access: PanelAccess, request: PanelRequest): Promise<PanelAnswer> {
  const answer = await exchangeWithPanel(access, request)
  if (answer.status >= 200 && answer.status < 300) return answer
  throw panelRefusal(answer)
}

/** The panel's refusal under its own code; a code that this rel does not know is told as text. */
export function panelRefusal({status, body}: PanelAnswer): RelError {
  const {code, detail, hint, request_id: id, details} = body.length === 0 ? {} : jsonOf(body)
  const known = typeof code === 'string' && isErrorCode(code) ? code : codeOfStatus(status)
  const seen = typeof detail === 'string' ? detail.slice(0, 500) : `the panel answered ${status}`
  const request = typeof id === 'string' ? id.slice(0, 64) : 'unknown'
  return new RelError(known, seen, {
    hint: typeof hint === 'string' ? hint.slice(0, 500) : codeInfo(known).fix,
    details: {
      ...(isObject(details) ? details : {}),
      status,
      request_id: request,
    },
  })
}

/** Answers to HEAD have no body. */
function codeOfStatus(status: number): 'token_invalid' | 'token_not_allowed' | 'panel_refused' {
  if (status === 401) return 'token_invalid'
  return status === 403 ? 'token_not_allowed' : 'panel_refused'
}

/** An answer as a JSON object; anything else is empty. Refuses with json_*. */
export function jsonOf(body: Buffer): JsonObject {
  const value = parseStrictJson(body, {bytes: MAX_ANSWER, depth: 16, profile: 'general'})
  return isObject(value) ? value : {}
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
