import type {CodeTable} from './code.ts'

/** Codes of releases, their versions and licences (docs/formats/release-manifest.md, license.md). */
export const releaseCodes = {
  version_invalid: {
    exit: 'usage',
    title: 'this is no semantic version',
    cause:
      'Releases are ordered by semver.org 2.0.0, so nothing else can be published or asked for.',
    fix: 'Write it as 1.4.2 or 1.5.0-beta.1, without a leading v.',
  },
  channel_unknown_prerelease: {
    exit: 'gate',
    title: 'the pre-release part names no channel',
    cause:
      'The channel follows from the version alone: none is stable, -beta.N, -rc.N, -canary.N and -dev.N are the others.',
    fix: 'Tag the release as 1.5.0-beta.1, 1.5.0-rc.1 or 1.5.0-canary.1.',
  },
  channel_not_of_version: {
    exit: 'gate',
    title: 'the channel is not the one of the version',
    cause: 'A channel is computed from the version; nobody chooses it.',
    fix: 'Leave the channel out, or change the version.',
  },
  release_malformed: {
    exit: 'verification',
    title: 'the release manifest is malformed',
    cause: 'A field is missing, unknown, of another type or of another form.',
    fix: 'Write it with rel release manifest; see docs/formats/release-manifest.md.',
  },
  release_limit: {
    exit: 'verification',
    title: 'the release manifest is larger than what is read',
    cause: 'Every size and count is bounded before anything is trusted.',
    fix: 'Split the release; the limits are in docs/formats/release-manifest.md.',
  },
  receipt_malformed: {
    exit: 'verification',
    title: 'the receipt is malformed',
    cause: 'A field is missing, unknown, of another type or of another form.',
    fix: 'Take the file as rel publish wrote it; see docs/formats/publish-receipt.md.',
  },
  receipt_mismatch: {
    exit: 'verification',
    title: 'the receipt is of another release',
    cause: 'Its manifest, or a file that it lists, is not that of the release manifest at hand.',
    fix: 'Compare the two; rel release reconcile says what the targets have now.',
  },
  release_expired: {
    exit: 'verification',
    title: 'the release manifest has expired',
    cause: 'Its signed expiry has passed, so an attacker may be replaying it.',
    fix: 'Publish a newer release.',
  },
  release_config_invalid: {
    exit: 'usage',
    title: 'release.yaml is not valid',
    cause: 'A key is unknown, or a value has another form than is allowed.',
    fix: 'Correct the place that is named; docs/formats/release-manifest.md describes the file.',
  },
  release_empty: {
    exit: 'usage',
    title: 'the release would have no artifacts',
    cause: 'No file was given, or no file fits a pattern of release.yaml.',
    fix: 'Name the files, or correct the patterns.',
  },
  artifact_unassigned: {
    exit: 'usage',
    title: 'a file has no component, os or arch',
    cause: 'Nothing says what the file is for: neither a pattern, nor a flag, nor its name.',
    fix: 'Add an entry to release.yaml, or give --component, --os and --arch.',
  },
  artifact_slot_duplicate: {
    exit: 'gate',
    title: 'two artifacts are for the same component, os and arch',
    cause: 'A node could not tell which of them to install.',
    fix: 'Give one of them another component, or leave it out.',
  },
  artifact_too_large: {
    exit: 'gate',
    title: 'an artifact is larger than what can be signed',
    cause: 'An Ed25519 signature over bytes is made over the whole file in memory.',
    fix: 'Split the artifact; the limit is in docs/formats/release-manifest.md.',
  },
  artifact_mismatch: {
    exit: 'verification',
    title: 'an artifact is not what the release manifest says',
    cause: 'Its size, its SHA-256 or its signature differs from the signed one.',
    fix: 'Get or build the artifact again; never sign over a difference.',
  },
  license_missing: {
    exit: 'unauthorised',
    title: 'no licence was shown',
    cause: 'Releases are handed out to holders of a licence alone.',
    fix: 'Send the licence in the header: Authorization: Bearer rel1.…',
  },
  license_malformed: {
    exit: 'verification',
    title: 'this is no licence',
    cause: 'The file or the header is damaged, cut off, or of another form.',
    fix: 'Copy the whole licence again; see docs/formats/license.md.',
  },
  license_invalid: {
    exit: 'unauthorised',
    title: 'the licence is not valid here',
    cause: 'It is damaged, or no trusted licence key has signed it.',
    fix: 'Install the licence again; rel license inspect says what is wrong with it.',
  },
  license_unknown: {
    exit: 'unauthorised',
    title: 'the panel does not know this licence',
    cause: 'It is well signed, but was never registered with this panel.',
    fix: 'Register it with rel license issue --panel, or ask who issued it.',
  },
  license_wrong_product: {
    exit: 'unauthorised',
    title: 'the licence is for another product',
    cause: 'A licence opens the releases of one product.',
    fix: 'Use the licence of this product.',
  },
  license_expired: {
    exit: 'unauthorised',
    title: 'the licence has expired',
    cause: 'What is installed keeps running; newer releases are not handed out.',
    fix: 'Renew it: rel license renew.',
  },
  license_frozen: {
    exit: 'unauthorised',
    title: 'the licence is frozen',
    cause:
      'It expired or was frozen. What is installed keeps running; no newer release is handed out.',
    fix: 'Renew it: rel license renew.',
  },
  license_revoked: {
    exit: 'unauthorised',
    title: 'the licence was revoked',
    cause: 'It was withdrawn for good.',
    fix: 'Ask for a new licence.',
  },
  panel_refused: {
    exit: 'unauthorised',
    title: 'the panel refused for a reason that this rel does not know',
    cause: 'A newer panel has codes of its own, or something else answers at this address.',
    fix: 'Read the message, check the address, or use the rel of the panel’s version.',
  },
  no_release: {
    exit: 'upstreamMissing',
    title: 'there is no such release for this licence',
    cause: 'It does not exist, or the licence does not cover it; the answer is the same.',
    fix: 'rel license explain says what a licence sees.',
  },
  release_recalled: {
    exit: 'gate',
    title: 'the release was recalled',
    cause: 'Its publisher withdrew it; its number will not be used again.',
    fix: 'Install the release that replaces it.',
  },
} as const satisfies CodeTable
