import type {PublicKey} from './ed25519.ts'

/** One entry of an envelope's `signatures`: `keyid` is 64 hex digits, `sig` 64 bytes in base64. */
export type EnvelopeSignature = {readonly keyid: string; readonly sig: string}

/** Who must have signed: keys a caller already trusts for this document, and how many of them. */
export type KeySet = {
  readonly keys: readonly PublicKey[]
  readonly threshold: number
}
