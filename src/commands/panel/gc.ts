import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {panelFlags} from '../../cli/panel-flags.ts'

export default class PanelGc extends BaseCommand<typeof PanelGc> {
  static override summary = 'Remove bytes that no release and no upload names.'
  static override description =
    'Dropped drafts and given up uploads leave bytes behind. Nothing that was ever published is touched. Safe beside a running panel.'
  static override flags = {
    ...panelFlags,
    'grace-hours': Flags.integer({
      default: 24,
      helpValue: 'N',
      min: 1,
      summary: 'Leave what is younger alone: its release may be on the way.',
    }),
    'dry-run': Flags.boolean({default: false, summary: 'Count, and remove nothing.'}),
  }
  static override examples = [
    '<%= config.bin %> panel gc --data /var/lib/rel-panel',
    '<%= config.bin %> panel gc --data panel --dry-run',
  ]

  protected async perform({flags}: Input<typeof PanelGc>): Promise<Outcome> {
    const {collect} = await import('../../cli/panel-maintenance.ts')
    return collect(flags)
  }
}
