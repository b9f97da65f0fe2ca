import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {panelFlags} from '../../../cli/panel-flags.ts'
import {productArg} from '../../../cli/panel-product-flags.ts'

export default class PanelProductShow extends BaseCommand<typeof PanelProductShow> {
  static override summary = 'Show a product: matrix, floor, stop-overs, trust anchor.'
  static override args = {product: productArg}
  static override flags = {...panelFlags}
  static override examples = [
    '<%= config.bin %> panel product show agent --data panel',
    '<%= config.bin %> panel product show agent --data panel --json',
  ]

  protected async perform({args, flags}: Input<typeof PanelProductShow>): Promise<Outcome> {
    const {showPanelProduct} = await import('../../../cli/panel-products.ts')
    return showPanelProduct(args.product, flags)
  }
}
