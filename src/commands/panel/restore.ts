import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'

export default class PanelRestore extends BaseCommand<typeof PanelRestore> {
  static override summary = 'Make the folder of a panel out of a backup.'
  static override description = 'The backup is verified first, file by file.'
  static override args = {
    from: Args.string({description: 'The backup.', name: 'DIR', required: true}),
  }
  static override flags = {
    to: Flags.string({
      helpValue: 'DIR',
      required: true,
      summary: 'Folder to make, for --data of panel serve.',
    }),
  }
  static override examples = [
    '<%= config.bin %> panel restore /backup/panel-2026-07-01 --to /var/lib/rel-panel',
    '<%= config.bin %> panel restore snapshot --to panel-2 --json',
  ]

  protected async perform({args, flags}: Input<typeof PanelRestore>): Promise<Outcome> {
    const {restore} = await import('../../cli/panel-maintenance.ts')
    return restore(args.from, flags.to)
  }
}
