import {Flags, type Interfaces} from '@oclif/core'
import {identitySignFlags, identityVerifyFlags} from './identity-flags.ts'
import {keyFlags} from './key-flags.ts'
import type {ProgressMode} from './progress.ts'

/** The flags of rel release manifest. */
export const releaseManifestFlags = {
  ...keyFlags,
  'artifact-key': Flags.string({
    helpGroup: 'KEY',
    helpValue: 'NAME|FILE',
    summary: 'Private key that signs the artifacts; the one of --key by default.',
  }),
  product: Flags.string({helpGroup: 'FACTS', summary: 'Product; from release.yaml by default.'}),
  version: Flags.string({
    helpGroup: 'FACTS',
    required: true,
    summary: 'Version, such as 1.4.2 or 1.5.0-beta.1; it decides the channel.',
  }),
  component: Flags.string({
    helpGroup: 'FACTS',
    summary: 'Component of files whose name does not say it.',
  }),
  os: Flags.string({
    helpGroup: 'FACTS',
    summary: 'Operating system of files whose name does not say it.',
  }),
  arch: Flags.string({
    helpGroup: 'FACTS',
    summary: 'Architecture of files whose name does not say it.',
  }),
  commit: Flags.string({
    env: 'GITHUB_SHA',
    helpGroup: 'FACTS',
    summary: 'Commit of the source, 40 or 64 hex digits.',
  }),
  'min-version': Flags.string({
    helpGroup: 'FACTS',
    summary: 'Lowest version a node may go back to after this one.',
  }),
  'min-from': Flags.string({
    helpGroup: 'FACTS',
    summary: 'Lowest installed version that may go to this one directly.',
  }),
  expires: Flags.string({
    helpGroup: 'FACTS',
    helpValue: 'TIME',
    summary: 'When it is refused from: a date, or a span such as 90d. Never by default.',
  }),
  timestamp: Flags.integer({
    helpGroup: 'FACTS',
    min: 0,
    summary: 'Time of signing in seconds since 1970; SOURCE_DATE_EPOCH or now by default.',
  }),
  ...identitySignFlags,
  also: Flags.option({options: ['sigstore'] as const})({
    multiple: true,
    summary:
      'Sign the manifest with the identity of this CI job too, in NAME.sig.bundle beside it.',
  }),
  config: Flags.string({
    helpValue: 'FILE',
    summary: 'Which file is for what; release.yaml by default, if it is there.',
  }),
  output: Flags.string({
    char: 'o',
    helpValue: 'FILE',
    summary: 'Where the manifest goes; DIR/release.json, or release.json for files.',
  }),
  add: Flags.boolean({
    default: false,
    exclusive: ['artifact-key', 'timestamp', 'expires', 'min-version', 'min-from'],
    summary: 'Add a signature to the manifest that is there, once the files were compared with it.',
  }),
  'dry-run': Flags.boolean({
    default: false,
    summary: 'Show what would be signed and written, without a key.',
  }),
}

export type ReleaseManifestFlagValues = Interfaces.InferredFlags<typeof releaseManifestFlags> & {
  readonly input: boolean
} & ProgressMode

/** The flags of rel release verify. */
export const releaseVerifyFlags = {
  trust: Flags.string({
    helpGroup: 'TRUST',
    helpValue: 'FILE',
    summary: 'Trust anchor with keys of the roles manifest and artifact.',
  }),
  ...identityVerifyFlags,
  product: Flags.string({helpGroup: 'EXPECT', summary: 'Product that must have been signed.'}),
  version: Flags.string({helpGroup: 'EXPECT', summary: 'Version that must have been signed.'}),
  channel: Flags.string({helpGroup: 'EXPECT', summary: 'Channel that must have been signed.'}),
  artifacts: Flags.string({
    helpValue: 'DIR',
    summary: 'Folder with the artifacts; the one of the manifest by default.',
  }),
  'manifest-only': Flags.boolean({
    default: false,
    exclusive: ['artifacts'],
    summary: 'Judge the manifest alone: the artifacts are not here.',
  }),
  at: Flags.string({
    helpValue: 'TIME',
    summary: 'Judge expiry as of this time instead of now: to look at old releases.',
  }),
}

/** The flags of rel release receipt. */
export const releaseReceiptFlags = {
  trust: Flags.string({
    helpGroup: 'TRUST',
    helpValue: 'FILE',
    summary: 'Trust anchor with keys of the role manifest.',
  }),
  product: releaseVerifyFlags.product,
  version: releaseVerifyFlags.version,
  manifest: Flags.string({
    helpValue: 'FILE',
    summary: 'The release manifest that the receipt must be of.',
  }),
  at: releaseVerifyFlags.at,
}

export type ReleaseReceiptFlagValues = Interfaces.InferredFlags<typeof releaseReceiptFlags>
export type ReleaseVerifyFlagValues = Interfaces.InferredFlags<typeof releaseVerifyFlags>
