import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {changeFlags} from '../../cli/trust-change-flags.ts'

export default class TrustRenew extends BaseCommand<typeof TrustRenew> {
  static override summary = 'Make a next version of the trust anchor that only ends later.'
  static override flags = {...changeFlags}
  static override examples = [
    '<%= config.bin %> trust renew --key root-1',
    '<%= config.bin %> trust renew --expires 2027-06-30 --key root-1 --dry-run',
  ]

  protected async perform({flags}: Input<typeof TrustRenew>): Promise<Outcome> {
    const {renew} = await import('../../cli/trust-changes.ts')
    return renew(flags)
  }
}
