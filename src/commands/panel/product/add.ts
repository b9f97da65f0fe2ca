import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {productArg, productFlags} from '../../../cli/panel-product-flags.ts'

export default class PanelProductAdd extends BaseCommand<typeof PanelProductAdd> {
  static override summary =
    'Make a product: whose keys sign it, and what a release of it must have.'
  static override description =
    'Where the product is there already it is brought to these terms; the same terms again change nothing. It works beside a running panel, which sees it within a second.'
  static override args = {product: productArg}
  static override flags = productFlags
  static override examples = [
    '<%= config.bin %> panel product add agent --data panel --anchor trust.json --require agent/linux/amd64 --require agent/linux/arm64',
    '<%= config.bin %> panel product add agent --data panel --anchor trust.json --require agent/linux/amd64 --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof PanelProductAdd>): Promise<Outcome> {
    const {addPanelProduct} = await import('../../../cli/panel-products.ts')
    return addPanelProduct(args.product, flags)
  }
}
