import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {panelFlags} from '../../../cli/panel-flags.ts'

export default class PanelProductList extends BaseCommand<typeof PanelProductList> {
  static override summary = 'List the products of a panel.'
  static override flags = {...panelFlags}
  static override examples = [
    '<%= config.bin %> panel product list --data panel',
    '<%= config.bin %> panel product list --data panel --json',
  ]

  protected async perform({flags}: Input<typeof PanelProductList>): Promise<Outcome> {
    const {listPanelProducts} = await import('../../../cli/panel-products.ts')
    return listPanelProducts(flags)
  }
}
