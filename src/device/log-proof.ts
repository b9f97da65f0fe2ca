import {fieldReader} from '../release/fields.ts'
import {digestPattern} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonValue} from '../system/json.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import type {LogHead} from './freshness.ts'

/** Two hashes for each doubling, and one: sizes have 53 bits. */
const MAX_HASHES = 107

/** Each hash has 64 digits. */
export const MAX_PROOF_BYTES = 16 * 1024

const read = fieldReader('upgrade_source_invalid')

/**
 * That a log has grown out of what it was: RFC 9162 section 2.1.4.2, of logs that have leaves and are
 * not of one size. `body` is the answer of /v1/products/P/log/consistency.
 * Refuses with upgrade_source_rewound, upgrade_source_invalid.
 */
export function checkGrown(body: Uint8Array, before: LogHead, now: LogHead): void {
  const top = read.object(parsed(body), 'the proof')
  const hashes = read
    .list(top.hashes, 'hashes', MAX_HASHES)
    .map((each) => Buffer.from(read.text(each, 'a hash', digestPattern), 'hex'))
  if (isGrown(hashes, before, now)) return
  throw new RelError('upgrade_source_rewound', 'the log has not grown out of the one before', {
    details: {size: now.size, seen: before.size},
  })
}

function parsed(body: Uint8Array): JsonValue {
  try {
    return parseStrictJson(body, {bytes: MAX_PROOF_BYTES, depth: 4})
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    throw new RelError('upgrade_source_invalid', `the proof: ${error.message}`, {cause: error})
  }
}

function isGrown(hashes: readonly Buffer[], before: LogHead, now: LogHead): boolean {
  const isFull = Number.isInteger(Math.log2(before.size))
  const path = isFull ? [Buffer.from(before.root, 'hex'), ...hashes] : hashes
  const [first, ...rest] = path
  if (first === undefined) return false
  // sizes do not fit in 32 bits: halved, not shifted
  let [at, last] = [before.size - 1, now.size - 1]
  const up = () => {
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  while (at % 2 === 1) up()
  let [was, is] = [first, first]
  for (const hash of rest) {
    if (last === 0) return false
    if (at % 2 === 1 || at === last) {
      was = parent(hash, was)
      is = parent(hash, is)
      while (at % 2 === 0 && at !== 0) up()
    } else is = parent(is, hash)
    up()
  }
  return last === 0 && was.toString('hex') === before.root && is.toString('hex') === now.root
}

function parent(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(sha256Hex(Buffer.concat([Buffer.from([1]), left, right])), 'hex')
}
