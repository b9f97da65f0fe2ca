import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {productArg, productFlags} from '../../../cli/panel-product-flags.ts'

export default class PanelProductSet extends BaseCommand<typeof PanelProductSet> {
  static override summary = 'Change a product: matrix, floor, stop-overs, trust anchor.'
  static override description =
    'What is not named stays. What is published stays too: a new matrix counts for the next release.'
  static override args = {product: productArg}
  static override flags = productFlags
  static override examples = [
    '<%= config.bin %> panel product set agent --data panel --floor 1.4.0',
    '<%= config.bin %> panel product set agent --data panel --stopover 2.0.0 --dry-run',
    '<%= config.bin %> panel product set agent --data panel --anchor trust.json',
  ]

  protected async perform({args, flags}: Input<typeof PanelProductSet>): Promise<Outcome> {
    const {setPanelProduct} = await import('../../../cli/panel-products.ts')
    return setPanelProduct(args.product, flags)
  }
}
