import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {panelFlags} from '../../../cli/panel-flags.ts'

export default class PanelTokenNew extends BaseCommand<typeof PanelTokenNew> {
  static override summary = 'Make a token for a person or a pipeline.'
  static override description =
    'The token is printed once; the panel keeps its SHA-256. It works beside a running panel.'
  static override args = {
    name: Args.string({description: 'Whom or what it is for.', name: 'NAME', required: true}),
  }
  static override flags = {
    ...panelFlags,
    verb: Flags.option({
      multiple: true,
      multipleNonGreedy: true,
      options: ['publish', 'release', 'license', 'audit', 'admin'] as const,
      required: true,
    })({
      summary: 'What it may do. publish: draft and upload; release: publish and recall.',
    }),
    product: Flags.string({
      helpValue: 'NAME',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Only for this product; for all when not given.',
    }),
    days: Flags.integer({
      default: 90,
      helpValue: 'N',
      max: 3650,
      min: 1,
      summary: 'Days until it expires.',
    }),
  }
  static override examples = [
    '<%= config.bin %> panel token new ci --data panel --verb publish --verb release --product agent',
    '<%= config.bin %> panel token new auditor --data panel --verb audit --days 30',
  ]

  protected async perform({args, flags}: Input<typeof PanelTokenNew>): Promise<Outcome> {
    const {newPanelToken} = await import('../../../cli/panel-tokens.ts')
    return newPanelToken(args.name, flags)
  }
}
