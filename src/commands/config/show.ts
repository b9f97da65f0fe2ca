import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'

export default class ConfigShow extends BaseCommand<typeof ConfigShow> {
  static override summary = 'Show the defaults that apply here.'
  static override description =
    'Flags come first, then environment variables, rel.config.yaml of the project, the user’s file and the system’s. rel verify and rel unpack do not ask the project’s file whom to trust.'
  static override flags = {
    origin: Flags.boolean({default: false, summary: 'Say where each value comes from.'}),
  }
  static override examples = [
    '<%= config.bin %> config show',
    '<%= config.bin %> config show --origin',
    '<%= config.bin %> config show --json',
  ]

  protected async perform({flags}: Input<typeof ConfigShow>): Promise<Outcome> {
    const {loadConfig} = await import('../../cli/config.ts')
    const {showConfig} = await import('../../cli/config-show.ts')
    return showConfig(await loadConfig(), flags.origin)
  }
}
