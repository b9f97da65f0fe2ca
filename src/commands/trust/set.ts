import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {changeFlags} from '../../cli/trust-change-flags.ts'

export default class TrustSet extends BaseCommand<typeof TrustSet> {
  static override summary = 'Say who may sign beside keys, and whether D2 manifests are taken.'
  static override flags = {
    'allowed-signers': Flags.string({
      helpValue: 'FILE|none',
      summary:
        'JSON list of the Sigstore identities that may sign; takes the place of the old list.',
    }),
    legacy: Flags.option({options: ['allow', 'deny'] as const})({
      summary: 'Whether manifests without a rel section (D2) are taken.',
    }),
    product: Flags.string({
      dependsOn: ['legacy'],
      helpValue: 'PRODUCT',
      multiple: true,
      summary: 'With --legacy allow: only for this product; may be given several times.',
    }),
    ...changeFlags,
  }
  static override examples = [
    '<%= config.bin %> trust set --allowed-signers signers.json --key root-1',
    '<%= config.bin %> trust set --legacy allow --product edge-agent --key root-1 --dry-run',
  ]

  protected async perform({flags}: Input<typeof TrustSet>): Promise<Outcome> {
    const {setBesideKeys} = await import('../../cli/trust-changes.ts')
    return setBesideKeys(flags)
  }
}
