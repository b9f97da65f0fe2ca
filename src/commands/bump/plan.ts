import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {bumpArgs, bumpFlags} from '../../cli/bump-flags.ts'

export default class BumpPlan extends BaseCommand<typeof BumpPlan> {
  static override strict = false
  static override summary = 'Print what a bump would change and its evidence; write nothing.'
  static override args = bumpArgs
  static override flags = bumpFlags
  static override examples = [
    '<%= config.bin %> bump plan traefik NEW=v3.3.5',
    '<%= config.bin %> bump plan traefik NEW=v3.3.5 --record evidence',
    '<%= config.bin %> bump plan traefik NEW=v3.3.5 --replay evidence --json',
  ]

  protected async perform({argv, flags}: Input<typeof BumpPlan>): Promise<Outcome> {
    const {bumpItem} = await import('../../cli/bump-item.ts')
    return bumpItem(argv, {...flags, 'dry-run': true})
  }
}
