import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {licenseArg, stopFlags} from '../../cli/license-flags.ts'

export default class LicenseRevoke extends BaseCommand<typeof LicenseRevoke> {
  static override summary = 'Withdraw a licence for good.'
  static override description = 'Every instance of the panel knows within five seconds.'
  static override args = {license: licenseArg}
  static override flags = stopFlags
  static override examples = [
    '<%= config.bin %> license revoke acme.license --reason "invoice 4711 is open" --panel https://releases.example.com',
    '<%= config.bin %> license revoke 01JD0000000000000000000000 --reason "key was stolen" --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof LicenseRevoke>): Promise<Outcome> {
    const {licenseStop} = await import('../../cli/license.ts')
    return licenseStop('revoke', args.license, flags)
  }
}
