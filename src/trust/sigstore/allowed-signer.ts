import {RelError} from '../../system/error.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'

/** One identity that may sign (docs/formats/sigstore.md). All texts are compared exactly. */
export type AllowedSigner = {
  /** The OIDC issuer that vouched for the workflow, https. */
  readonly issuer: string
  /** The certificate's subject alternative name; `{version}` stands for the signed version. */
  readonly san: string
  /** Number of the source repository, which survives renames and is never used again. */
  readonly repoId: string
  /** Events that may have started the workflow, at least one. */
  readonly trigger: readonly string[]
  /** Runner environment, such as github-hosted; any when absent. */
  readonly runner?: string
  /** Seconds since the epoch: the proven time of the signature lies in this period. */
  readonly notBefore: number
  /** No end when absent; `null` on the wire means the same. */
  readonly notAfter?: number
  /** Products it may sign; any when absent. */
  readonly products?: readonly string[]
}

const limits = {
  /** More identities than one product has workflows; bounds the work per verification. */
  entries: 64,
  /** Events of one workflow. */
  triggers: 16,
  /** Products of one workflow. */
  products: 256,
  /** Longer than any workflow reference; GitHub limits refs to 255 bytes. */
  textLength: 1024,
} as const

const fields: readonly string[] = [
  'issuer',
  'san',
  'repo_id',
  'trigger',
  'runner',
  'not_before',
  'not_after',
  'products',
]

/**
 * The `allowed_signers` of a trust anchor or of a file. An empty list is refused with
 * identity_policy_empty, anything unknown or inexact with identity_policy_malformed.
 */
export function parseAllowedSigners(json: JsonValue | undefined): AllowedSigner[] {
  if (!Array.isArray(json)) throw malformed('allowed_signers is not an array')
  if (json.length === 0) throw new RelError('identity_policy_empty', 'allowed_signers is empty')
  if (json.length > limits.entries)
    throw malformed(`${json.length} allowed signers, at most ${limits.entries} are read`)
  return json.map((entry: JsonValue, at) => parseAllowedSigner(entry, `allowed_signers[${at}]`))
}

/** The entry as it stands in trust.json; the inverse of the parser. */
export function allowedSignerJson(signer: AllowedSigner): JsonObject {
  return {
    issuer: signer.issuer,
    san: signer.san,
    repo_id: signer.repoId,
    trigger: [...signer.trigger],
    ...(signer.runner === undefined ? {} : {runner: signer.runner}),
    not_before: signer.notBefore,
    ...(signer.notAfter === undefined ? {} : {not_after: signer.notAfter}),
    ...(signer.products === undefined ? {} : {products: [...signer.products]}),
  }
}

function parseAllowedSigner(json: JsonValue, where: string): AllowedSigner {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw malformed(`${where} is not an object`)
  const entry = json as JsonObject
  const unknown = Object.keys(entry).find((key) => !fields.includes(key))
  if (unknown !== undefined) throw malformed(`${where} has an unknown field`)
  const {runner, not_before: notBefore, not_after: notAfter, products} = entry
  const signer: AllowedSigner = {
    issuer: httpsUrl(entry.issuer, `issuer of ${where}`),
    san: sanTemplate(entry.san, `san of ${where}`),
    repoId: digits(entry.repo_id, `repo_id of ${where}`),
    trigger: texts(entry.trigger, limits.triggers, `trigger of ${where}`),
    ...(runner === undefined ? {} : {runner: text(runner, `runner of ${where}`)}),
    notBefore: notBefore === undefined ? 0 : seconds(notBefore, where),
    ...(notAfter === undefined || notAfter === null ? {} : {notAfter: seconds(notAfter, where)}),
    ...(products === undefined
      ? {}
      : {products: texts(products, limits.products, `products of ${where}`)}),
  }
  if (signer.notAfter !== undefined && signer.notAfter < signer.notBefore)
    throw malformed(`${where} ends before it begins`)
  return signer
}

/** Printable ASCII without spaces and without `*`: whoever writes a pattern expects it to match. */
function text(json: JsonValue | undefined, what: string): string {
  if (typeof json !== 'string' || json.length > limits.textLength || !/^[!-)+-~]+$/.test(json))
    throw malformed(`${what} is not an exact text of printable ASCII without spaces and *`)
  return json
}

function httpsUrl(json: JsonValue | undefined, what: string): string {
  const value = text(json, what)
  if (!value.startsWith('https://') || !URL.canParse(value))
    throw malformed(`${what} is not an https address`)
  return value
}

function sanTemplate(json: JsonValue | undefined, what: string): string {
  const value = text(json, what)
  if (/[{}]/.test(value.replaceAll('{version}', '')))
    throw malformed(`${what} has a placeholder other than {version}`)
  return value
}

function digits(json: JsonValue | undefined, what: string): string {
  if (typeof json !== 'string' || !/^[1-9][0-9]{0,18}$/.test(json))
    throw malformed(`${what} is not a number in quotes`)
  return json
}

function texts(json: JsonValue | undefined, limit: number, what: string): readonly string[] {
  if (!Array.isArray(json) || json.length === 0 || json.length > limit)
    throw malformed(`${what} is not an array of 1 to ${limit} texts`)
  const entries = json.map((entry: JsonValue) => text(entry, what))
  if (new Set(entries).size < entries.length) throw malformed(`${what} names something twice`)
  return entries
}

function seconds(json: JsonValue, where: string): number {
  if (typeof json !== 'number' || !Number.isSafeInteger(json) || json < 0)
    throw malformed(`a period of ${where} is not a count of seconds`)
  return json
}

function malformed(message: string): RelError {
  return new RelError('identity_policy_malformed', message)
}
