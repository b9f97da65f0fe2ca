import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'
import {bumpFlags} from '../cli/bump-flags.ts'

const {rollback: _, lock: __, ...flagsOfABump} = bumpFlags

export default class Rollback extends BaseCommand<typeof Rollback> {
  static override summary = 'Bring the previous version of an item back.'
  static override description =
    'A bump to the version before, with everything a bump does: verified, gated, committed, pushed.'
  static override args = {
    item: Args.string({
      description: 'Item, as in playbooks/ITEM.yaml.',
      name: 'ITEM',
      required: true,
    }),
  }
  static override flags = {
    ...flagsOfABump,
    to: Flags.string({helpValue: 'VERSION', summary: 'Go back to this version.'}),
    'dry-run': Flags.boolean({
      default: false,
      summary: 'Print the exact diff and the evidence; write nothing.',
    }),
  }
  static override examples = [
    '<%= config.bin %> rollback traefik',
    '<%= config.bin %> rollback traefik --to v3.3.4 --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof Rollback>): Promise<Outcome> {
    const {rollbackItem} = await import('../cli/bump-item.ts')
    return rollbackItem(args.item, {...flags, rollback: true})
  }
}
