import {RelError} from '../system/error.ts'
import {
  PUBLIC_KEY_BYTES,
  type PublicKey,
  publicKeyFromRaw,
  SIGNATURE_BYTES,
  verifyEd25519,
} from './ed25519.ts'
import type {Signer} from './signer.ts'
import {SshReader, sshPublicKey, sshString} from './ssh-wire.ts'

// openssh-portable PROTOCOL.sshsig
const MAGIC = Buffer.from('SSHSIG', 'ascii')
const VERSION = 1
const BEGIN = '-----BEGIN SSH SIGNATURE-----'
const END = '-----END SSH SIGNATURE-----'
/** What ssh-keygen writes; a signature by Ed25519 in a namespace of 255 bytes has 700 characters. */
const LINE_LENGTH = 70
const MAX_TEXT = 4096
const MAX_NAMESPACE = 255

export type SshsigInput = {
  /** What the signature is for, such as `file`; one for another namespace never counts. */
  readonly namespace: string
  /** SHA-512 of the file, 64 bytes. */
  readonly sha512: Uint8Array
}

/** An SSH signature as read: nothing in it is trusted yet. */
type Sshsig = {
  readonly publicKey: Uint8Array
  readonly namespace: string
  readonly hash: string
  readonly signature: Uint8Array
}

/**
 * The armoured SSH signature that `ssh-keygen -Y verify` reads, with SHA-512 as ssh-keygen's own.
 * Refuses with namespace_malformed and what the signer refuses with.
 */
export async function makeSshsig(signer: Signer, input: SshsigInput): Promise<string> {
  const {namespace} = input
  checkNamespace(namespace)
  const signature = await signer.sign(signedData(input))
  const version = Buffer.alloc(4)
  version.writeUInt32BE(VERSION)
  const blob = Buffer.concat([
    MAGIC,
    version,
    sshString(sshPublicKey(signer.publicKey.raw)),
    sshString(namespace),
    sshString(''),
    sshString('sha512'),
    sshString(Buffer.concat([sshString('ssh-ed25519'), sshString(signature)])),
  ])
  const lines = blob.toString('base64').match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? []
  return [BEGIN, ...lines, END, ''].join('\n')
}

/**
 * Passes when `key` signed this SHA-512 for this namespace. The key inside the signature is a hint.
 * Refuses with signature_malformed, namespace_mismatch, sshsig_hash, key_unknown, signature_invalid.
 */
export function checkSshsig(text: string, wanted: SshsigInput & {readonly key: PublicKey}): void {
  const {key, namespace} = wanted
  checkNamespace(namespace)
  const parsed = parseSshsig(text)
  if (parsed.namespace !== namespace) {
    const [got, want] = [parsed.namespace, namespace].map((name) => JSON.stringify(name))
    throw new RelError('namespace_mismatch', `signed for namespace ${got}, wanted is ${want}`)
  }
  if (parsed.hash !== 'sha512')
    throw new RelError('sshsig_hash', 'the signature covers another hash than SHA-512')
  if (Buffer.compare(parsed.publicKey, key.raw) !== 0) {
    const got = publicKeyFromRaw(parsed.publicKey).keyId.slice(0, 16)
    const want = key.keyId.slice(0, 16)
    throw new RelError('key_unknown', `signed by key ${got}, the key given is ${want}`)
  }
  if (!verifyEd25519(key, signedData(wanted), parsed.signature)) {
    const shown = key.keyId.slice(0, 16)
    throw new RelError('signature_invalid', `the SSH signature does not fit the file, key ${shown}`)
  }
}

/** Reads the armour and the blob strictly. Refuses with signature_malformed. */
function parseSshsig(text: string): Sshsig {
  const reader = new SshReader(armoured(text))
  const magic = reader.bytes(MAGIC.length)
  const version = reader.uint32()
  const publicKey = ed25519Field(reader.string(), PUBLIC_KEY_BYTES)
  const namespace = reader.string()
  const reserved = reader.string()
  const hash = reader.string()
  const signature = ed25519Field(reader.string(), SIGNATURE_BYTES)
  if (!magic?.equals(MAGIC) || version !== VERSION) throw malformed('not version 1 of SSHSIG')
  if (!namespace || !reserved || !hash || !publicKey || !signature)
    throw malformed('cut short, or not by Ed25519')
  if (reader.rest > 0) throw malformed('bytes after the signature')
  // PROTOCOL.sshsig: verifiers ignore `reserved`; it is signed, and nobody writes it
  if (reserved.length > 0) throw malformed('the reserved field is not empty')
  return {
    publicKey,
    namespace: namespaceText(namespace),
    hash: hash.toString('latin1'),
    signature,
  }
}

/** The value of `string "ssh-ed25519", string value`, if that is all there is. */
function ed25519Field(bytes: Buffer | undefined, length: number): Buffer | undefined {
  if (bytes === undefined) return undefined
  const reader = new SshReader(bytes)
  const type = reader.string()?.toString('latin1')
  const value = reader.string()
  return type === 'ssh-ed25519' && value?.length === length && reader.rest === 0 ? value : undefined
}

/** Never the message alone: magic and namespace keep it from counting anywhere else. */
function signedData({namespace, sha512}: SshsigInput): Buffer {
  if (sha512.length !== 64)
    throw new RelError('internal_error', `a SHA-512 digest has 64 bytes, got ${sha512.length}`)
  const fields = [namespace, '', 'sha512', sha512].map(sshString)
  return Buffer.concat([MAGIC, ...fields])
}

function armoured(text: string): Buffer {
  if (text.length > MAX_TEXT) throw malformed(`longer than ${MAX_TEXT} characters`)
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/)
  if (lines.shift() !== BEGIN || lines.pop() !== END) throw malformed('its armour is missing')
  const base64 = lines.join('')
  const blob = Buffer.from(base64, 'base64')
  if (blob.toString('base64') !== base64) throw malformed('not padded base64')
  return blob
}

function namespaceText(bytes: Buffer): string {
  const text = bytes.toString('latin1')
  if (!isNamespace(text)) throw malformed('the namespace is empty or not printable ASCII')
  return text
}

/** Printable ASCII without spaces: it reaches terminals and allowed_signers files. */
function isNamespace(text: string): boolean {
  return text.length <= MAX_NAMESPACE && /^[!-~]+$/.test(text)
}

function checkNamespace(namespace: string): void {
  if (isNamespace(namespace)) return
  const wanted = `1 to ${MAX_NAMESPACE} printable ASCII characters without spaces`
  throw new RelError('namespace_malformed', `a namespace is ${wanted}`)
}

function malformed(seen: string): RelError {
  return new RelError('signature_malformed', `not an SSH signature: ${seen}`)
}
