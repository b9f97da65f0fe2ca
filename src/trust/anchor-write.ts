import type {JsonObject} from '../system/json.ts'
import type {Anchor, AnchorFile, AnchorKey, Grant} from './anchor.ts'
import {allowedSignerJson} from './sigstore/allowed-signer.ts'

/** The signed part of an anchor as it stands in `trust.json`; absent means absent, never null. */
export function anchorJson(anchor: Anchor): JsonObject {
  return {
    spec: anchor.spec,
    version: anchor.version,
    expires: anchor.expires,
    keys: Object.fromEntries([...anchor.keys].map(([keyId, key]) => [keyId, keyJson(key)])),
    roles: Object.fromEntries(
      [...anchor.roles].map(([role, grants]) => [role, grants.map(grantJson)]),
    ),
    revoked: anchor.revoked.map(({keyId, since, reason}) => ({
      keyid: keyId,
      since,
      ...(reason === undefined ? {} : {reason}),
    })),
    revoked_digests: anchor.revokedDigests,
    ...(anchor.allowedSigners.length === 0
      ? {}
      : {allowed_signers: anchor.allowedSigners.map(allowedSignerJson)}),
    legacy: typeof anchor.legacy === 'string' ? anchor.legacy : {...anchor.legacy},
  }
}

function keyJson({publicKey, name, notAfter}: AnchorKey): JsonObject {
  return {
    alg: 'ed25519',
    public: Buffer.from(publicKey.raw).toString('base64'),
    ...(name === undefined ? {} : {name}),
    ...(notAfter === undefined ? {} : {not_after: notAfter}),
  }
}

function grantJson({keyIds, threshold, products, channels}: Grant): JsonObject {
  return {
    keyids: keyIds,
    threshold,
    ...(products === undefined ? {} : {products}),
    ...(channels === undefined ? {} : {channels}),
  }
}

/** The text of `trust.json`, indented for people; signatures cover the canonical form, not this. */
export function anchorText(file: Pick<AnchorFile, 'anchor' | 'signatures'>): string {
  const json = {trust: anchorJson(file.anchor), signatures: file.signatures}
  return `${JSON.stringify(json, undefined, 2)}\n`
}
