import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {worldFlags} from '../../cli/bump-flags.ts'

export default class BumpResume extends BaseCommand<typeof BumpResume> {
  static override summary = 'Go on with a bump that was interrupted or could not be pushed.'
  static override args = {
    item: Args.string({description: 'Item of the bump.', name: 'ITEM', required: true}),
  }
  static override flags = worldFlags
  static override examples = [
    '<%= config.bin %> bump resume traefik',
    '<%= config.bin %> bump resume kernel --sign-off release --trust trust.json',
  ]

  protected async perform({args, flags}: Input<typeof BumpResume>): Promise<Outcome> {
    const {resumeItem} = await import('../../cli/bump-item.ts')
    return resumeItem(args.item, flags)
  }
}
