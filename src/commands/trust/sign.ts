import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {keyFlags} from '../../cli/key-flags.ts'

export default class TrustSign extends BaseCommand<typeof TrustSign> {
  static override summary = 'Add a root signature to a version of the trust anchor.'
  static override description =
    'Shows what the version changes. With the last signature needed, trust.json becomes that version. Needs the version before beside it, to know whose signatures count.'
  static override args = {
    file: Args.string({description: 'Such as 2.trust.json.', name: 'FILE', required: true}),
  }
  static override flags = {
    'dry-run': Flags.boolean({
      default: false,
      summary: 'Show what the version changes and whose signatures it needs.',
    }),
    ...keyFlags,
  }
  static override examples = [
    '<%= config.bin %> trust sign 2.trust.json --dry-run',
    '<%= config.bin %> trust sign 2.trust.json --key root-2',
  ]

  protected async perform({args, flags}: Input<typeof TrustSign>): Promise<Outcome> {
    const {signAnchor} = await import('../../cli/trust-changes.ts')
    return signAnchor(args.file, flags)
  }
}
