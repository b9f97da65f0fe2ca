import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'

export default class Init extends BaseCommand<typeof Init> {
  static override summary = 'Make this folder a project of rel.'
  static override description =
    'Writes rel.config.yaml and keeps .rel/ out of git. Never overwrites a file. Asks at a terminal; --product, --channel and --yes answer without one.'
  static override flags = {
    product: Flags.string({summary: 'Name of the product; the folder’s name when not given.'}),
    channel: Flags.string({default: 'stable', summary: 'Channel to sign for.'}),
    yes: Flags.boolean({char: 'y', default: false, summary: 'Take the defaults, ask nothing.'}),
    'dry-run': Flags.boolean({char: 'n', default: false, summary: 'Show what would be written.'}),
    undo: Flags.boolean({default: false, summary: 'Take back what rel init wrote.'}),
  }
  static override examples = [
    '<%= config.bin %> init',
    '<%= config.bin %> init --yes',
    '<%= config.bin %> init --product edge-agent --channel beta',
    '<%= config.bin %> init --undo',
  ]

  protected async perform({flags}: Input<typeof Init>): Promise<Outcome> {
    const {initProject, undoProject} = await import('../cli/init-project.ts')
    const {'dry-run': dryRun, input} = flags
    if (flags.undo) return undoProject(process.cwd(), dryRun)
    return initProject(process.cwd(), {...flags, dryRun, input})
  }
}
