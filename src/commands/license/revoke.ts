import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {panelFlags} from '../../cli/license-flags.ts'

export default class LicenseRevoke extends BaseCommand<typeof LicenseRevoke> {
  static override summary = 'Withdraw a licence for good.'
  static override description = 'Every instance of the panel knows within five seconds.'
  static override args = {
    license: Args.string({
      description: 'A licence file, or an id.',
      name: 'FILE|ID',
      required: true,
    }),
  }
  static override flags = {
    reason: Flags.string({required: true, summary: 'Why; it goes into the audit log.'}),
    'dry-run': Flags.boolean({default: false, summary: 'Show it; ask nothing.'}),
    ...panelFlags,
  }
  static override examples = [
    '<%= config.bin %> license revoke acme.license --reason "invoice 4711 is open" --panel https://releases.example.com',
    '<%= config.bin %> license revoke 01JD0000000000000000000000 --reason "key was stolen" --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof LicenseRevoke>): Promise<Outcome> {
    const {licenseStop} = await import('../../cli/license.ts')
    return licenseStop('revoke', args.license, flags)
  }
}
