import {fieldReader} from '../release/fields.ts'
import {digestPattern} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonValue} from '../system/json.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import type {LogHead} from './freshness.ts'

/** A log of more leaves is not fetched as a whole by every node after every release. */
export const MAX_PROVEN_LEAVES = 1000

/** A leaf is a line of JSON or a digest. */
export const MAX_LOG_BYTES = 1024 * 1024

const read = fieldReader('upgrade_source_invalid')

/**
 * That a log has grown out of what it was: its first leaves have the root that was seen, and all of
 * them the one that is signed now. `body` is the answer of /v1/products/P/log from its first leaf on.
 * Refuses with upgrade_source_rewound, upgrade_source_invalid.
 */
export function checkGrown(body: Uint8Array, before: LogHead, now: LogHead): void {
  const top = read.object(parsed(body), 'the log')
  const leaves = read.list(top.leaves, 'leaves', MAX_PROVEN_LEAVES).map(leafHash)
  const isWhole = leaves.length >= now.size
  if (
    isWhole &&
    rootOf(leaves, before.size) === before.root &&
    rootOf(leaves, now.size) === now.root
  )
    return
  throw new RelError('upgrade_source_rewound', 'the log has not grown out of the one before', {
    details: {size: now.size, seen: before.size},
  })
}

function parsed(body: Uint8Array): JsonValue {
  try {
    return parseStrictJson(body, {bytes: MAX_LOG_BYTES, depth: 6})
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    throw new RelError('upgrade_source_invalid', `the log: ${error.message}`, {cause: error})
  }
}

/** Of other channels the hash alone is shown. */
function leafHash(json: JsonValue, at: number): Buffer {
  const {index, text, hash} = read.object(json, 'a leaf')
  if (index !== at) read.refuse('the leaves are not in their order')
  if (typeof text === 'string') return digest(Buffer.from([0]), Buffer.from(text))
  return Buffer.from(read.text(hash, 'hash', digestPattern), 'hex')
}

/** RFC 6962 section 2.1, in hex. */
function rootOf(leaves: readonly Buffer[], size: number): string {
  return (size === 0 ? digest() : treeHash(leaves.slice(0, size))).toString('hex')
}

function treeHash(leaves: readonly Buffer[]): Buffer {
  const [only = digest(), second] = leaves
  if (second === undefined) return only
  let half = 1
  while (half * 2 < leaves.length) half *= 2
  return digest(Buffer.from([1]), treeHash(leaves.slice(0, half)), treeHash(leaves.slice(half)))
}

function digest(...parts: readonly Buffer[]): Buffer {
  return Buffer.from(sha256Hex(Buffer.concat(parts)), 'hex')
}
