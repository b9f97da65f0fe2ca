import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {panelFlags, stateFlag} from '../../cli/license-flags.ts'

export default class LicenseExplain extends BaseCommand<typeof LicenseExplain> {
  static override summary = 'Say what a licence sees, and why not more.'
  static override description =
    'Offline from the file alone, by the rules that the panel and the node go by; with --panel, from what the panel knows.'
  static override args = {
    license: Args.string({
      description: 'A licence file; with --panel also an id.',
      name: 'FILE|ID',
      required: true,
    }),
  }
  static override flags = {
    release: Flags.string({helpValue: 'VERSION', summary: 'Say it of this release.'}),
    product: Flags.string({summary: 'Product of the release; that of the licence by default.'}),
    state: stateFlag,
    ...panelFlags,
  }
  static override examples = [
    '<%= config.bin %> license explain acme.license --release 1.5.0-beta.1',
    '<%= config.bin %> license explain 01JD0000000000000000000000 --panel https://releases.example.com',
  ]

  protected async perform({args, flags}: Input<typeof LicenseExplain>): Promise<Outcome> {
    const {licenseExplain} = await import('../../cli/license.ts')
    return licenseExplain(args.license, flags)
  }
}
