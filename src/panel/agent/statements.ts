import type {TrackName} from '../../release/license.ts'
import type {ChannelName} from '../../release/release.ts'
import type {JsonObject} from '../../system/json.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import {addSignature} from '../../trust/envelope.ts'
import type {PayloadKind} from '../../trust/payload-type.ts'
import type {Signer} from '../../trust/signer.ts'

/** What the panel's online key says is current: who holds back a newer release cannot forge it. */
export type Freshness = {
  readonly product: string
  readonly track: TrackName
  readonly channels: readonly ChannelName[]
  /** What the asker runs, where it has said so: what is offered follows from it. */
  readonly current?: string | undefined
  /** Digest of the canonical form of the release manifest that is advertised. */
  readonly manifestSha256: string
  readonly sequence: number
  readonly log: {readonly size: number; readonly root: string}
  readonly issued: number
  readonly expires: number
}

/**
 * When a statement is issued and until when it is good: in steps of a seventh of its life, so that
 * every instance of a panel says the same, byte for byte, and it is renewed daily when it is good
 * for a week.
 */
export function freshPeriod(now: number, lifeSecs: number): {issued: number; expires: number} {
  const step = Math.max(1, Math.floor(lifeSecs / 7))
  const issued = now - (now % step)
  return {issued, expires: issued + lifeSecs}
}

/** A freshness statement as JSON text (docs/formats/release-manifest.md). */
export function freshnessText(freshness: Freshness, signer: Signer): Promise<string> {
  const {product, track, channels, current, sequence, log, issued, expires} = freshness
  return signed('freshness', signer, {
    spec: 1,
    product,
    track,
    channels,
    ...(current === undefined ? {} : {current}),
    manifest_sha256: freshness.manifestSha256,
    sequence,
    log_size: log.size,
    log_root: log.root,
    issued,
    expires,
  })
}

/** The head of a product's release log as JSON text, signed. */
export function checkpointText(
  checkpoint: Pick<Freshness, 'product' | 'log' | 'issued' | 'expires'>,
  signer: Signer,
): Promise<string> {
  const {product, log, issued, expires} = checkpoint
  const body = {spec: 1, product, log_size: log.size, log_root: log.root, issued, expires}
  return signed('checkpoint', signer, body)
}

async function signed(kind: PayloadKind, signer: Signer, body: JsonObject): Promise<string> {
  const canonical = canonicalJson(body)
  const signatures = await addSignature(kind, canonical, [], signer)
  return `{"${kind}":${canonical},"signatures":${canonicalJson(signatures.map(({keyid, sig}) => ({keyid, sig})))}}`
}
