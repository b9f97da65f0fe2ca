import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {panelFlags} from '../../../cli/panel-flags.ts'

export default class PanelPublisherRemove extends BaseCommand<typeof PanelPublisherRemove> {
  static override summary = 'Remove a publisher; tokens of its runs end with it.'
  static override args = {
    id: Args.string({description: 'Id from the list.', name: 'ID', required: true}),
  }
  static override flags = {...panelFlags}
  static override examples = [
    '<%= config.bin %> panel publisher remove 01KB0000000000000000000000 --data panel',
    '<%= config.bin %> panel publisher remove 01KB0000000000000000000000 --data panel --database postgres://rel@db/panel',
  ]

  protected async perform({args, flags}: Input<typeof PanelPublisherRemove>): Promise<Outcome> {
    const {removePanelPublisher} = await import('../../../cli/panel-publishers.ts')
    return removePanelPublisher(args.id, flags)
  }
}
