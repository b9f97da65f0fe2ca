import {RelError} from '../../system/error.ts'
import type {AllowedSigner} from './allowed-signer.ts'
import {derContent} from './der.ts'

/** Who signed and when, as a trusted Fulcio, log and clock vouch for it. */
export type SignerIdentity = {
  readonly issuer: string
  readonly san: string
  /** Absent in certificates of people, who have no repository. */
  readonly repoId: string | undefined
  readonly trigger: string | undefined
  readonly runner: string | undefined
  /** Every proven time of the signature, seconds since the epoch; at least one. */
  readonly signedAt: readonly number[]
}

/** A certificate extension: its OID in dots, and the content of its OCTET STRING. */
export type Extension = {readonly oid: string; readonly value: Uint8Array}

/** sigstore/fulcio docs/oid-info.md; the older .1 to .6 say the same in another encoding. */
const oids = {
  issuer: '1.3.6.1.4.1.57264.1.8',
  runner: '1.3.6.1.4.1.57264.1.11',
  repoId: '1.3.6.1.4.1.57264.1.15',
  trigger: '1.3.6.1.4.1.57264.1.20',
  // RFC 5280 4.2.1.6
  san: '2.5.29.17',
} as const

const UTF8_STRING = 0x0c
const SEQUENCE = 0x30
const RFC822_NAME = 0x81
const URI = 0x86

/**
 * The identity in a certificate that was verified. Read from the DER here, because sigstore-js
 * masks bytes to seven bits, which could make one name of two. Refuses with
 * sigstore_certificate_invalid when a field is doubled, unreadable or not printable ASCII.
 */
export function readIdentity(
  extensions: readonly Extension[],
  signedAt: readonly number[],
): SignerIdentity {
  const issuer = textOf(extensions, oids.issuer)
  if (issuer === undefined) throw unreadable('the certificate names no issuer')
  return {
    issuer,
    san: sanOf(extensions),
    repoId: textOf(extensions, oids.repoId),
    trigger: textOf(extensions, oids.trigger),
    runner: textOf(extensions, oids.runner),
    signedAt,
  }
}

function extensionOf(extensions: readonly Extension[], oid: string): Uint8Array | undefined {
  const [found, ...more] = extensions.filter((extension) => extension.oid === oid)
  if (more.length > 0) throw unreadable(`the certificate has extension ${oid} twice`)
  return found?.value
}

function textOf(extensions: readonly Extension[], oid: string): string | undefined {
  const value = extensionOf(extensions, oid)
  return value && printable(derContent(value, UTF8_STRING), `extension ${oid}`)
}

/** Exactly one name, a URI (workflows) or a mail address (people): of two, which one would count? */
function sanOf(extensions: readonly Extension[]): string {
  const names = derContent(extensionOf(extensions, oids.san) ?? new Uint8Array(), SEQUENCE)
  const name = names && (derContent(names, URI) ?? derContent(names, RFC822_NAME))
  return printable(name, 'the subject alternative name')
}

function printable(bytes: Uint8Array | undefined, what: string): string {
  const text = bytes === undefined ? '' : Buffer.from(bytes).toString('latin1')
  if (!/^[!-~]{1,2048}$/.test(text))
    throw unreadable(`${what} of the certificate is not one printable ASCII text`)
  return text
}

function unreadable(message: string): RelError {
  return new RelError('sigstore_certificate_invalid', message)
}

type Comparison = {
  readonly code:
    | 'identity_issuer_mismatch'
    | 'identity_not_allowed'
    | 'identity_version_mismatch'
    | 'identity_repository_mismatch'
    | 'identity_trigger_mismatch'
    | 'identity_runner_mismatch'
    | 'identity_out_of_period'
  readonly field: string
  readonly seen: string
  readonly wanted: string
  readonly equal: boolean
}

/**
 * The entry that allows this identity for a version. Every field is compared as text, never as a
 * pattern. Of several entries that do not fit, the refusal speaks of the one that came closest.
 * Refuses with identity_policy_empty and the other identity_* codes.
 */
export function matchIdentity(
  identity: SignerIdentity,
  allowed: readonly AllowedSigner[],
  version: string,
): AllowedSigner {
  if (allowed.length === 0)
    throw new RelError('identity_policy_empty', 'no signer identity is allowed')
  let closest: {readonly depth: number; readonly miss: Comparison} | undefined
  for (const signer of allowed) {
    const comparisons = compare(identity, signer, version)
    const depth = comparisons.findIndex(({equal}) => !equal)
    const miss = comparisons[depth]
    if (miss === undefined) return signer
    if (closest === undefined || depth > closest.depth) closest = {depth, miss}
  }
  throw refusal(closest?.miss, allowed.length)
}

function compare(
  identity: SignerIdentity,
  signer: AllowedSigner,
  version: string,
): readonly Comparison[] {
  const san = signer.san.split('{version}').join(version)
  const {repoId, trigger, runner, signedAt} = identity
  const wantedRunner = signer.runner ?? runner
  const outside = signedAt.find(
    (at) => at < signer.notBefore || at > (signer.notAfter ?? Number.POSITIVE_INFINITY),
  )
  return [
    exactly('identity_issuer_mismatch', 'issuer', identity.issuer, signer.issuer),
    exactly(sanCode(identity.san, signer.san), 'san', identity.san, san),
    exactly('identity_repository_mismatch', 'repo_id', repoId, signer.repoId),
    {
      ...exactly('identity_trigger_mismatch', 'trigger', trigger, signer.trigger.join(' or ')),
      equal: trigger !== undefined && signer.trigger.includes(trigger),
    },
    exactly('identity_runner_mismatch', 'runner', runner, wantedRunner),
    {
      ...exactly('identity_out_of_period', 'time', String(outside), periodOf(signer)),
      equal: outside === undefined,
    },
  ]
}

function exactly(
  code: Comparison['code'],
  field: string,
  seen: string | undefined,
  wanted: string | undefined,
): Comparison {
  const equal = seen === wanted
  return {code, field, seen: seen ?? '(none)', wanted: wanted ?? '(none)', equal}
}

/** Tells a wrong version from a wrong signer; only words the refusal, decides nothing. */
function sanCode(seen: string, template: string): Comparison['code'] {
  const [before, after, ...more] = template.split('{version}')
  if (before === undefined || after === undefined || more.length > 0) return 'identity_not_allowed'
  const fits = seen.startsWith(before) && seen.endsWith(after)
  const middle = fits ? seen.slice(before.length, seen.length - after.length) : ''
  return /^[0-9][0-9A-Za-z.+-]*$/.test(middle)
    ? 'identity_version_mismatch'
    : 'identity_not_allowed'
}

function periodOf({notBefore, notAfter}: AllowedSigner): string {
  return `${notBefore} to ${notAfter ?? 'any time'}`
}

function refusal(miss: Comparison | undefined, entries: number): RelError {
  if (miss === undefined) return new RelError('identity_not_allowed', 'no entry fits the signer')
  const {code, field, seen, wanted} = miss
  const among = entries === 1 ? '' : `, the closest of ${entries} allowed signers`
  return new RelError(code, `${field} of the signer is ${seen}, want ${wanted}${among}`, {
    details: {field, seen, wanted},
  })
}
