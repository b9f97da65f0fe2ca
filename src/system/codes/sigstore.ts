import type {CodeTable} from './code.ts'

const getAgain = 'Get the bundle and its Sigstore files again from whoever made it.'
const checkEntry =
  'Do not use it if the identity is not yours. If it is, correct the entry in allowed_signers.'

/** Codes of Sigstore identities (docs/formats/sigstore.md): one cause, one code. */
export const sigstoreCodes = {
  identity_policy_empty: {
    exit: 'verification',
    title: 'no signer identity is allowed',
    cause: 'A Sigstore bundle by anyone would pass an empty list, so it passes none.',
    fix: 'Add an entry to allowed_signers in the trust anchor, or give --allowed-signers FILE.',
  },
  identity_policy_malformed: {
    exit: 'usage',
    title: 'an allowed signer could not be understood',
    cause: 'An entry has an unknown or missing field, or a value that is no exact text.',
    fix: 'Correct the entry; docs/formats/sigstore.md shows one.',
  },
  identity_not_allowed: {
    exit: 'verification',
    title: 'the signer is not an allowed one',
    cause:
      'The name in the certificate (workflow, repository and ref) is not exactly a listed one.',
    fix: checkEntry,
  },
  identity_version_mismatch: {
    exit: 'verification',
    title: 'the signer is the workflow run of another version',
    cause: 'An allowed workflow has signed, but from a ref that does not fit the signed version.',
    fix: 'Do not use it: a bundle may be offered under a wrong version. Sign from the tag of the version.',
  },
  identity_issuer_mismatch: {
    exit: 'verification',
    title: 'the signer was authenticated by another issuer',
    cause:
      'Anyone can run an issuer that claims the same names, so the issuer must be the listed one.',
    fix: checkEntry,
  },
  identity_repository_mismatch: {
    exit: 'verification',
    title: 'the signer ran in another repository',
    cause:
      'The repository has the listed name but another id: it was deleted and made again by someone.',
    fix: checkEntry,
  },
  identity_trigger_mismatch: {
    exit: 'verification',
    title: 'the signing workflow was started by another event',
    cause: 'Some events, such as pull_request_target, let strangers start a workflow.',
    fix: 'Sign in a run that a listed event has started, or correct trigger in allowed_signers.',
  },
  identity_runner_mismatch: {
    exit: 'verification',
    title: 'the signing workflow ran on another kind of machine',
    cause: 'The allowed signer is limited to one runner environment, such as github-hosted.',
    fix: 'Sign on such a machine, or correct runner in allowed_signers.',
  },
  identity_out_of_period: {
    exit: 'verification',
    title: 'the signer was not allowed at the time of signing',
    cause: 'The proven time of the signature lies before not_before or after not_after.',
    fix: 'Get a bundle that a current identity has signed.',
  },
  sigstore_bundle_missing: {
    exit: 'verification',
    title: 'there is no Sigstore bundle',
    cause: 'The policy asks for a Sigstore identity and manifest.sig.bundle is not there.',
    fix: `${getAgain} Its maker signs with rel sign --also sigstore.`,
  },
  sigstore_bundle_malformed: {
    exit: 'verification',
    title: 'the Sigstore bundle could not be understood',
    cause: 'It is not a Sigstore bundle v0.1 to v0.3 of the kind that is expected here.',
    fix: getAgain,
  },
  sigstore_digest_mismatch: {
    exit: 'verification',
    title: 'the Sigstore bundle is about other bytes',
    cause: 'The SHA-256 that was signed is not the one of the file: one of the two was exchanged.',
    fix: getAgain,
  },
  sigstore_signature_invalid: {
    exit: 'verification',
    title: 'the Sigstore signature does not fit',
    cause: 'The key in the certificate has not signed these bytes.',
    fix: getAgain,
  },
  sigstore_certificate_invalid: {
    exit: 'verification',
    title: 'the signing certificate is not valid',
    cause:
      'It is not issued by a trusted Fulcio, not in a certificate log, or was not valid when it signed.',
    fix: `${getAgain} For a private Sigstore give its --trusted-root FILE.`,
  },
  sigstore_timestamp_invalid: {
    exit: 'verification',
    title: 'the time of the signature is not proven',
    cause:
      'No trusted log or authority vouches for the time, or it lies in the future: the certificate could have expired before it signed.',
    fix: 'Sign again; where the log gives no time, name an authority with --tsa-url.',
  },
  sigstore_tlog_missing: {
    exit: 'verification',
    title: 'the signature is in no transparency log',
    cause: 'Without an entry in the log nobody could notice a signature made in secret.',
    fix: `${getAgain} The log entry may have been removed.`,
  },
  sigstore_tlog_invalid: {
    exit: 'verification',
    title: 'the proof of the transparency log is not valid',
    cause:
      'The entry was changed, is about another signature, or comes from a log that is not trusted.',
    fix: `${getAgain} For a private Sigstore give its --trusted-root FILE.`,
  },
  sigstore_statement_malformed: {
    exit: 'verification',
    title: 'the signed statement is not an in-toto provenance',
    cause: 'A DSSE bundle counts only as in-toto Statement v1 with SLSA provenance v1 inside.',
    fix: 'Get the provenance again from whoever made it.',
  },
  sigstore_subject_foreign: {
    exit: 'verification',
    title: 'the provenance is about something else',
    cause: 'A subject of the statement is not a file of this release, or has another digest.',
    fix: 'Get the provenance that was made for this release.',
  },
  sigstore_subject_missing: {
    exit: 'verification',
    title: 'the provenance does not speak of every file',
    cause: 'A file of this release is not among the subjects, so nobody says where it was built.',
    fix: 'Get the provenance that was made for this release.',
  },
  trusted_root_invalid: {
    exit: 'usage',
    title: 'the Sigstore trusted root is not valid',
    cause:
      'The file is damaged, or an authority in it has no start of validity, key or certificate.',
    fix: 'Get trusted_root.json again from your Sigstore, or leave --trusted-root out.',
  },
  sigstore_token_missing: {
    exit: 'unauthorised',
    title: 'there is no identity to sign with',
    cause: 'Keyless signing needs the identity token of a CI job, and none was offered.',
    fix: 'In GitHub Actions add permissions: id-token: write to the job; elsewhere set SIGSTORE_ID_TOKEN.',
  },
  sigstore_token_invalid: {
    exit: 'unauthorised',
    title: 'the identity token is not usable',
    cause: 'It is no JSON Web Token with a subject, or it has expired.',
    fix: 'Request a new token for the audience sigstore right before signing.',
  },
  sigstore_refused: {
    exit: 'unauthorised',
    title: 'a Sigstore service has refused the request',
    cause: 'Fulcio, Rekor or the timestamp authority answered that the request is not acceptable.',
    fix: 'Check the identity token and the service addresses; asking again will not help.',
  },
  sigstore_unavailable: {
    exit: 'temporary',
    title: 'a Sigstore service could not be reached',
    cause: 'Fulcio, Rekor, the timestamp authority or the token service is down or too slow.',
    fix: 'Run the same command again later: nothing was written.',
  },
} as const satisfies CodeTable
