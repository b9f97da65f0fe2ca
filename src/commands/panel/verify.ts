import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {panelFlags} from '../../cli/panel-flags.ts'

export default class PanelVerify extends BaseCommand<typeof PanelVerify> {
  static override summary = 'Read everything again: artifacts, manifests, release logs, audit log.'
  static override description =
    'Works beside a running panel and changes nothing. Every finding is printed; exit 20 when there is one.'
  static override flags = {
    ...panelFlags,
    'audit-checkpoint': Flags.string({
      helpValue: 'FILE',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'A copy of DATA/audit-checkpoint.json that was kept elsewhere.',
    }),
  }
  static override examples = [
    '<%= config.bin %> panel verify --data /var/lib/rel-panel',
    '<%= config.bin %> panel verify --data panel --json',
  ]

  protected async perform({flags}: Input<typeof PanelVerify>): Promise<Outcome> {
    const {verify} = await import('../../cli/panel-maintenance.ts')
    return verify(flags)
  }
}
