import {hash} from 'node:crypto'
import {connect} from 'node:net'
import {RelError} from '../../system/error.ts'
import {type PublicKey, publicKeyFromRaw} from '../ed25519.ts'
import type {Signer} from '../signer.ts'
import {SshReader, sshPublicKey, sshString} from '../ssh-wire.ts'
import {SIGNER_TIMEOUT_SECS, type SignerOptions} from './options.ts'
import {sameKey} from './verified.ts'

// draft-ietf-sshm-ssh-agent, section 6.1
const REQUEST_IDENTITIES = 11
const IDENTITIES_ANSWER = 12
const SIGN_REQUEST = 13
const SIGN_RESPONSE = 14
/** What OpenSSH's agent reads and sends at most. */
const MAX_FRAME = 256 * 1024

type Identity = {readonly raw: Buffer; readonly comment: string}

/**
 * Signs with an Ed25519 key in the ssh-agent at SSH_AUTH_SOCK, chosen by its `SHA256:` fingerprint
 * or its comment. Refuses with signer_failed, key_not_found, key_mismatch.
 */
export async function openAgentSigner(name: string, options: SignerOptions): Promise<Signer> {
  const path = options.env.SSH_AUTH_SOCK
  if (!path) throw new RelError('signer_failed', 'SSH_AUTH_SOCK is not set: no ssh-agent to ask')
  const answer = await request(path, Buffer.from([REQUEST_IDENTITIES]))
  const identity = choose(identitiesOf(answer), name)
  const label = `ssh-agent:${name}`
  const publicKey = sameKey(label, publicKeyFromRaw(identity.raw), options.publicKey)
  return {
    publicKey,
    label,
    maxMessageBytes: MAX_FRAME - 1024,
    sign: async (message) => signatureOf(await request(path, signRequest(publicKey, message))),
  }
}

function identitiesOf(answer: Buffer): Identity[] {
  const reader = new SshReader(answer)
  const type = reader.bytes(1)?.[0]
  const count = reader.uint32()
  if (type !== IDENTITIES_ANSWER || count === undefined) throw failed('sent no list of keys')
  const identities: Identity[] = []
  for (let index = 0; index < count; index++) {
    const [blob, comment] = [reader.string(), reader.string()]
    if (!blob || !comment) throw failed('sent a list of keys that is cut short')
    const fields = new SshReader(blob)
    const isEd25519 = fields.string()?.toString('latin1') === 'ssh-ed25519'
    const raw = fields.string()
    if (isEd25519 && raw?.length === 32) identities.push({raw, comment: comment.toString('utf8')})
  }
  return identities
}

/** One key and no other: a comment that two keys share is no name. */
function choose(identities: readonly Identity[], name: string): Identity {
  const found = identities.filter(
    ({raw, comment}) => comment === name || sshFingerprint(raw) === name,
  )
  if (found[0] !== undefined && found.length === 1) return found[0]
  const seen = found.length === 0 ? 'no Ed25519 key' : `${found.length} keys`
  throw new RelError('key_not_found', `the ssh-agent holds ${seen} named ${JSON.stringify(name)}`, {
    hint: 'ssh-add -l lists the fingerprints',
  })
}

/** `SHA256:…` as ssh-keygen -l shows it: over the wire form, unpadded base64. */
export function sshFingerprint(raw: Uint8Array): string {
  return `SHA256:${hash('sha256', sshPublicKey(raw), 'base64').replace(/=+$/, '')}`
}

function signRequest(key: PublicKey, message: Uint8Array): Buffer {
  const flags = Buffer.alloc(4)
  const blob = sshString(sshPublicKey(key.raw))
  return Buffer.concat([Buffer.from([SIGN_REQUEST]), blob, sshString(message), flags])
}

function signatureOf(answer: Buffer): Buffer {
  const reader = new SshReader(answer)
  if (reader.bytes(1)?.[0] !== SIGN_RESPONSE) throw failed('refused to sign')
  const fields = new SshReader(reader.string() ?? Buffer.alloc(0))
  const type = fields.string()?.toString('latin1')
  const signature = fields.string()
  if (type !== 'ssh-ed25519' || !signature) throw failed('sent no Ed25519 signature')
  return signature
}

/** One question, one answer: both are a length and that many bytes. */
function request(path: string, payload: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const chunks: Buffer[] = []
    const end = (error: RelError | undefined, answer?: Buffer) => {
      socket.destroy()
      if (answer === undefined) reject(error)
      else resolve(answer)
    }
    socket.setTimeout(SIGNER_TIMEOUT_SECS * 1000, () => end(failed('did not answer in time')))
    socket.on('error', (error: Error & {code?: string}) =>
      end(failed(`cannot be reached: ${error.code}`)),
    )
    socket.on('close', () => end(failed('closed the connection')))
    socket.on('data', (chunk) => {
      chunks.push(chunk as Buffer)
      const frame = completeFrame(Buffer.concat(chunks))
      if (frame === 'too large') end(failed('sent more than it may'))
      else if (frame !== undefined) end(undefined, frame)
    })
    socket.write(sshString(payload))
  })
}

function completeFrame(bytes: Buffer): Buffer | 'too large' | undefined {
  if (bytes.length < 4) return undefined
  const length = bytes.readUInt32BE(0)
  if (length > MAX_FRAME || bytes.length > length + 4) return 'too large'
  return bytes.length === length + 4 ? bytes.subarray(4) : undefined
}

function failed(seen: string): RelError {
  return new RelError('signer_failed', `the ssh-agent ${seen}`)
}
