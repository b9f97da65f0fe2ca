import {fieldReader, namePattern} from '../release/fields.ts'
import type {ReleaseFile} from '../release/release.ts'
import {channelOf} from '../release/version.ts'
import {digestPattern} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {type Anchor, keysFor} from '../trust/anchor.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import {checkSignatures, parseSignatures} from '../trust/envelope.ts'

/** The head of a release log: it only grows. */
export type LogHead = {readonly size: number; readonly root: string}

/** What a panel's online key has said is current, verified. */
export type Freshness = {
  /** Digest of the release manifest that it is about. */
  readonly digest: string
  readonly log: LogHead
  /** Seconds since the epoch. */
  readonly issued: number
  readonly expires: number
  /** Ids of the keys that the anchor trusts for this, among those that signed it. */
  readonly signers: readonly string[]
}

const read = fieldReader('upgrade_source_invalid')
const keys = [
  'spec',
  'product',
  'track',
  'channels',
  'current',
  'manifest_sha256',
  'sequence',
  'log_size',
  'log_root',
  'issued',
  'expires',
]

/** A panel's are good for a week; one without an end would hide for ever that nothing new comes. */
const MAX_LIFE_SECS = 92 * 86_400

/** Clocks of panels and nodes may differ by this much. */
const SKEW_SECS = 300

/** What a node has asked for: a statement on something else says nothing of it, however fresh. */
export type FreshnessTerms = {
  readonly track: string
  /** That the licence opens and the node takes; all of them must have been looked at. */
  readonly channels: readonly string[]
  /** The version that runs. */
  readonly current: string
}

/**
 * The statement that came with a release, signed by a key that the anchor gives the role freshness;
 * undefined when the anchor knows no such key, for then nothing that it says could be believed.
 * Refuses with upgrade_source_invalid (missing, malformed, about another release, product or
 * question, not signed), upgrade_clock_untrusted.
 */
export function checkFreshness(
  json: JsonValue | undefined,
  {release, digest}: Pick<ReleaseFile, 'release' | 'digest'>,
  asked: FreshnessTerms,
  anchor: Anchor,
  now: number,
): Freshness | undefined {
  if (anchor.roles.get('freshness') === undefined) return undefined
  const top = read.object(json, 'freshness')
  read.only(top, ['freshness', 'signatures'], 'freshness')
  const body = read.object(top.freshness, 'freshness')
  const signers = checkSigned(body, top.signatures, release, anchor, now)
  read.only(body, keys, 'freshness')
  const product = read.text(body.product, 'product', namePattern)
  const channels = read.list(body.channels, 'channels', 16)
  const fresh: Freshness = {
    digest: read.text(body.manifest_sha256, 'manifest_sha256', digestPattern),
    log: {
      size: read.integer(body.log_size, 'log_size'),
      root: read.text(body.log_root, 'log_root', digestPattern),
    },
    issued: read.integer(body.issued, 'issued'),
    expires: read.integer(body.expires, 'expires'),
    signers,
  }
  if (body.spec !== 1 || product !== release.product || fresh.digest !== digest)
    read.refuse('the freshness statement is about something else')
  // whoever has no key can still relay what a panel has told another node, as fresh as it is
  if (body.track !== asked.track || body.current !== asked.current)
    read.refuse('the freshness statement answers another question')
  if (![channelOf(release.version), ...asked.channels].every((it) => channels.includes(it)))
    read.refuse('the freshness statement is for other channels')
  if (fresh.expires <= fresh.issued) read.refuse('the freshness statement ends before it begins')
  if (fresh.expires - fresh.issued > MAX_LIFE_SECS)
    read.refuse('the freshness statement would be good for too long to say anything')
  if (fresh.issued > now + SKEW_SECS)
    throw new RelError('upgrade_clock_untrusted', `issued at ${fresh.issued}, now is ${now}`, {
      details: {now, signed: fresh.issued},
    })
  return fresh
}

function checkSigned(
  body: JsonObject,
  signatures: JsonValue | undefined,
  {product, channel}: ReleaseFile['release'],
  anchor: Anchor,
  now: number,
): readonly string[] {
  try {
    const trusted = keysFor(anchor, 'freshness', {product, channel, now})
    const signed = parseSignatures(signatures)
    checkSignatures('freshness', canonicalJson(body), signed, trusted)
    const known = freshnessKeys(anchor)
    return signed.flatMap(({keyid}) => (known.includes(keyid) ? [keyid] : [])).toSorted()
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    throw new RelError('upgrade_source_invalid', `freshness: ${error.message}`, {
      cause: error,
      details: {cause_code: error.code},
    })
  }
}

/** Ids of the keys by which a node would believe a statement. */
export function freshnessKeys({roles, revoked}: Anchor): readonly string[] {
  const isRevoked = (id: string) => revoked.some(({keyId}) => keyId === id)
  const ids = (roles.get('freshness') ?? []).flatMap(({keyIds}) => keyIds)
  return ids.filter((id) => !isRevoked(id))
}

/**
 * That a log has not been put back: never shorter than before, never another one of the same size.
 * Refuses with upgrade_source_rewound.
 */
export function checkNotRewound(before: LogHead | undefined, {size, root}: LogHead): void {
  if (before === undefined || size > before.size) return
  if (size === before.size && root === before.root) return
  throw new RelError(
    'upgrade_source_rewound',
    `the log has ${size} entries, ${before.size} before`,
    {
      details: {size, seen: before.size},
    },
  )
}

/** Since when a statement should have been followed by a newer one; undefined while it holds. */
export function staleSince(
  fresh: Pick<Freshness, 'expires'> | undefined,
  now: number,
): number | undefined {
  return fresh !== undefined && now >= fresh.expires ? fresh.expires : undefined
}
