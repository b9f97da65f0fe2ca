import {createHash, hash} from 'node:crypto'
import {closeSync, constants, openSync, readSync} from 'node:fs'
import {basename} from 'node:path'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {Pace} from '../system/pace.ts'
import {verifyEd25519} from '../trust/ed25519.ts'
import {makeMinisig} from '../trust/minisign.ts'
import type {Signer} from '../trust/signer.ts'
import {makeSshsig} from '../trust/sshsig.ts'
import {checkOneMeaning} from './cross-protocol.ts'
import {type FileLabel, trustedComment} from './file-label.ts'

/** Ed25519 signs a whole message at once, so a .sig needs the file in memory. */
const MAX_SIG_BYTES = 256 * 1024 * 1024
const CHUNK = 1024 * 1024

export type FileDigests = {
  readonly size: number
  readonly sha256: string
  readonly sha512: Buffer
  readonly blake2b512: Buffer
}

/** Every digest that a detached signature needs, in one pass. Refuses with file_missing, file_unreadable. */
export async function digestsOfFile(path: string): Promise<FileDigests> {
  const hashers = ['sha256', 'sha512', 'blake2b512'].map((name) => createHash(name))
  const pace = new Pace()
  let size = 0
  for (const chunk of chunksOf(path)) {
    if (pace.isDue()) await pace.rest()
    size += chunk.length
    for (const hasher of hashers) hasher.update(chunk)
  }
  const [sha256, sha512, blake2b512] = hashers.map((hasher) => hasher.digest())
  if (!sha256 || !sha512 || !blake2b512) throw new RelError('internal_error', 'a digest is missing')
  return {size, sha256: sha256.toString('hex'), sha512, blake2b512}
}

function* chunksOf(path: string): Generator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(CHUNK)
  let fd: number | undefined
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    for (;;) {
      const count = readSync(fd, buffer, 0, CHUNK, null)
      if (count === 0) return
      yield buffer.subarray(0, count)
    }
  } catch (error) {
    throw fileError(error, path, 'read')
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

export type FileSignRequest = {
  readonly path: string
  readonly label: Omit<FileLabel, 'file' | 'sha256'>
  /** Write FILE.sshsig as well. */
  readonly sshsig: boolean
}

export type FileSignPlan = {
  readonly path: string
  readonly digests: FileDigests
  readonly comment: string
  /** What will be written. */
  readonly outputs: readonly string[]
  /** Signatures of an earlier signing that will not be replaced. */
  readonly stale: readonly string[]
  readonly warnings: readonly string[]
}

/**
 * What signing one file will write. Refuses with cross_protocol, file_missing, file_unreadable and
 * usage_invalid (a label that no trusted comment can hold).
 */
export async function planFileSign({path, label, sshsig}: FileSignRequest): Promise<FileSignPlan> {
  const stat = statIfThere(path)
  if (stat === undefined) throw new RelError('file_missing', `${path} does not exist`)
  const digests = await digestsOfFile(path)
  const raw = digests.size <= MAX_SIG_BYTES
  if (raw) readMessage(path, digests)
  const comment = trustedComment({...label, file: basename(path), sha256: digests.sha256})
  const outputs = [
    `${path}.minisig`,
    ...(raw ? [`${path}.sig`] : []),
    ...(sshsig ? [`${path}.sshsig`] : []),
  ]
  const warnings = raw ? [] : [`no ${path}.sig: it would need the whole file in memory`]
  const stale = ['minisig', 'sshsig', 'sig']
    .map((form) => `${path}.${form}`)
    .filter((name) => !outputs.includes(name) && statIfThere(name) !== undefined)
  return {path, digests, comment, outputs, stale, warnings}
}

/** Writes what was planned, each file all or nothing. Refuses with tree_changed. */
export async function applyFileSign(
  plan: FileSignPlan,
  signer: Signer,
): Promise<{readonly warnings: readonly string[]}> {
  const {path, digests, comment, outputs} = plan
  const {blake2b512, sha512} = digests
  const texts = new Map<string, string>()
  const warnings = [...plan.warnings]
  texts.set(`${path}.minisig`, await makeMinisig(signer, {blake2b512, trustedComment: comment}))
  if (outputs.includes(`${path}.sshsig`))
    texts.set(`${path}.sshsig`, await makeSshsig(signer, {namespace: 'file', sha512}))
  const {maxMessageBytes = Number.POSITIVE_INFINITY} = signer
  if (outputs.includes(`${path}.sig`)) {
    if (digests.size <= maxMessageBytes) texts.set(`${path}.sig`, await signBytes(plan, signer))
    else warnings.push(`no ${path}.sig: ${signer.label} signs ${maxMessageBytes} bytes at most`)
  }
  for (const [name, text] of texts) writeFileAtomic(name, text)
  return {warnings}
}

/** Forms in which manifest.json itself can be signed for people who use stock tools. */
export type SidecarForm = 'minisig' | 'sshsig'

/**
 * Writes signatures over the exact bytes of a manifest.json beside it; the answer is their paths.
 * Neither form can be taken for the signature in the manifest: both sign a digest under a label.
 */
export async function signSidecars(
  manifestPath: string,
  forms: readonly SidecarForm[],
  signer: Signer,
  label: Omit<FileLabel, 'file' | 'sha256'>,
): Promise<readonly string[]> {
  const {sha256, sha512, blake2b512} = await digestsOfFile(manifestPath)
  const comment = trustedComment({...label, file: basename(manifestPath), sha256})
  const written: string[] = []
  for (const form of forms) {
    const text =
      form === 'minisig'
        ? await makeMinisig(signer, {blake2b512, trustedComment: comment})
        : await makeSshsig(signer, {namespace: 'file', sha512})
    writeFileAtomic(`${manifestPath}.${form}`, text)
    written.push(`${manifestPath}.${form}`)
  }
  return written
}

/**
 * The file as a bare Ed25519 signature covers it: the same bytes that were digested, and such that
 * the signature means nothing else. Refuses with tree_changed, cross_protocol, file_too_large.
 */
export function readMessage(
  path: string,
  {sha256}: FileDigests,
  limit: number = MAX_SIG_BYTES,
): Buffer {
  const message = readFileLimited(path, limit)
  if (hash('sha256', message, 'hex') !== sha256)
    throw new RelError('tree_changed', `${path} was written to while it was read`)
  checkOneMeaning(message)
  return message
}

/** D0's detached signature: base64 Ed25519 over the bytes of the file. */
async function signBytes({path, digests}: FileSignPlan, signer: Signer): Promise<string> {
  const message = readMessage(path, digests)
  const signature = await signer.sign(message)
  if (!verifyEd25519(signer.publicKey, message, signature))
    throw new RelError('signature_invalid', `${signer.label} made a signature that does not fit`)
  return `${Buffer.from(signature).toString('base64')}\n`
}
