import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {passphraseFlags} from '../../cli/key-flags.ts'

export default class KeysNew extends BaseCommand<typeof KeysNew> {
  static override summary = 'Make an Ed25519 key.'
  static override description =
    'The private key goes to .rel/keys/NAME.key (mode 0600, ignored by git), encrypted with a passphrase in the format of minisign. The public key goes to rel.keys/NAME.pub. Nothing is ever overwritten.'
  static override args = {
    name: Args.string({description: 'Name of the key.', name: 'NAME', required: true}),
  }
  static override flags = {
    ...passphraseFlags,
    format: Flags.option({options: ['minisign', 'pkcs8'] as const})({
      default: 'minisign',
      summary: 'How the private key is written; pkcs8 is for openssl and HSM import.',
    }),
    'no-passphrase': Flags.boolean({
      default: false,
      exclusive: ['passphrase-fd', 'passphrase-file'],
      summary: 'Store the private key in the clear.',
    }),
    'dry-run': Flags.boolean({default: false, summary: 'Say what would be written, and stop.'}),
  }
  static override examples = [
    '<%= config.bin %> keys new release-2026',
    '<%= config.bin %> keys new ci --passphrase-fd 3 3< passphrase.txt',
    '<%= config.bin %> keys new hsm --format pkcs8',
    '<%= config.bin %> keys new test --no-passphrase',
  ]

  protected async perform({flags, args}: Input<typeof KeysNew>): Promise<Outcome> {
    const {newKey} = await import('../../cli/key-commands.ts')
    return newKey(args.name, flags)
  }
}
