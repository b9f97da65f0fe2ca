import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {panelFlags} from '../../cli/panel-flags.ts'

export default class PanelClock extends BaseCommand<typeof PanelClock> {
  static override summary = 'Show the latest time by which a panel judges licences.'
  static override description =
    'A clock that is set back thaws no licence, so a clock that once jumped ahead keeps them frozen. --reset sets the latest time to now; it goes into the audit log.'
  static override flags = {
    ...panelFlags,
    reset: Flags.boolean({default: false, summary: 'Set it to now, after a jump by mistake.'}),
    'dry-run': Flags.boolean({default: false, summary: 'Show it; write nothing.'}),
  }
  static override examples = [
    '<%= config.bin %> panel clock --data panel',
    '<%= config.bin %> panel clock --data panel --reset',
  ]

  protected async perform({flags}: Input<typeof PanelClock>): Promise<Outcome> {
    const {showClock} = await import('../../cli/panel-maintenance.ts')
    return showClock(flags)
  }
}
