import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {panelFlags} from '../../../cli/panel-flags.ts'

export default class PanelTokenList extends BaseCommand<typeof PanelTokenList> {
  static override summary = 'List the tokens of a panel: what they may do and until when.'
  static override flags = {...panelFlags}
  static override examples = [
    '<%= config.bin %> panel token list --data panel',
    '<%= config.bin %> panel token list --data panel --json',
  ]

  protected async perform({flags}: Input<typeof PanelTokenList>): Promise<Outcome> {
    const {listPanelTokens} = await import('../../../cli/panel-tokens.ts')
    return listPanelTokens(flags)
  }
}
