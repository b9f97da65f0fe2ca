import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'

export default class BumpVendor extends BaseCommand<typeof BumpVendor> {
  static override summary = 'Vendor the pinned version into this work tree, verified.'
  static override description =
    'Finds and verifies the version that the files pin now, runs the vendoring commands of the playbook here, and compares what they leave with rel.lock.json. For after a merge, and for the way back after a git revert.'
  static override args = {
    item: Args.string({
      description: 'Item, as in playbooks/ITEM.yaml.',
      name: 'ITEM',
      required: true,
    }),
  }
  static override examples = [
    '<%= config.bin %> bump vendor traefik',
    '<%= config.bin %> bump vendor k3s --json',
  ]

  protected async perform({args, flags}: Input<typeof BumpVendor>): Promise<Outcome> {
    const {vendorItem} = await import('../../cli/bump-vendor.ts')
    return vendorItem(args.item, flags)
  }
}
