import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {panelFlags} from '../../cli/panel-flags.ts'

export default class PanelBackup extends BaseCommand<typeof PanelBackup> {
  static override summary = 'Copy a running panel into a new folder.'
  static override description =
    'A consistent copy of the database, every artifact that a release names, hashed on the way, and the keys of the panel. The folder appears when it is whole. With PostgreSQL or S3, use their own backups.'
  static override args = {
    target: Args.string({description: 'Folder to make.', name: 'DIR', required: true}),
  }
  static override flags = {
    ...panelFlags,
    link: Flags.boolean({
      default: false,
      summary: 'Link artifacts instead of copying them: fast, but on the same disk.',
    }),
  }
  static override examples = [
    '<%= config.bin %> panel backup /backup/panel-2026-07-01 --data /var/lib/rel-panel',
    '<%= config.bin %> panel backup snapshot --data panel --link',
  ]

  protected async perform({args, flags}: Input<typeof PanelBackup>): Promise<Outcome> {
    const {backUp} = await import('../../cli/panel-maintenance.ts')
    return backUp(args.target, flags)
  }
}
