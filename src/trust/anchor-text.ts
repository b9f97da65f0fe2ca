import type {Anchor, Grant, LegacyRule, Limits} from './anchor.ts'
import {shortId} from './envelope.ts'
import {timeText} from './expiry.ts'
import {type AllowedSigner, allowedSignerJson} from './sigstore/allowed-signer.ts'

/** What an anchor says, a line each, without its version and expiry. */
export function anchorLines(anchor: Anchor): string[] {
  const name = (keyId: string): string => keyLabel(anchor, keyId)
  return [
    ...[...anchor.keys].map(([keyId, {notAfter}]) => `key ${name(keyId)}${until(notAfter)}`),
    ...[...anchor.roles].flatMap(([role, grants]) =>
      grants.map((grant) => `role ${role}: ${grantText(grant, name)}`),
    ),
    ...anchor.revoked.map(
      ({keyId, since, reason}) =>
        `revoked key ${shortId(keyId)} since ${timeText(since)}${reason ? `: ${reason}` : ''}`,
    ),
    ...anchor.revokedDigests.map((digest) => `revoked document ${digest}`),
    ...anchor.allowedSigners.map(signerText),
    ...legacyLines(anchor.legacy),
  ]
}

function legacyLines(rule: LegacyRule): string[] {
  if (rule === 'deny') return []
  const limits = rule === 'allow' ? '' : limitsText(rule)
  return [`manifests without a rel section (D2) are taken${limits}`]
}

/** All of it: two identities that differ in one field only are two. */
function signerText(signer: AllowedSigner): string {
  const {issuer, san, ...rest} = allowedSignerJson(signer)
  return `allowed signer ${san} of ${issuer}, ${JSON.stringify(rest)}`
}

/** A key as people see it: the first digits of its id, and its name. */
export function keyLabel(anchor: Anchor, keyId: string): string {
  const name = anchor.keys.get(keyId)?.name
  return name === undefined ? shortId(keyId) : `${shortId(keyId)} (${name})`
}

function until(notAfter: number | undefined): string {
  return notAfter === undefined ? '' : ` until ${timeText(notAfter)}`
}

function grantText(grant: Grant, name: (keyId: string) => string): string {
  const keys = grant.keyIds.map(name).join(', ')
  return `${grant.threshold} of ${keys}${limitsText(grant)}`
}

function limitsText({products, channels}: Limits): string {
  const product = products === undefined ? '' : `, for ${products.join(', ')}`
  const channel = channels === undefined ? '' : `, on ${channels.join(', ')}`
  return product + channel
}

/** What differs between two versions: lines that went (-) and lines that came (+). */
export function describeChange(before: Anchor | undefined, after: Anchor): string[] {
  const old = before === undefined ? [] : statements(before)
  const now = statements(after)
  return [
    ...old.filter((line) => !now.includes(line)).map((line) => `- ${line}`),
    ...now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
  ]
}

function statements(anchor: Anchor): string[] {
  return [`expires ${timeText(anchor.expires)}`, ...anchorLines(anchor)]
}
