import {compareVersions} from '../bundle/version.ts'
import {RelError} from '../system/error.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {nodeName} from '../system/node-name.ts'
import {type Anchor, checkDigest, keysFor} from '../trust/anchor.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import {
  addSignature,
  checkSignatures,
  type EnvelopeSignature,
  parseSignatures,
} from '../trust/envelope.ts'
import {timeText} from '../trust/expiry.ts'
import type {Signer} from '../trust/signer.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {isSafeVersion} from './record.ts'

/** Limits on a grant, which is read before it is trusted. */
export const grantLimits = {
  /** 1,000 nodes of the longest names are 131 KB. */
  bytes: 256 * 1024,
  depth: 4,
  nodes: 1000,
} as const

/** Permission to go from one version to an older one, once a node (docs/formats/grant.md). */
export type RollbackGrant = {
  readonly product: string
  /** What must run. */
  readonly from: string
  /** What may run instead, older than `from`. */
  readonly to: string
  /** Names of nodes, as their configuration has them; sorted. */
  readonly nodes: readonly string[]
  /** Seconds since the epoch after which it is worth nothing. */
  readonly notAfter: number
  /** 32 hex digits; a node takes each one once. */
  readonly nonce: string
}

/** A grant as read: well-formed, its signatures not checked yet. */
export type GrantFile = {
  readonly grant: RollbackGrant
  readonly canonical: string
  readonly signatures: readonly EnvelopeSignature[]
}

/** Why a grant does not count, as cause_code of upgrade_grant_invalid. */
export type GrantProblem =
  | 'grant_malformed'
  | 'grant_signature'
  | 'grant_expired'
  | 'grant_used'
  | 'grant_limit'
  | 'grant_wrong_product'
  | 'grant_wrong_node'
  | 'grant_wrong_version'

/** The refusal of a grant. */
function grantError(problem: GrantProblem | string, message: string, cause?: unknown) {
  return new RelError('upgrade_grant_invalid', message, {cause, details: {cause_code: problem}})
}

const nonce = /^[0-9a-f]{32}$/
const product = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** A grant as data; nothing is trusted yet. Refuses with upgrade_grant_invalid. */
export function parseGrant(bytes: Uint8Array): GrantFile {
  try {
    const top = objectOf(parseStrictJson(bytes, grantLimits), ['grant', 'signatures'])
    const grant = grantOf(objectOf(top.grant, grantKeys))
    const signatures = parseSignatures(top.signatures ?? [])
    return {grant, canonical: canonicalJson(grantJson(grant)), signatures}
  } catch (error) {
    if (!(error instanceof RelError) || error.code === 'upgrade_grant_invalid') throw error
    throw grantError(error.code, `the grant cannot be read: ${error.message}`, error)
  }
}

const grantKeys = ['spec', 'product', 'from', 'to', 'nodes', 'not_after', 'nonce']

function objectOf(
  json: JsonValue | undefined,
  keys: readonly string[],
): Readonly<Record<string, JsonValue | undefined>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw malformed('the grant is no object')
  if (Object.keys(json).some((key) => !keys.includes(key)))
    throw malformed('the grant has a key that is not known')
  return json as JsonObject
}

function grantOf(json: Readonly<Record<string, JsonValue | undefined>>): RollbackGrant {
  if (json.spec !== 1) throw malformed('the grant is not of spec 1')
  const {from, to, nodes, not_after: notAfter} = json
  if (!isSafeVersion(from) || !isSafeVersion(to)) throw malformed('from or to is no version')
  if (compareVersions(to, from) >= 0) throw malformed(`${to} is not older than ${from}`)
  if (!Number.isSafeInteger(notAfter) || (notAfter as number) < 0)
    throw malformed('not_after is no time')
  if (!Array.isArray(nodes) || nodes.length === 0 || nodes.length > grantLimits.nodes)
    throw malformed(`nodes is no list of 1 to ${grantLimits.nodes} names`)
  const names = nodes.map((name) => textOf(name as JsonValue, nodeName, 'a node'))
  if (names.some((name, at) => at > 0 && (names[at - 1] ?? '') >= name))
    throw malformed('nodes are not sorted, or one is named twice')
  return {
    product: textOf(json.product, product, 'product'),
    from,
    to,
    nodes: names,
    notAfter: notAfter as number,
    nonce: textOf(json.nonce, nonce, 'nonce'),
  }
}

function textOf(json: JsonValue | undefined, pattern: RegExp, what: string): string {
  if (typeof json === 'string' && pattern.test(json)) return json
  throw malformed(`${what} has another form than is allowed`)
}

function malformed(message: string): RelError {
  return grantError('grant_malformed', message)
}

/** The signed part. */
export function grantJson(grant: RollbackGrant): JsonObject {
  const {from, to, nodes, notAfter} = grant
  return {
    spec: 1,
    product: grant.product,
    from,
    to,
    nodes: [...nodes],
    not_after: notAfter,
    nonce: grant.nonce,
  }
}

/** The text of a grant's file. */
export function grantText({grant, signatures}: Pick<GrantFile, 'grant' | 'signatures'>): string {
  const signed = signatures.map(({keyid, sig}) => ({keyid, sig}))
  return `${JSON.stringify({grant: grantJson(grant), signatures: signed}, null, 2)}\n`
}

/**
 * A grant with one more signature. Refuses with upgrade_grant_invalid (so nothing is signed that
 * could not be read back), signature_invalid, signature_limit and what the signer refuses with.
 */
export async function signGrant(
  grant: RollbackGrant,
  signer: Signer,
  existing: readonly EnvelopeSignature[] = [],
): Promise<GrantFile> {
  const sorted = {...grant, nodes: [...new Set(grant.nodes)].toSorted()}
  const {canonical} = parseGrant(Buffer.from(grantText({grant: sorted, signatures: existing})))
  const signatures = await addSignature('rollback', canonical, existing, signer)
  return {grant: sorted, canonical, signatures}
}

/** What a grant is held against. */
export type GrantFacts = {
  readonly product: string
  /** This node's name; a node without one takes no grant. */
  readonly node: string | undefined
  /** What runs. */
  readonly from: string
  /** What would run, and the channel it is signed for. */
  readonly to: string
  readonly channel: string | undefined
  /** Seconds since the epoch. */
  readonly now: number
}

/**
 * That a grant is signed by the rollback keys of its product and channel, is for this node and
 * exactly this step, and has not expired. Whether it was used is not asked here.
 * Refuses with upgrade_grant_invalid.
 */
export function checkGrant(file: GrantFile, anchor: Anchor, facts: GrantFacts): void {
  const {grant} = file
  checkGrantKeys(file, anchor, facts)
  if (grant.product !== facts.product)
    throw grantError('grant_wrong_product', `the grant is for ${grant.product}`)
  if (facts.node === undefined)
    throw grantError('grant_wrong_node', 'this node has no name: device.json has no node')
  if (!grant.nodes.includes(facts.node))
    throw grantError('grant_wrong_node', `the grant does not name ${facts.node}`)
  if (grant.from !== facts.from)
    throw grantError('grant_wrong_version', `the grant is from ${grant.from}, ${facts.from} runs`)
  if (grant.to !== facts.to)
    throw grantError('grant_wrong_version', `the grant is to ${grant.to}, not to ${facts.to}`)
  if (facts.now > grant.notAfter)
    throw grantError('grant_expired', `the grant was good until ${timeText(grant.notAfter)}`)
}

function checkGrantKeys(
  {grant, canonical, signatures}: GrantFile,
  anchor: Anchor,
  {channel = '', now}: GrantFacts,
): void {
  try {
    checkDigest(anchor, sha256Hex(canonical))
    const keys = keysFor(anchor, 'rollback', {product: grant.product, channel, now})
    checkSignatures('rollback', canonical, signatures, keys)
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    throw grantError(error.code, `the grant does not count: ${error.message}`, error)
  }
}

/** A grant that this node has taken. */
export type UsedGrant = {
  readonly nonce: string
  readonly from: string
  readonly to: string
  /** Of the version that it let in. */
  readonly digest: string
  readonly notAfter: number
  /** Of the record that it is used on, until the act is recorded; absent from then on. */
  readonly seq?: number
}

/** What a node remembers of grants. */
export type GrantMemory = {
  readonly used: readonly UsedGrant[]
  /** The latest end of a grant that was forgotten: none that ends by then is taken again. */
  readonly forgottenUntil: number
}

/** A node is taken back rarely; 100 entries of the longest versions fit the limit of a record. */
export const MAX_USED_GRANTS = 100

/**
 * The memory with one more grant. A run that was killed before it acted may use its grant again, on
 * the same record. Refuses with upgrade_grant_invalid.
 */
export function withUsed(
  memory: GrantMemory,
  next: UsedGrant & {readonly seq: number},
  now: number,
): GrantMemory {
  const before = memory.used.find(({nonce: known}) => known === next.nonce)
  if (before !== undefined) {
    if (before.seq === next.seq && before.digest === next.digest) return memory
    throw grantError('grant_used', 'the grant was used on this node')
  }
  if (next.notAfter <= memory.forgottenUntil)
    throw grantError('grant_used', 'the grant may have been used on this node, and is forgotten')
  if (memory.used.length < MAX_USED_GRANTS) return {...memory, used: [...memory.used, next]}
  const [first, ...rest] = memory.used.toSorted((a, b) => a.notAfter - b.notAfter)
  if (first === undefined || first.notAfter >= now)
    throw grantError('grant_limit', `${MAX_USED_GRANTS} grants were used that are still good`)
  const forgottenUntil = Math.max(memory.forgottenUntil, first.notAfter)
  return {used: [...rest, next], forgottenUntil}
}

/** The grant under which a version was staged or runs. */
export function grantOver(
  {used}: GrantMemory,
  {version, digest}: {readonly version: string; readonly digest: string},
): UsedGrant | undefined {
  return used.findLast((it) => it.to === version && it.digest === digest)
}
