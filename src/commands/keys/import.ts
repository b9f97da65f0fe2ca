import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {keyFileFlags} from '../../cli/key-flags.ts'

export default class KeysImport extends BaseCommand<typeof KeysImport> {
  static override summary = 'Take over a key that another tool made.'
  static override description =
    'Reads PEM, DER, raw, minisign, signify, OpenSSH and JWK. A public key goes to rel.keys/NAME.pub; a private key goes to .rel/keys/NAME.key as well, encrypted with its own passphrase, or with a new one when it had none. FILE is only read.'
  static override args = {
    file: Args.string({description: 'Key file of another tool.', name: 'FILE', required: true}),
  }
  static override flags = {
    ...keyFileFlags,
    name: Flags.string({helpValue: 'NAME', summary: 'Name of the key; that of FILE by default.'}),
    format: Flags.option({options: ['minisign', 'pkcs8'] as const})({
      default: 'minisign',
      summary: 'How the private key is written.',
    }),
    'no-passphrase': Flags.boolean({
      default: false,
      summary: 'Store the private key in the clear.',
    }),
    public: Flags.boolean({
      default: false,
      summary: 'FILE is a public key; needed for 32 raw bytes, which could be either half.',
    }),
    'dry-run': Flags.boolean({default: false, summary: 'Say what would be written, and stop.'}),
  }
  static override examples = [
    '<%= config.bin %> keys import ~/.minisign/minisign.key --name release',
    '<%= config.bin %> keys import signer.pem',
    '<%= config.bin %> keys import device.raw --public --name device',
  ]

  protected async perform({flags, args}: Input<typeof KeysImport>): Promise<Outcome> {
    const {importKey} = await import('../../cli/key-commands.ts')
    return importKey(args.file, flags)
  }
}
