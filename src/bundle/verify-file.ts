import {basename} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import type {PublicKey} from '../trust/ed25519.ts'
import {SIGNATURE_BYTES, verifyEd25519} from '../trust/ed25519.ts'
import {decodeSignature, shortId} from '../trust/envelope.ts'
import {checkMinisig, parseMinisignSignature} from '../trust/minisign.ts'
import {checkSshsig} from '../trust/sshsig.ts'
import {CLOCK_SKEW_SECS} from './expectations.ts'
import {parseTrustedComment} from './file-label.ts'
import {digestsOfFile, type FileDigests, readMessage} from './sign-file.ts'
import type {OnStep, VerifyPolicy} from './verify-policy.ts'

/** The verdict on one file with a detached signature. */
export type VerifiedFile = {
  readonly source: 'file'
  readonly form: 'minisig' | 'sig' | 'sshsig'
  readonly sha256: string
  readonly size: number
  readonly signedBy: readonly string[]
  readonly threshold: number
  /** What the signed comment says; empty for forms that have none. */
  readonly label: Readonly<Record<string, string>>
}

const MAX_SIGNATURE_FILE = 16_384

/**
 * Verifies FILE by FILE.minisig, FILE.sshsig or FILE.sig, the first that exists. What was asked
 * for must be in the signed comment, so a bare .sig meets no expectation.
 * Refuses with bundle_unrecognised, threshold_not_met, key_unknown, signature_invalid,
 * signature_malformed, cross_protocol, tree_changed, *_mismatch, timestamp_future, and what the trust source refuses with.
 */
export async function verifyFile(
  path: string,
  policy: VerifyPolicy,
  onStep?: OnStep,
): Promise<VerifiedFile> {
  const form = formOf(path)
  const digests = await digestsOfFile(path)
  const signature = readFileLimited(`${path}.${form}`, MAX_SIGNATURE_FILE)
  const claimed = parseTrustedComment(claimedComment(form, signature))
  // what the label claims picks the keys; that the comment is signed by one of them proves it
  const {product = claimed.product ?? '', channel = claimed.channel ?? ''} = policy.expect
  const {keys, threshold} = policy.trust.keysFor({product, channel, now: policy.now})
  onStep?.({check: 'keys', detail: `${keys.length} trusted, ${threshold} must have signed`})
  if (threshold !== 1)
    throw new RelError('threshold_not_met', `${form} holds 1 signature, want ${threshold}`)
  const {key, comment} = checkForm(form, {path, signature, digests, keys})
  onStep?.({check: 'signatures', detail: `${form} is valid: key ${shortId(key.keyId)}`})
  policy.trust.checkRevoked({manifestSha256: digests.sha256})
  const label = parseTrustedComment(comment)
  checkLabel(label, {name: basename(path), sha256: digests.sha256}, policy)
  onStep?.({
    check: 'label',
    detail: comment === '' ? 'none is signed' : Object.keys(label).join(', '),
  })
  const {sha256, size} = digests
  return {source: 'file', form, sha256, size, signedBy: [key.keyId], threshold, label}
}

function formOf(path: string): VerifiedFile['form'] {
  const forms = ['minisig', 'sshsig', 'sig'] as const
  const form = forms.find((extension) => statIfThere(`${path}.${extension}`) !== undefined)
  if (form !== undefined) return form
  throw new RelError('bundle_unrecognised', `${path} has no .minisig, .sshsig or .sig beside it`)
}

function claimedComment(form: VerifiedFile['form'], signature: Buffer): string {
  if (form !== 'minisig') return ''
  return parseMinisignSignature(signature.toString('utf8')).trusted?.comment ?? ''
}

type FormInput = {
  readonly path: string
  readonly signature: Buffer
  readonly digests: FileDigests
  readonly keys: readonly PublicKey[]
}

type FormVerdict = {readonly key: PublicKey; readonly comment: string}

function checkForm(form: VerifiedFile['form'], input: FormInput): FormVerdict {
  if (form === 'sig') return checkSig(input)
  const {path, signature, digests, keys} = input
  const text = signature.toString('utf8')
  // the older form covers the file itself, which has to be read for it
  const old = form === 'minisig' && parseMinisignSignature(text).algorithm === 'Ed'
  const message = old ? readMessage(path, digests) : undefined
  return firstOf(keys, (key) => {
    if (form === 'minisig')
      return checkMinisig(text, key, digests.blake2b512, message).trustedComment
    checkSshsig(text, {namespace: 'file', sha512: digests.sha512, key})
    return ''
  })
}

/** The verdict under the first key that fits; else the refusal that says most. */
function firstOf(keys: readonly PublicKey[], check: (key: PublicKey) => string): FormVerdict {
  let refusal = new RelError('key_unknown', 'no key is trusted for this')
  for (const key of keys) {
    try {
      return {key, comment: check(key)}
    } catch (error) {
      if (!(error instanceof RelError)) throw error
      if (error.code !== 'key_unknown' || keys.length === 1) refusal = error
    }
  }
  throw refusal
}

/** D0: 64 bytes, raw or in base64, over the bytes of the file. */
function checkSig({path, signature, digests, keys}: FormInput): FormVerdict {
  const isRaw = signature.length === SIGNATURE_BYTES
  const bytes = isRaw ? signature : decodeSignature(signature.toString('latin1').trim())
  const message = readMessage(path, digests)
  const key = keys.find((candidate) => verifyEd25519(candidate, message, bytes))
  if (key !== undefined) return {key, comment: ''}
  throw new RelError('signature_invalid', 'no trusted key has made the signature')
}

function checkLabel(
  label: Readonly<Record<string, string>>,
  {name: fileName, sha256}: {readonly name: string; readonly sha256: string},
  {expect, now}: VerifyPolicy,
): void {
  if (label.file !== undefined && label.file !== fileName)
    throw new RelError('file_name_mismatch', `signed as ${label.file}, here it is ${fileName}`)
  if (label.sha256 !== undefined && label.sha256 !== sha256)
    throw new RelError('file_digest_mismatch', `SHA-256 is ${sha256}, signed is ${label.sha256}`)
  for (const name of ['product', 'version', 'channel', 'target'] as const) {
    const wanted = expect[name]
    if (wanted === undefined || label[name] === wanted) continue
    throw new RelError(`${name}_mismatch`, `signed as ${label[name] ?? 'nothing'}, want ${wanted}`)
  }
  const {timestamp = '0'} = label
  if (!/^[0-9]{1,12}$/.test(timestamp))
    throw new RelError('signature_malformed', 'the signed timestamp is no count of seconds')
  if (Number(timestamp) > now + CLOCK_SKEW_SECS)
    throw new RelError('timestamp_future', 'the file was signed in the future')
}
