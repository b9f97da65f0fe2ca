import {hash, randomBytes, scrypt} from 'node:crypto'
import {RelError} from '../../system/error.ts'
import {keyMalformed, keyTruncated} from './detect.ts'
import {keyPrivate, keyPublic} from './spki.ts'

/** Sizes after base64: `Ed`, 8 bytes of id, 32 of key; see docs/formats/keys.md for the others. */
const PUBLIC_BYTES = 42
const MINISIGN_SECRET_BYTES = 158
const SIGNIFY_SECRET_BYTES = 104
/** Key id 8, private‖public 64, checksum 32: the part that the passphrase covers. */
const SEALED_BYTES = 104

/** What a minisign or signify secret key holds once it is open; `pair` is private‖public. */
export type MinisignSecret = {
  readonly pair: Buffer
  readonly minisignKeyId: Uint8Array
  readonly encrypted: boolean
}

/** scrypt parameters of new keys: 128 MiB, about half a second; stock minisign opens them. */
const NEW_KEY_COST = {opslimit: 4_194_304n, memlimit: 134_217_728n}
/** N·p refused beyond it: 2 GiB of memory, or as much time. */
const MAX_COST = 2 ** 21

/** A public key file of either program, or the bare string of `minisign -P`. */
export function parseMinisignPublic(text: string): {
  raw: Uint8Array
  minisignKeyId: Uint8Array
  comment?: string
} {
  const {comment, bytes} = unwrap(text)
  if (bytes.length < PUBLIC_BYTES) throw keyTruncated('minisign')
  if (bytes.toString('latin1', 0, 2) !== 'Ed')
    throw keyMalformed('not the public key of minisign or signify')
  if (bytes.length > PUBLIC_BYTES) {
    bytes.fill(0)
    throw keyPrivate()
  }
  const key = {raw: bytes.subarray(10), minisignKeyId: bytes.subarray(2, 10)}
  return comment === undefined ? key : {...key, comment}
}

/** The file that minisign -p and signify -p read. */
export function formatMinisignPublic(raw: Uint8Array, minisignKeyId: Uint8Array): string {
  const shown = Buffer.from(minisignKeyId).reverse().toString('hex').toUpperCase()
  const blob = Buffer.concat([Buffer.from('Ed', 'ascii'), minisignKeyId, raw])
  return `untrusted comment: minisign public key ${shown}\n${blob.toString('base64')}\n`
}

/**
 * Opens a secret key file of minisign, or one of signify without passphrase. The passphrase is
 * asked for only when the file needs one. Refuses with passphrase_wrong, key_kdf_limit,
 * key_encrypted, key_public, key_truncated, key_malformed.
 */
export async function openMinisignSecret(
  text: string,
  passphrase: () => Promise<Uint8Array>,
): Promise<MinisignSecret> {
  const {bytes} = unwrap(text)
  if (bytes.length === PUBLIC_BYTES) throw keyPublic()
  const [algorithm, kdf] = [bytes.toString('latin1', 0, 2), bytes.toString('latin1', 2, 4)]
  if (algorithm !== 'Ed') throw keyMalformed('not the secret key of minisign or signify')
  const wanted = kdf === 'BK' ? SIGNIFY_SECRET_BYTES : MINISIGN_SECRET_BYTES
  if (bytes.length < wanted) throw keyTruncated(kdf === 'BK' ? 'signify' : 'minisign')
  if (bytes.length > wanted) throw keyMalformed('there is something after the key')
  try {
    if (kdf === 'BK') return openSignify(bytes)
    return await openMinisign(bytes, kdf, passphrase)
  } finally {
    bytes.fill(0)
  }
}

async function openMinisign(
  bytes: Buffer,
  kdf: string,
  passphrase: () => Promise<Uint8Array>,
): Promise<MinisignSecret> {
  if (bytes.toString('latin1', 4, 6) !== 'B2' || (kdf !== 'Sc' && kdf !== '\0\0'))
    throw keyMalformed('the minisign key names functions that are not known')
  const sealed = Buffer.from(bytes.subarray(-SEALED_BYTES))
  const encrypted = kdf === 'Sc'
  if (encrypted) {
    const cost = {opslimit: bytes.readBigUInt64LE(38), memlimit: bytes.readBigUInt64LE(46)}
    checkCost(cost)
    await applyKey(sealed, await passphrase(), bytes.subarray(6, 38), cost)
  }
  const [minisignKeyId, pair, checksum] = split(sealed)
  // minisign -W leaves the checksum of an unencrypted key empty
  const unchecked = !encrypted && checksum.every((byte) => byte === 0)
  if (!unchecked && !(await checksumOf(minisignKeyId, pair)).equals(checksum)) {
    sealed.fill(0)
    if (!encrypted) throw keyMalformed('the checksum of the minisign key does not fit')
    throw new RelError('passphrase_wrong', 'the passphrase does not open the key')
  }
  return {pair, minisignKeyId: Uint8Array.from(minisignKeyId), encrypted}
}

/** Without passphrase (rounds 0) only: bcrypt_pbkdf is not in Node. */
function openSignify(bytes: Buffer): MinisignSecret {
  if (bytes.readUInt32BE(4) !== 0)
    throw new RelError('key_encrypted', 'the signify key has a passphrase, rel cannot open it')
  const pair = Buffer.from(bytes.subarray(40))
  if (!hash('sha512', pair, 'buffer').subarray(0, 8).equals(bytes.subarray(24, 32)))
    throw keyMalformed('the checksum of the signify key does not fit')
  return {pair, minisignKeyId: Uint8Array.from(bytes.subarray(32, 40)), encrypted: false}
}

/** A secret key file for minisign: encrypted, or as minisign -W writes it without passphrase. */
export async function formatMinisignSecret(
  pair: Uint8Array,
  minisignKeyId: Uint8Array,
  passphrase: Uint8Array | undefined,
): Promise<string> {
  const salt = passphrase === undefined ? Buffer.alloc(32) : randomBytes(32)
  const cost = passphrase === undefined ? {opslimit: 0n, memlimit: 0n} : NEW_KEY_COST
  const head = Buffer.alloc(54)
  head.write(passphrase === undefined ? 'Ed\0\0B2' : 'EdScB2', 'latin1')
  salt.copy(head, 6)
  head.writeBigUInt64LE(cost.opslimit, 38)
  head.writeBigUInt64LE(cost.memlimit, 46)
  const sealed = Buffer.concat([minisignKeyId, pair, await checksumOf(minisignKeyId, pair)])
  if (passphrase !== undefined) await applyKey(sealed, passphrase, salt, cost)
  const base64 = Buffer.concat([head, sealed]).toString('base64')
  sealed.fill(0)
  // minisign writes this comment for unencrypted keys too, and tools match on it
  return `untrusted comment: minisign encrypted secret key\n${base64}\n`
}

/** XOR of the sealed part with scrypt's output, in place: opens and closes. */
async function applyKey(
  sealed: Buffer,
  passphrase: Uint8Array,
  salt: Uint8Array,
  cost: typeof NEW_KEY_COST,
): Promise<void> {
  const {N, p} = scryptParameters(cost)
  const options = {N, r: 8, p, maxmem: 256 * 8 * (N + p) + 65_536}
  const stream = await new Promise<Buffer>((resolve, reject) => {
    scrypt(passphrase, salt, sealed.length, options, (error, key) =>
      error ? reject(error) : resolve(key),
    )
  })
  for (let at = 0; at < sealed.length; at++) sealed[at] = (sealed[at] ?? 0) ^ (stream[at] ?? 0)
  stream.fill(0)
}

/** libsodium's crypto_pwhash_scryptsalsa208sha256: from its two limits to N and p, with r = 8. */
function scryptParameters({opslimit, memlimit}: typeof NEW_KEY_COST): {N: number; p: number} {
  const operations = opslimit < 32_768n ? 32_768n : opslimit
  if (operations < memlimit / 32n) return {N: powerOfTwo(operations / 32n), p: 1}
  const N = powerOfTwo(memlimit / 1024n)
  return {N, p: Number(operations / 4n / BigInt(N) / 8n)}
}

/** The largest power of two, from 2 on, that is at most `limit` (or 2). */
function powerOfTwo(limit: bigint): number {
  let exponent = 1
  while (exponent < 63 && 2n ** BigInt(exponent) <= limit / 2n) exponent++
  return 2 ** exponent
}

function checkCost(cost: typeof NEW_KEY_COST): void {
  const {N, p} = scryptParameters(cost)
  if (p >= 1 && N * p <= MAX_COST) return
  throw new RelError('key_kdf_limit', `the key wants scrypt with N ${N} and p ${p}`)
}

/** BLAKE2b-256 over `Ed`, id and pair; node:crypto has BLAKE2b-512 only. */
async function checksumOf(minisignKeyId: Uint8Array, pair: Uint8Array): Promise<Buffer> {
  const {blake2b} = await import('@noble/hashes/blake2.js')
  const input = Buffer.concat([Buffer.from('Ed', 'ascii'), minisignKeyId, pair])
  const digest = Buffer.from(blake2b(input, {dkLen: 32}))
  input.fill(0)
  return digest
}

function split(sealed: Buffer): [id: Buffer, pair: Buffer, checksum: Buffer] {
  return [sealed.subarray(0, 8), sealed.subarray(8, 72), sealed.subarray(72)]
}

/** Comment line and base64 line; the base64 line alone is what minisign -P takes. */
function unwrap(text: string): {comment?: string; bytes: Buffer} {
  const lines = text.trim().split(/\r?\n/)
  const comment = /^untrusted comment:\s?(.*)$/.exec(lines[0] ?? '')?.[1]
  if (comment !== undefined) lines.shift()
  const [base64 = '', ...more] = lines
  if (base64 === '') throw keyTruncated('minisign')
  if (more.length > 0) throw keyMalformed('a minisign key has two lines')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw keyMalformed('its second line is not base64')
  if (base64.length % 4 !== 0) throw keyTruncated('minisign')
  const bytes = Buffer.from(base64, 'base64')
  return comment === undefined ? {bytes} : {comment, bytes}
}
