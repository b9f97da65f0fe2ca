import type {Key, SignaturePacket} from 'openpgp'
import type {ErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import {type ClearsignFrame, type DetachedFile, parseClearsign, parseDetached} from './clearsign.ts'

/** What one signature of a message is worth; one of a key that is not pinned is worth nothing. */
export type SignatureVerdict =
  | {
      readonly state: 'valid'
      /** Of the primary key: 40 upper-case hex digits (v4), 64 (v6). */
      readonly fingerprint: string
      /** Seconds since the epoch. */
      readonly created: number
      /** False when the key has expired since it signed. */
      readonly isCurrent: boolean
    }
  | {readonly state: 'refused'; readonly code: ErrorCode; readonly keyId: string}

/** The two forms in which archives sign: InRelease, and Release with Release.gpg. */
export type SignedMessage =
  | {readonly form: 'clearsigned'; readonly frame: ClearsignFrame}
  | {readonly form: 'detached'; readonly file: DetachedFile}

export type VerifiedText = {
  /** The signed text and nothing else. */
  readonly text: string
  readonly message: SignedMessage
  /** One for each signature, in their order. */
  readonly verdicts: readonly SignatureVerdict[]
  /** The pinned keys, for a second engine to decide with. */
  readonly keyring: Uint8Array
}

/** Debian's keyring has 60 KB; all keys that Debian ever had, 200 KB. */
export const MAX_KEYRING_BYTES = 2 * 1024 * 1024

/** Debian signs with three keys. */
const MAX_SIGNATURES = 16

/** By number, RFC 9580 9.5: SHA-256 or better. */
const hashNames: Readonly<Record<number, string>> = {
  8: 'SHA256',
  9: 'SHA384',
  10: 'SHA512',
  12: 'SHA3-256',
  14: 'SHA3-512',
}

/**
 * Reads a clearsigned file that is signed by at least one pinned key. `fingerprints` are primary
 * keys; `at` is the time (in seconds since the epoch) after which no signature may have been made.
 * Refuses with openpgp_frame_invalid, openpgp_keyring_unusable, openpgp_hash_header, and when no
 * signature is valid with openpgp_weak_hash, openpgp_key_invalid, openpgp_signature_invalid or
 * openpgp_signer_unknown.
 */
export async function verifyClearsigned(
  bytes: Uint8Array,
  keyring: Uint8Array,
  fingerprints: readonly string[],
  now: number,
): Promise<VerifiedText> {
  const message: SignedMessage = {form: 'clearsigned', frame: parseClearsign(bytes)}
  return verifyMessage(message, await pinnedKeys(keyring, fingerprints), now)
}

/** verifyClearsigned for a file whose signatures are in another one, such as Release.gpg. */
export async function verifyDetached(
  bytes: Uint8Array,
  signature: Uint8Array,
  keyring: Uint8Array,
  fingerprints: readonly string[],
  now: number,
): Promise<VerifiedText> {
  const message: SignedMessage = {form: 'detached', file: parseDetached(bytes, signature)}
  return verifyMessage(message, await pinnedKeys(keyring, fingerprints), now)
}

async function verifyMessage(
  message: SignedMessage,
  keys: readonly Key[],
  now: number,
): Promise<VerifiedText> {
  const {text, signature} = message.form === 'clearsigned' ? message.frame : message.file
  const packets = await signaturePackets(signature)
  if (message.form === 'clearsigned') checkHashHeader(message.frame, packets)
  const verdicts: SignatureVerdict[] = []
  for (const packet of packets) verdicts.push(await judge(packet, message, keys, now))
  if (!verdicts.some(({state}) => state === 'valid')) throw noneValid(verdicts)
  return {text, message, verdicts, keyring: joined(keys)}
}

async function pinnedKeys(keyring: Uint8Array, fingerprints: readonly string[]): Promise<Key[]> {
  if (keyring.length > MAX_KEYRING_BYTES) throw unusable(`${keyring.length} bytes of keys`)
  const wanted = fingerprints.map((fingerprint) => fingerprint.toUpperCase())
  const keys = (await readKeyring(keyring)).filter(
    (key) => !key.isPrivate() && wanted.includes(key.getFingerprint().toUpperCase()),
  )
  if (keys.length === 0) throw unusable(`none of the pinned keys ${wanted.join(', ')}`)
  return keys
}

async function readKeyring(keyring: Uint8Array): Promise<readonly Key[]> {
  const {readKeys} = await import('openpgp')
  const isArmored = Buffer.from(keyring.subarray(0, 10)).toString('latin1') === '-----BEGIN'
  try {
    if (!isArmored) return await readKeys({binaryKeys: keyring})
    return await readKeys({armoredKeys: Buffer.from(keyring).toString('utf8')})
  } catch (error) {
    throw unusable('no OpenPGP keys', error)
  }
}

async function signaturePackets(signature: string): Promise<readonly SignaturePacket[]> {
  const {readSignature} = await import('openpgp')
  try {
    const {packets} = await readSignature({armoredSignature: signature})
    const list = [...(packets as unknown as Iterable<SignaturePacket>)]
    if (list.length > 0 && list.length <= MAX_SIGNATURES) return list
  } catch (error) {
    throw new RelError('openpgp_frame_invalid', 'there is no readable signature', {
      cause: error,
    })
  }
  throw new RelError(
    'openpgp_frame_invalid',
    `there is no signature, or more than ${MAX_SIGNATURES}`,
  )
}

/** A header that names other algorithms than were used is how the weak one is smuggled past a look. */
function checkHashHeader({hashes}: ClearsignFrame, packets: readonly SignaturePacket[]): void {
  const used = packets.map(({hashAlgorithm}) => hashNames[hashAlgorithm ?? 0])
  const unnamed = used.some((name) => name !== undefined && !hashes.includes(name))
  const unused = hashes.filter((name) => !used.includes(name) && isStrong(name))
  if (hashes.length > 0 && (unnamed || unused.length > 0))
    throw new RelError(
      'openpgp_hash_header',
      `the Hash header names ${hashes.join(' ')}, the signatures use ${used.join(' ')}`,
    )
}

function isStrong(name: string): boolean {
  return Object.values(hashNames).includes(name)
}

async function judge(
  packet: SignaturePacket,
  message: SignedMessage,
  keys: readonly Key[],
  now: number,
): Promise<SignatureVerdict> {
  const keyId = packet.issuerKeyID.toHex()
  const refused = (code: ErrorCode) => ({state: 'refused', code, keyId}) as const
  const key = keys.find((candidate) => candidate.getKeys(packet.issuerKeyID).length > 0)
  if (key === undefined) return refused('openpgp_signer_unknown')
  if (hashNames[packet.hashAlgorithm ?? 0] === undefined) return refused('openpgp_weak_hash')
  const {created} = packet
  // expiry, revocation and the subkey's binding, all at the time of the signature
  if (created === null || !(await mayHaveSigned(key, packet, created)))
    return refused('openpgp_key_invalid')
  if (!(await isSignatureOf(packet, message, key, now))) return refused('openpgp_signature_invalid')
  return {
    state: 'valid',
    fingerprint: key.getFingerprint().toUpperCase(),
    created: created.getTime() / 1000,
    isCurrent: await mayHaveSigned(key, packet, new Date(now * 1000)),
  }
}

async function mayHaveSigned(key: Key, packet: SignaturePacket, at: Date): Promise<boolean> {
  return key.getSigningKey(packet.issuerKeyID, at).then(
    () => true,
    () => false,
  )
}

/** One signature at a time, so that each has its own verdict. */
async function isSignatureOf(
  packet: SignaturePacket,
  message: SignedMessage,
  key: Key,
  now: number,
): Promise<boolean> {
  const {createMessage, enums, PacketList, Signature, verify} = await import('openpgp')
  const isClear = message.form === 'clearsigned'
  // RFC 9580 7: the clear form is signed as text, with lines that end with \r\n; a file by its bytes
  if (packet.signatureType !== (isClear ? enums.signature.text : enums.signature.binary))
    return false
  const signed = isClear
    ? await createMessage({text: message.frame.text})
    : await createMessage({binary: message.file.bytes})
  const list = new PacketList<SignaturePacket>()
  list.push(packet)
  const {signatures} = await verify({
    message: signed,
    signature: new Signature(list),
    verificationKeys: key,
    date: new Date(now * 1000),
  })
  const [only] = signatures
  if (signatures.length !== 1 || only === undefined) return false
  return only.verified.catch(() => false)
}

function noneValid(verdicts: readonly SignatureVerdict[]): RelError {
  const refused = verdicts.filter((verdict) => verdict.state === 'refused')
  const ofPinned = refused.find(({code}) => code !== 'openpgp_signer_unknown')
  const ids = refused.map(({keyId}) => keyId).join(', ')
  const message = `no signature by a pinned key is valid; there are those of ${ids}`
  return new RelError(ofPinned?.code ?? 'openpgp_signer_unknown', message)
}

function joined(keys: readonly Key[]): Uint8Array {
  return Buffer.concat(keys.map((key) => key.write()))
}

function unusable(seen: string, cause?: unknown): RelError {
  return new RelError('openpgp_keyring_unusable', `the keyring has ${seen}`, {cause})
}
