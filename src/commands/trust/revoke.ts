import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {changeFlags} from '../../cli/trust-change-flags.ts'

export default class TrustRevoke extends BaseCommand<typeof TrustRevoke> {
  static override summary = 'Refuse a key, or single documents, from the next version on.'
  static override description =
    'All signatures of a revoked key fail, old ones too, and it cannot come back. Documents are named by the SHA-256 of their canonical form, which rel inspect prints.'
  static override args = {
    key: Args.string({description: 'Name or id of the key.', name: 'KEY'}),
  }
  static override flags = {
    digest: Flags.string({
      helpValue: 'SHA256',
      multiple: true,
      summary: 'A document that must not be used again; may be given several times.',
    }),
    'replace-by': Flags.string({
      helpValue: 'NAME|FILE',
      summary: 'Public key that takes the places of the revoked one.',
    }),
    since: Flags.string({
      helpValue: 'TIME',
      summary: 'Since when it may be in wrong hands; now when not given.',
    }),
    reason: Flags.string({summary: 'Why, in a few words.'}),
    ...changeFlags,
  }
  static override examples = [
    '<%= config.bin %> trust revoke build --replace-by build-2 --reason "laptop stolen" --key root-1',
    '<%= config.bin %> trust revoke 9f2c01ab --since 2026-03-01 --key root-1 --dry-run',
    '<%= config.bin %> trust revoke --digest 3f1a…64 hex digits --key root-1',
  ]

  protected async perform({args, flags}: Input<typeof TrustRevoke>): Promise<Outcome> {
    const {revoke} = await import('../../cli/trust-changes.ts')
    return revoke(args.key, flags)
  }
}
