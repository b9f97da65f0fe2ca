import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {panelFlags} from '../../cli/panel-flags.ts'

export default class PanelImport extends BaseCommand<typeof PanelImport> {
  static override summary = 'Take over what another panel exported.'
  static override description =
    'Signatures, logs and all bytes are verified before anything becomes visible. Again is no change; after an interruption it goes on.'
  static override args = {
    from: Args.string({description: 'The exported folder.', name: 'DIR', required: true}),
  }
  static override flags = {
    ...panelFlags,
    key: Flags.string({
      helpValue: 'FILE',
      multiple: true,
      multipleNonGreedy: true,
      required: true,
      summary: 'Public key of the panel that exported: freshness.pub of its keys.',
    }),
  }
  static override examples = [
    '<%= config.bin %> panel import /media/stick/mirror --key freshness.pub --data /var/lib/rel-panel',
    '<%= config.bin %> panel import mirror --key freshness.pub --data panel --json',
  ]

  protected async perform({args, flags}: Input<typeof PanelImport>): Promise<Outcome> {
    const {importPanel} = await import('../../cli/panel-maintenance.ts')
    return importPanel(args.from, flags)
  }
}
