import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {keyFlags} from '../../cli/key-flags.ts'
import {licenseArg, panelFlags} from '../../cli/license-flags.ts'

export default class LicenseRenew extends BaseCommand<typeof LicenseRenew> {
  static override summary = 'Give a licence a later expiry; a frozen one is active again.'
  static override description =
    'The old file goes on opening the panel: what counts there is the newest file it knows. The new file is for the node, which checks it offline.'
  static override args = {license: licenseArg}
  static override flags = {
    expires: Flags.string({
      helpValue: 'TIME',
      required: true,
      summary: 'Until when: a span such as 365d, or a date.',
    }),
    output: Flags.string({
      char: 'o',
      helpValue: 'FILE',
      summary: 'Where the new file goes; in place of the old one by default.',
    }),
    'dry-run': Flags.boolean({default: false, summary: 'Show it; sign, ask and write nothing.'}),
    ...panelFlags,
    ...keyFlags,
  }
  static override examples = [
    '<%= config.bin %> license renew acme.license --expires 365d --panel https://releases.example.com',
    '<%= config.bin %> license renew acme.license --expires 365d --key license',
  ]

  protected async perform({args, flags}: Input<typeof LicenseRenew>): Promise<Outcome> {
    const {licenseRenew} = await import('../../cli/license.ts')
    const {withLicenseDefaults} = await import('../../cli/config-defaults.ts')
    return licenseRenew(args.license, await withLicenseDefaults(flags))
  }
}
