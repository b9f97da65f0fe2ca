import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {keyFileFlags} from '../../cli/key-flags.ts'

export default class KeysShow extends BaseCommand<typeof KeysShow> {
  static override summary = 'Show a public key in every format.'
  static override description =
    'Of a private key file, only the public half is shown. The key id is the SHA-256 of the SPKI DER: openssl pkey -pubin -in NAME.pub -outform DER | sha256sum'
  static override args = {
    key: Args.string({description: 'A name or a key file.', name: 'NAME|FILE', required: true}),
  }
  static override flags = {
    ...keyFileFlags,
    public: Flags.boolean({
      default: false,
      summary: 'FILE is a public key; needed for 32 raw bytes, which could be either half.',
    }),
  }
  static override examples = [
    '<%= config.bin %> keys show release-2026',
    '<%= config.bin %> keys show ~/.ssh/id_ed25519.pub',
    '<%= config.bin %> keys show release-2026 --json',
  ]

  protected async perform({flags, args}: Input<typeof KeysShow>): Promise<Outcome> {
    const {showKey} = await import('../../cli/key-commands.ts')
    return showKey(args.key, flags)
  }
}
