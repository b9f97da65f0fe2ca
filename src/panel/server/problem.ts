import type {ExitName} from '../../system/codes/code.ts'
import {codeAreas, codeInfo, type ErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import {isFullDisk} from '../../system/files.ts'
import type {JsonObject} from '../../system/json.ts'

/** An error as HTTP says it: RFC 9457, with rel's code, hint and the id of the request. */
export type Problem = {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ErrorCode
  readonly detail: string
  readonly hint: string
  readonly request_id: string
  readonly details?: JsonObject
}

/** Status of codes whose exit does not say it well enough. */
const statuses: Partial<Record<ErrorCode, number>> = {
  request_invalid: 400,
  request_too_large: 413,
  headers_too_large: 431,
  request_timeout: 408,
  media_type_unknown: 415,
  route_unknown: 404,
  rate_limited: 429,
  panel_stopping: 503,
  token_missing: 401,
  token_invalid: 401,
  token_not_allowed: 403,
  same_person: 403,
  oidc_token_invalid: 401,
  oidc_token_replayed: 401,
  oidc_publisher_unknown: 403,
  oidc_unavailable: 404,
  license_missing: 401,
  license_malformed: 401,
  license_invalid: 401,
  license_unknown: 401,
  license_wrong_product: 403,
  license_expired: 403,
  license_frozen: 403,
  license_revoked: 403,
  no_release: 404,
  release_recalled: 410,
  precondition_failed: 412,
  precondition_missing: 428,
  product_without_anchor: 409,
  product_without_matrix: 409,
  release_incomplete: 409,
  upload_quota: 507,
  upload_offset_wrong: 409,
  upload_too_long: 413,
  upload_busy: 423,
  blob_mismatch: 460,
  blob_missing: 404,
  store_full: 507,
  disk_full: 507,
  store_read_only: 503,
  store_failed: 503,
  version_invalid: 400,
  channel_unknown_prerelease: 422,
}

const byExit: Readonly<Record<ExitName, number>> = {
  done: 200,
  bug: 500,
  usage: 400,
  changed: 409,
  verification: 422,
  unauthorised: 403,
  gate: 422,
  notCertified: 422,
  conflict: 409,
  rolledBack: 409,
  upstreamMissing: 404,
  notReproducible: 422,
  local: 500,
  temporary: 503,
  interrupted: 503,
}

/** What is signed with the wrong key, or badly, is a bad document, not a stranger at the door. */
const documents: ReadonlySet<string> = new Set([
  ...Object.keys(codeAreas.trust),
  ...Object.keys(codeAreas.keys),
])

/** The HTTP status of a code; the same on every route. */
function statusOf(code: ErrorCode): number {
  const own = statuses[code]
  if (own !== undefined) return own
  if (Object.hasOwn(codeAreas.json, code)) return 400
  if (codeInfo(code).exit !== 'conflict' && documents.has(code)) return 422
  return byExit[codeInfo(code).exit]
}

/** Failures that are told in words made for whoever asked; the others name paths and addresses. */
const told: ReadonlySet<ErrorCode> = new Set([
  'oidc_keys_unavailable',
  'panel_failed',
  'panel_stopping',
  'upload_quota',
])

/** The problem document of a refusal; what is inside the panel stays in its log. */
export function problemOf(error: RelError, requestId: string): Problem {
  const {title, fix} = codeInfo(error.code)
  const status = statusOf(error.code)
  return {
    type: `urn:rel:error:${error.code}`,
    title,
    status,
    code: error.code,
    detail: status >= 500 && !told.has(error.code) ? title : error.message,
    hint: error.hint ?? fix,
    request_id: requestId,
    ...(error.details === undefined ? {} : {details: error.details}),
  }
}

/** Errors of Fastify by its own codes: their texts may quote what was sent. */
const frameworkErrors: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['request_too_large', 'the body is larger than the limit'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['media_type_unknown', 'the route takes no such content type'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['request_invalid', 'the body is not Content-Length long'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['request_invalid', 'the body is empty'],
  FST_ERR_BAD_URL: ['request_invalid', 'the path is not well-formed'],
  ECONNRESET: ['request_timeout', 'the connection ended before the body did'],
}

/** Whatever a route threw, as one of rel's codes. What nobody expected becomes panel_failed. */
export function relErrorOf(error: unknown): RelError {
  if (error instanceof RelError) return error
  const {
    code = '',
    validation,
    validationContext = 'the request',
    statusCode = 500,
  } = error as FrameworkError
  if (validation !== undefined) return invalid(validation, validationContext)
  const known = frameworkErrors[code]
  if (known !== undefined) return new RelError(known[0], known[1], {cause: error})
  if (code.startsWith('FST_') && statusCode < 500)
    return new RelError('request_invalid', 'the request is not well-formed', {cause: error})
  if (isFullDisk(error))
    return new RelError('disk_full', 'no space left on the device', {cause: error})
  return new RelError('panel_failed', 'the panel failed on this request', {cause: error})
}

type FrameworkError = {
  readonly code?: string
  readonly statusCode?: number
  readonly validation?: readonly {readonly instancePath?: string; readonly keyword?: string}[]
  readonly validationContext?: string
}

/** Where it is wrong and how, never what was sent. */
function invalid(validation: NonNullable<FrameworkError['validation']>, context: string): RelError {
  const [first] = validation
  const path = (first?.instancePath ?? '').slice(0, 80)
  const where = path === '' ? context : `${context} ${path}`
  return new RelError('request_invalid', `${where} is wrong: ${first?.keyword ?? 'another form'}`)
}
