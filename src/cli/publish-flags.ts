import {Args, Flags, type Interfaces} from '@oclif/core'
import {keyFlags} from './key-flags.ts'
import {panelFlags} from './license-flags.ts'
import type {ProgressMode} from './progress.ts'

export const manifestArg = Args.string({
  description: 'The release manifest, or the folder with release.json in it.',
  name: 'MANIFEST',
  required: true,
})

/** Where a release is, the same for everything that reads or writes targets. */
const targetFlags = {
  ...panelFlags,
  github: Flags.string({
    helpGroup: 'GITHUB',
    helpValue: 'OWNER/NAME',
    summary: 'Repository whose releases are meant; the token is in GITHUB_TOKEN.',
  }),
  'github-api': Flags.string({
    default: 'https://api.github.com',
    env: 'GITHUB_API_URL',
    helpGroup: 'GITHUB',
    helpValue: 'URL',
    summary: 'Base URL of the API, for GitHub Enterprise.',
  }),
  'github-token-file': Flags.string({
    helpGroup: 'GITHUB',
    helpValue: 'FILE',
    summary: 'File with the token; GITHUB_TOKEN or REL_GITHUB_TOKEN by default.',
  }),
  tag: Flags.string({helpGroup: 'GITHUB', summary: 'Tag of the release; vVERSION by default.'}),
  immutable: Flags.boolean({
    default: false,
    helpGroup: 'GITHUB',
    summary: 'Demand that GitHub makes the release immutable.',
  }),
  attach: Flags.string({
    helpGroup: 'GITHUB',
    helpValue: 'FILE',
    multiple: true,
    summary: 'A further file for GitHub, such as an SBOM.',
  }),
  sidecars: Flags.boolean({
    allowNo: true,
    default: true,
    helpGroup: 'GITHUB',
    summary:
      'Files beside an artifact (.sig, .minisig, .sha256, .sigstore.json, .spdx.json) and the manifest’s .sig.bundle go too.',
  }),
}

/** Who signs the receipt: the flags of a command that signs, under names that say what. */
const {key: _key, signer: _signer, ...receiptKeyFlags} = keyFlags

/** The flags of rel publish. */
export const publishFlags = {
  ...targetFlags,
  'create-tag': Flags.boolean({
    default: false,
    helpGroup: 'GITHUB',
    summary: 'Let GitHub make the tag, on the commit that the manifest names.',
  }),
  title: Flags.string({helpGroup: 'GITHUB', summary: 'Title of the release; the tag by default.'}),
  notes: Flags.string({
    helpGroup: 'GITHUB',
    helpValue: 'FILE',
    summary: 'File with the release notes.',
  }),
  'probe-license': Flags.string({
    helpGroup: 'PANEL',
    helpValue: 'FILE',
    multiple: true,
    summary: 'Fetch with this licence before and after, as its holder would; one for each track.',
  }),
  receipt: Flags.string({
    helpValue: 'FILE',
    summary: 'Where the receipt goes; publish-receipt.json beside the manifest by default.',
  }),
  'receipt-key': Flags.string({
    exclusive: ['receipt-signer'],
    helpGroup: 'KEY',
    helpValue: 'NAME|FILE',
    summary: 'Private key that signs the receipt, of the role manifest.',
  }),
  'receipt-signer': Flags.string({
    helpGroup: 'KEY',
    helpValue: 'SIGNER',
    summary: 'Who holds that key: file:PATH, exec:COMMAND, pkcs11:URI or ssh-agent:KEY.',
  }),
  ...receiptKeyFlags,
  'dry-run': Flags.boolean({
    default: false,
    summary: 'Show what would be published, without a token or the network.',
  }),
}

export const statusFlags = {
  ...targetFlags,
  'exit-code': Flags.boolean({
    default: false,
    summary: 'Exit with 10 when a target is not as the manifest says.',
  }),
}

export type TargetFlagValues = Interfaces.InferredFlags<typeof targetFlags> & ProgressMode
export type PublishFlagValues = Interfaces.InferredFlags<typeof publishFlags> & {
  readonly input: boolean
} & ProgressMode
export type StatusFlagValues = Interfaces.InferredFlags<typeof statusFlags> & ProgressMode
