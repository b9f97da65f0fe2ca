import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'

export default class BumpAbort extends BaseCommand<typeof BumpAbort> {
  static override summary = 'Take back a bump that was interrupted.'
  static override description =
    'Removes its branch, tag, work trees and journal. What was pushed stays, and the command that removes it is printed.'
  static override args = {
    item: Args.string({description: 'Item of the bump.', name: 'ITEM', required: true}),
  }
  static override examples = [
    '<%= config.bin %> bump abort traefik',
    '<%= config.bin %> bump abort kernel --json',
  ]

  protected async perform({args}: Input<typeof BumpAbort>): Promise<Outcome> {
    const {abortItem} = await import('../../cli/bump-item.ts')
    return abortItem(args.item)
  }
}
