import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'

export default class TrustShow extends BaseCommand<typeof TrustShow> {
  static override summary = 'Show who may sign what, until when, and whose signatures are missing.'
  static override description =
    'Several files are versions in order: the first is taken as trusted, and each next one must follow from the one before.'
  static override strict = false
  static override args = {
    file: Args.string({description: 'A version; trust.json when not given.', name: 'FILE…'}),
  }
  static override examples = [
    '<%= config.bin %> trust show',
    '<%= config.bin %> trust show 2.trust.json --json',
    '<%= config.bin %> trust show 1.trust.json 2.trust.json 3.trust.json',
  ]

  protected async perform({argv}: Input<typeof TrustShow>): Promise<Outcome> {
    const {showAnchor} = await import('../../cli/trust-show.ts')
    return showAnchor(argv)
  }
}
