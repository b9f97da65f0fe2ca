import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {panelFlags} from '../../../cli/panel-flags.ts'

export default class PanelTokenRevoke extends BaseCommand<typeof PanelTokenRevoke> {
  static override summary = 'Revoke a token; its next request is refused.'
  static override args = {
    id: Args.string({description: 'Id from the list.', name: 'ID', required: true}),
  }
  static override flags = {...panelFlags}
  static override examples = [
    '<%= config.bin %> panel token revoke 01KB0000000000000000000000 --data panel',
    '<%= config.bin %> panel token revoke 01KB0000000000000000000000 --data panel --database postgres://rel@db/panel',
  ]

  protected async perform({args, flags}: Input<typeof PanelTokenRevoke>): Promise<Outcome> {
    const {revokePanelToken} = await import('../../../cli/panel-tokens.ts')
    return revokePanelToken(args.id, flags)
  }
}
