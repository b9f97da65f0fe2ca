import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {panelFlags} from '../../cli/panel-flags.ts'

export default class PanelExport extends BaseCommand<typeof PanelExport> {
  static override summary = 'Write what was published into a folder, for a panel without a network.'
  static override description =
    'Releases with their bytes and their log, signed by the panel. No licences, tokens or keys.'
  static override args = {
    target: Args.string({description: 'Folder to make.', name: 'DIR', required: true}),
  }
  static override flags = {
    ...panelFlags,
    product: Flags.string({
      helpValue: 'NAME',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Only this product; all when not given.',
    }),
  }
  static override examples = [
    '<%= config.bin %> panel export /media/stick/mirror --data /var/lib/rel-panel',
    '<%= config.bin %> panel export mirror --data panel --product agent',
  ]

  protected async perform({args, flags}: Input<typeof PanelExport>): Promise<Outcome> {
    const {exportPanel} = await import('../../cli/panel-maintenance.ts')
    return exportPanel(args.target, flags)
  }
}
