import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'

export default class LicenseInspect extends BaseCommand<typeof LicenseInspect> {
  static override summary = 'Show what a licence says; with a trust anchor, whether it is good.'
  static override args = {
    file: Args.string({description: 'A licence file.', name: 'FILE', required: true}),
  }
  static override flags = {
    trust: Flags.string({
      helpValue: 'FILE',
      summary:
        'Trust anchor with the role license; REL_TRUST or one’s own configuration by default.',
    }),
    product: Flags.string({summary: 'Product that it must be for.'}),
    header: Flags.boolean({
      default: false,
      summary: 'Print the form for Authorization: Bearer instead.',
    }),
  }
  static override examples = [
    '<%= config.bin %> license inspect acme.license --trust trust.json --product edge-agent',
    '<%= config.bin %> license inspect acme.license --header',
  ]

  protected async perform({args, flags}: Input<typeof LicenseInspect>): Promise<Outcome> {
    const {licenseInspect} = await import('../../cli/license.ts')
    const {withOwnTrust} = await import('../../cli/config-defaults.ts')
    return licenseInspect(args.file, await withOwnTrust(flags))
  }
}
