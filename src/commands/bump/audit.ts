import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {trustFlags} from '../../cli/trust-flags.ts'

export default class BumpAudit extends BaseCommand<typeof BumpAudit> {
  static override summary = 'Check that every pin is still what was verified.'
  static override description =
    'Compares the files with rel.lock.json, and the lock with what upstream says now: a moved tag, a replaced asset, another digest. A waiver that has expired or was not signed by who may is drift too, and so is missing evidence of a run on hardware; name whom you trust with --trust where the lock has some. Drift fails, and so does an upstream that does not answer.'
  static override args = {
    item: Args.string({description: 'One item; all of them when not given.', name: 'ITEM'}),
  }
  static override flags = {...trustFlags}
  static override examples = [
    '<%= config.bin %> bump audit',
    '<%= config.bin %> bump audit traefik --json',
    '<%= config.bin %> bump audit rpi4-firmware --trust trust.json',
  ]

  protected async perform({args, flags}: Input<typeof BumpAudit>): Promise<Outcome> {
    const {auditPins} = await import('../../cli/bump-survey.ts')
    return auditPins(args.item, flags)
  }
}
