import {Flags, type Interfaces} from '@oclif/core'
import {identitySignFlags} from './identity-flags.ts'
import {keyFlags} from './key-flags.ts'
import type {ProgressMode} from './progress.ts'

/** What a signer says of a bundle. */
const factFlags = {
  product: Flags.string({
    helpGroup: 'FACTS',
    summary: 'Product; from the directory’s name by default.',
  }),
  version: Flags.string({
    helpGroup: 'FACTS',
    summary: 'Version; from the directory’s name by default.',
  }),
  channel: Flags.string({helpGroup: 'FACTS', summary: 'Channel; stable by default.'}),
  sequence: Flags.integer({
    helpGroup: 'FACTS',
    min: 0,
    summary: 'Rises with every release of a channel; the time of signing by default.',
  }),
  expires: Flags.string({
    helpGroup: 'FACTS',
    helpValue: 'TIME',
    summary: 'When it is refused from: a date, or a span such as 90d. Never by default.',
  }),
  'min-version': Flags.string({
    helpGroup: 'FACTS',
    summary: 'Lowest version a device may go back to after this one.',
  }),
  'min-from': Flags.string({
    helpGroup: 'FACTS',
    summary: 'Lowest installed version that may apply this one.',
  }),
  'min-updater': Flags.string({helpGroup: 'FACTS', summary: 'Lowest version of the updater.'}),
  target: Flags.string({
    helpGroup: 'FACTS',
    multiple: true,
    summary: 'Machine it is for, such as linux-arm64; any by default, may be given several times.',
  }),
  timestamp: Flags.integer({
    helpGroup: 'FACTS',
    min: 0,
    summary: 'Time of signing in seconds since 1970; SOURCE_DATE_EPOCH or now by default.',
  }),
  'bundle-name': Flags.string({
    helpGroup: 'FACTS',
    summary: 'Name for people; the directory’s name by default.',
  }),
  component: Flags.string({helpGroup: 'FACTS', summary: 'Component, of a single file.'}),
}

export const signFlags = {
  ...keyFlags,
  key: {...keyFlags.key, aliases: ['private-key']},
  ...factFlags,
  ...identitySignFlags,
  'bundle-dir': Flags.string({
    helpValue: 'DIR',
    summary: 'The directory to sign, as D2’s signer calls it.',
  }),
  output: Flags.string({
    aliases: ['output-manifest'],
    char: 'o',
    helpValue: 'FILE',
    summary: 'Where the manifest goes; DIR/manifest.json by default.',
  }),
  add: Flags.boolean({
    default: false,
    exclusive: [...Object.keys(factFlags), 'normalise-modes'],
    summary: 'Add a signature to the manifest that is there, once the files were compared with it.',
  }),
  also: Flags.option({options: ['minisig', 'sshsig', 'sigstore'] as const})({
    multiple: true,
    summary: 'Write a signature over manifest.json for other tools too.',
  }),
  sbom: Flags.string({helpValue: 'FILE', summary: 'Write a CycloneDX document of the bundle too.'}),
  legacy: Flags.boolean({
    allowNo: true,
    default: true,
    summary: 'Write D2’s signature over the canonical manifest too.',
  }),
  d2: Flags.boolean({
    default: false,
    exclusive: ['add', 'channel', 'sequence', 'expires', 'min-version', 'min-from', 'target'],
    summary: 'Write a true D2 manifest: five fields, neither modes nor sizes signed.',
  }),
  'allow-links': Flags.boolean({
    default: false,
    summary: 'Sign symbolic links that stay inside the bundle.',
  }),
  'allow-unicode-paths': Flags.boolean({
    default: false,
    summary: 'Sign file names beyond ASCII.',
  }),
  'normalise-modes': Flags.boolean({
    aliases: ['normalize-modes'],
    default: false,
    summary: 'Change every file to mode 0644, or 0755 where its owner may run it.',
  }),
  'dry-run': Flags.boolean({
    default: false,
    summary: 'Say what would be signed and written, without a key.',
  }),
}

/** What oclif makes of signFlags, with the global flags that it reads. */
export type SignFlagValues = Interfaces.InferredFlags<typeof signFlags> & {
  readonly input: boolean
} & ProgressMode
