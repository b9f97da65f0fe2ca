import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {changeFlags, limitFlags, roleFlag} from '../../cli/trust-change-flags.ts'

export default class TrustAdd extends BaseCommand<typeof TrustAdd> {
  static override summary = 'Let a further key sign, in the next version of the trust anchor.'
  static override description =
    'The key joins the entries within the limits given. Where there is none, a new entry begins with the keys that could sign so far, so that nothing stops verifying.'
  static override args = {
    key: Args.string({description: 'Public key to add.', name: 'NAME|FILE', required: true}),
  }
  static override flags = {
    role: roleFlag,
    name: Flags.string({summary: 'What to call the key; the name of its file when not given.'}),
    'not-after': Flags.string({
      helpValue: 'TIME',
      summary: 'When the key stops counting (not for the role root).',
    }),
    threshold: Flags.integer({
      max: 16,
      min: 1,
      summary: 'How many keys must sign from now on; as before when not given.',
    }),
    ...limitFlags,
    ...changeFlags,
  }
  static override examples = [
    '<%= config.bin %> trust add build-2 --role manifest --key root-1',
    '<%= config.bin %> trust add canary.pub --role manifest --product agent --channel canary --key root-1',
    '<%= config.bin %> trust add root-2 --role root --threshold 2 --key root-1 --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof TrustAdd>): Promise<Outcome> {
    const {addKey} = await import('../../cli/trust-changes.ts')
    return addKey(args.key, flags)
  }
}
