import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'

export default class BumpList extends BaseCommand<typeof BumpList> {
  static override summary = 'List the items: pin, place, newest version, trust level, last audit.'
  static override flags = {
    offline: Flags.boolean({default: false, summary: 'Ask no upstream; show what is known here.'}),
  }
  static override examples = [
    '<%= config.bin %> bump list',
    '<%= config.bin %> bump list --offline --json',
  ]

  protected async perform({flags}: Input<typeof BumpList>): Promise<Outcome> {
    const {listItems} = await import('../../cli/bump-survey.ts')
    return listItems(flags)
  }
}
