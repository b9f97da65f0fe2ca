import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {keyFlags} from '../../cli/key-flags.ts'
import {panelFlags, trackFlag} from '../../cli/license-flags.ts'

export default class LicenseIssue extends BaseCommand<typeof LicenseIssue> {
  static override summary = 'Issue a licence: who may fetch which releases, until when.'
  static override description =
    'With --key it is signed here and works offline; with --panel too, it is registered there. With --panel alone the panel signs it by its own licence key.'
  static override flags = {
    product: Flags.string({
      summary: 'Product whose releases it opens; the configured one by default.',
    }),
    customer: Flags.string({required: true, summary: 'Whom it is for.'}),
    track: trackFlag,
    entitlement: Flags.string({
      multiple: true,
      summary: 'channel:canary adds that channel; component:NAME limits it to some components.',
    }),
    expires: Flags.string({
      helpValue: 'TIME',
      required: true,
      summary: 'Until when: a span such as 365d, or a date.',
    }),
    id: Flags.string({helpValue: 'ULID', summary: 'Its id; a new one by default.'}),
    output: Flags.string({
      char: 'o',
      helpValue: 'FILE',
      summary: 'Where it goes; ID.license by default.',
    }),
    'dry-run': Flags.boolean({default: false, summary: 'Show it; sign and write nothing.'}),
    ...panelFlags,
    ...keyFlags,
  }
  static override examples = [
    '<%= config.bin %> license issue --product edge-agent --customer "Acme GmbH" --expires 365d --key license',
    '<%= config.bin %> license issue --product edge-agent --customer Lab --track prerelease --expires 90d --panel https://releases.example.com',
  ]

  protected async perform({flags}: Input<typeof LicenseIssue>): Promise<Outcome> {
    const {licenseIssue} = await import('../../cli/license.ts')
    const {withLicenseDefaults} = await import('../../cli/config-defaults.ts')
    return licenseIssue(await withLicenseDefaults(flags))
  }
}
