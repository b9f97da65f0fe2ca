import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {licenseArg, stopFlags} from '../../cli/license-flags.ts'

export default class LicenseFreeze extends BaseCommand<typeof LicenseFreeze> {
  static override summary = 'Stop handing out newer releases until the licence is renewed.'
  static override description = 'What is installed keeps running; rel license renew thaws it.'
  static override args = {license: licenseArg}
  static override flags = stopFlags
  static override examples = [
    '<%= config.bin %> license freeze acme.license --reason "invoice 4711 is open" --panel https://releases.example.com',
    '<%= config.bin %> license freeze 01JD0000000000000000000000 --reason "trial is over" --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof LicenseFreeze>): Promise<Outcome> {
    const {licenseStop} = await import('../../cli/license.ts')
    return licenseStop('freeze', args.license, flags)
  }
}
