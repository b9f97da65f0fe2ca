import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {panelFlags} from '../../../cli/panel-flags.ts'

export default class PanelPublisherList extends BaseCommand<typeof PanelPublisherList> {
  static override summary = 'List the publishers of a panel: whose runs may publish what.'
  static override flags = {...panelFlags}
  static override examples = [
    '<%= config.bin %> panel publisher list --data panel',
    '<%= config.bin %> panel publisher list --data panel --json',
  ]

  protected async perform({flags}: Input<typeof PanelPublisherList>): Promise<Outcome> {
    const {listPanelPublishers} = await import('../../../cli/panel-publishers.ts')
    return listPanelPublishers(flags)
  }
}
