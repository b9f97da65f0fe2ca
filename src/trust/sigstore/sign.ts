import type {BundleWithMessageSignature} from '@sigstore/bundle'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import {verifySigstoreBundle} from './check-bundle.ts'
import type {SignerIdentity} from './identity.ts'
import {fetchIdentityToken} from './identity-token.ts'
import {checkServiceUrl} from './service-url.ts'
import type {TrustedRoot} from './trusted-root.ts'

/** The public Sigstore. */
export const publicSigstore = {
  fulcioUrl: 'https://fulcio.sigstore.dev',
  rekorUrl: 'https://rekor.sigstore.dev',
} as const

export type KeylessOptions = {
  readonly fulcioUrl: string
  /** A Rekor v1, which proves the time as well. */
  readonly rekorUrl: string
  /** A timestamp authority (RFC 3161) that also proves the time; none when absent. */
  readonly tsaUrl?: string
  /** What the new bundle is verified with before anyone gets it. */
  readonly trustedRoot: TrustedRoot
  /** Where CI offers the identity token. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Seconds since the epoch. */
  readonly now: number
  /** Further attempts per request after a failure that may pass; 2 when absent. */
  readonly retries?: number
}

const REQUEST_TIMEOUT_MS = 30_000

/**
 * Signs bytes with a key that exists for this one signature, certified for the identity of the CI
 * job and logged in public. The bundle (v0.3, for manifest.sig.bundle) is verified with the trusted
 * root before it is returned; who the identity is stays with the caller to look at. Refuses with
 * sigstore_token_*, sigstore_refused, sigstore_unavailable, usage_invalid, and as
 * checkSigstoreBundle does.
 */
export async function signWithSigstore(
  artifact: Uint8Array,
  options: KeylessOptions,
): Promise<{readonly bundleBytes: Buffer; readonly identity: SignerIdentity}> {
  const services = {
    fulcioUrl: checkServiceUrl(options.fulcioUrl, '--fulcio-url'),
    rekorUrl: checkServiceUrl(options.rekorUrl, '--rekor-url'),
    tsaUrl: options.tsaUrl && checkServiceUrl(options.tsaUrl, '--tsa-url'),
  }
  const token = await fetchIdentityToken(options.env, options.now)
  const bundle = await makeBundle(Buffer.from(artifact), token, {...options, ...services}).catch(
    (error: unknown) => {
      throw serviceError(error)
    },
  )
  const {bundleToJSON} = await import('@sigstore/bundle')
  const bundleBytes = Buffer.from(`${JSON.stringify(bundleToJSON(bundle))}\n`)
  const {trustedRoot, now} = options
  return {
    bundleBytes,
    identity: await verifySigstoreBundle(bundleBytes, artifact, trustedRoot, now),
  }
}

/** As sigstore-js's own builder does, but a v0.3 bundle: one certificate and no chain. */
async function makeBundle(
  data: Buffer,
  token: string,
  {
    fulcioUrl,
    rekorUrl,
    tsaUrl,
    retries,
  }: Omit<KeylessOptions, 'tsaUrl'> & {
    readonly tsaUrl: string | undefined
  },
): Promise<BundleWithMessageSignature> {
  const {FulcioSigner, RekorWitness, TSAWitness} = await import('@sigstore/sign')
  const {toMessageSignatureBundle} = await import('@sigstore/bundle')
  const request = {retry: retries ?? 2, timeout: REQUEST_TIMEOUT_MS}
  const identityProvider = {getToken: async () => token}
  const fulcio = new FulcioSigner({...request, fulcioBaseURL: fulcioUrl, identityProvider})
  const {signature, key} = await fulcio.sign(data)
  if (key.$case !== 'x509Certificate') throw new TypeError('Fulcio sent no certificate')
  const bundle = toMessageSignatureBundle({
    digest: Buffer.from(sha256Hex(data), 'hex'),
    signature,
    certificate: derOfPem(key.certificate),
    certificateChain: false,
  })
  const rekor = new RekorWitness({...request, rekorBaseURL: rekorUrl})
  const {tlogEntries} = await rekor.testify(bundle.content, key.certificate)
  const tsa = tsaUrl === undefined ? undefined : new TSAWitness({...request, tsaBaseURL: tsaUrl})
  const {rfc3161Timestamps = []} = (await tsa?.testify(bundle.content)) ?? {}
  const timestampVerificationData = {rfc3161Timestamps}
  const material = {...bundle.verificationMaterial, tlogEntries, timestampVerificationData}
  return {...bundle, verificationMaterial: material}
}

function derOfPem(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[A-Z ]+-----/g, ''), 'base64')
}

const serviceNames: Readonly<Record<string, string>> = {
  CA_CREATE_SIGNING_CERTIFICATE_ERROR: 'Fulcio',
  TLOG_CREATE_ENTRY_ERROR: 'Rekor',
  TSA_CREATE_TIMESTAMP_ERROR: 'the timestamp authority',
}

/** Without its cause: an answer, or sigstore-js's own message, may repeat the identity token. */
function serviceError(error: unknown): RelError {
  const {code, cause} = error as {code?: unknown; cause?: {statusCode?: unknown}}
  const service = serviceNames[String(code)] ?? 'a Sigstore service'
  const status = cause?.statusCode
  if (typeof status !== 'number')
    return new RelError('sigstore_unavailable', `${service} gave no usable answer`)
  // RFC 9110 15.5.9, RFC 6585 4: these two are about now, not about the request
  const temporary = status >= 500 || status === 408 || status === 429
  const details = {service, status}
  return temporary
    ? new RelError('sigstore_unavailable', `${service} answered ${status}`, {details})
    : new RelError('sigstore_refused', `${service} answered ${status}`, {details})
}
