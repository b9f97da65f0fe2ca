import type {Bundle} from '@sigstore/bundle'
import type {SignedEntity, Signer, TrustMaterial} from '@sigstore/verify'
import type {ErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import {type Extension, readIdentity, type SignerIdentity} from './identity.ts'
import {checkLoggedCertificate} from './log-entry.ts'
import type {CertificateAuthority, TransparencyLog, TrustedRoot} from './trusted-root.ts'

/** Clocks of signers and verifiers may differ by this much; manifests allow the same. */
const CLOCK_SKEW_SECS = 300

/** One of each is enough, and none can be left out. */
const thresholds = {ctlogThreshold: 1, tlogThreshold: 1, timestampThreshold: 1} as const

/** The code of rel for each code of @sigstore/verify's VerificationError. */
const codes: Readonly<Record<string, ErrorCode>> = {
  TLOG_ERROR: 'sigstore_tlog_invalid',
  TLOG_INCLUSION_PROOF_ERROR: 'sigstore_tlog_invalid',
  TLOG_INCLUSION_PROMISE_ERROR: 'sigstore_tlog_invalid',
  TLOG_MISSING_INCLUSION_ERROR: 'sigstore_tlog_invalid',
  TLOG_BODY_ERROR: 'sigstore_tlog_invalid',
  CERTIFICATE_ERROR: 'sigstore_certificate_invalid',
  PUBLIC_KEY_ERROR: 'sigstore_certificate_invalid',
  SIGNATURE_ERROR: 'sigstore_signature_invalid',
  TIMESTAMP_ERROR: 'sigstore_timestamp_invalid',
}

/**
 * Who signed, after time, certificate, certificate log, transparency log and signature have been
 * verified offline; who may sign is not decided here. `artifact` is the signed file, empty for a
 * DSSE envelope; `now` is in seconds. Refuses with sigstore_* and trusted_root_invalid.
 */
export async function verifyEntity(
  bundle: Bundle,
  artifact: Uint8Array,
  root: TrustedRoot,
  now: number,
): Promise<SignerIdentity> {
  const {toSignedEntity, VerificationError, Verifier} = await import('@sigstore/verify')
  const material = await trustMaterialOf(root)
  let entity: SignedEntity
  let signer: Signer
  try {
    entity = toSignedEntity(bundle, Buffer.from(artifact))
    signer = new Verifier(material, thresholds).verify(entity)
  } catch (cause) {
    const code = cause instanceof VerificationError ? codes[cause.code] : undefined
    if (code === undefined || !(cause instanceof VerificationError))
      throw new RelError('sigstore_bundle_malformed', 'a part of the bundle is not readable', {
        cause,
      })
    throw new RelError(code, `Sigstore verification failed: ${cause.message}`, {cause})
  }
  const certificate = certificateOf(bundle)
  for (const entry of bundle.verificationMaterial.tlogEntries)
    checkLoggedCertificate(entry, certificate)
  return readIdentity(extensionsOf(signer), timesOf(entity, now))
}

async function trustMaterialOf(root: TrustedRoot): Promise<TrustMaterial> {
  const {toTrustMaterial} = await import('@sigstore/verify')
  try {
    // the shape of protobuf's TrustedRoot, as far as toTrustMaterial reads it
    return toTrustMaterial({
      certificateAuthorities: root.certificateAuthorities.map(authorityMessage),
      timestampAuthorities: root.timestampAuthorities.map(authorityMessage),
      tlogs: root.tlogs.map(logMessage),
      ctlogs: root.ctlogs.map(logMessage),
    } as unknown as Parameters<typeof toTrustMaterial>[0])
  } catch (cause) {
    const message = 'a key or certificate of the trusted root is not readable'
    throw new RelError('trusted_root_invalid', message, {cause})
  }
}

function authorityMessage({certificates, validFor}: CertificateAuthority): object {
  return {certChain: {certificates: certificates.map((rawBytes) => ({rawBytes}))}, validFor}
}

function logMessage({baseUrl, logId, publicKey, validFor}: TransparencyLog): object {
  return {baseUrl, logId: {keyId: logId}, publicKey: {rawBytes: publicKey, validFor}}
}

function certificateOf({verificationMaterial: {content}}: Bundle): Uint8Array {
  if (content.$case === 'certificate') return content.certificate.rawBytes
  const [first] =
    content.$case === 'x509CertificateChain' ? content.x509CertificateChain.certificates : []
  if (first !== undefined) return first.rawBytes
  throw new RelError('sigstore_bundle_malformed', 'the Sigstore bundle has no certificate')
}

function extensionsOf(signer: Signer): Extension[] {
  return (signer.identity?.oids ?? []).map(({oid, value}) => ({
    oid: (oid?.id ?? []).join('.'),
    value,
  }))
}

/** The times that verification has proven: log promises and timestamps, none in the future. */
function timesOf(entity: SignedEntity, now: number): number[] {
  const times = entity.timestamps.flatMap((timestamp) => {
    if (timestamp.$case === 'timestamp-authority')
      return [Math.floor(timestamp.timestamp.signingTime.getTime() / 1000)]
    // without a promise the log vouches for the entry but not for its time
    const {inclusionPromise, integratedTime} = timestamp.tlogEntry
    return inclusionPromise === undefined ? [] : [Number(integratedTime)]
  })
  const late = times.find((time) => !(time <= now + CLOCK_SKEW_SECS))
  if (late !== undefined)
    throw new RelError('sigstore_timestamp_invalid', `signed at ${late}, but it is ${now} now`, {
      hint: 'Set the clock of this machine, then verify again.',
    })
  return times
}
