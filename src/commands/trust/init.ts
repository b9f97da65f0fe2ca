import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {limitFlags, newVersionFlags} from '../../cli/trust-change-flags.ts'

const keysOf = (role: string) =>
  Flags.string({
    helpValue: 'NAME|FILE',
    multiple: true,
    summary: `Public key of the role ${role}; may be given several times.`,
  })

export default class TrustInit extends BaseCommand<typeof TrustInit> {
  static override summary = 'Make a trust anchor: who may sign what.'
  static override description =
    'Writes version 1, signed by the signing key. Roles without a key of their own are held by the signing key: good for a start; keep the root key apart for more.'
  static override args = {
    file: Args.string({default: 'trust.json', description: 'Where to write it.', name: 'FILE'}),
  }
  static override flags = {
    root: keysOf('root (signs the anchor itself)'),
    manifest: keysOf('manifest (signs bundles)'),
    artifact: keysOf('artifact (signs single files)'),
    'root-threshold': Flags.integer({
      default: 1,
      max: 16,
      min: 1,
      summary: 'How many root keys must sign a version.',
    }),
    threshold: Flags.integer({
      default: 1,
      max: 16,
      min: 1,
      summary: 'How many keys must sign a bundle or a file.',
    }),
    ...limitFlags,
    ...newVersionFlags,
  }
  static override examples = [
    '<%= config.bin %> trust init --key release',
    '<%= config.bin %> trust init --key root-1 --root root-1 --root root-2 --root-threshold 2 --manifest build',
    '<%= config.bin %> trust init --key release --product agent --channel stable --expires 180d --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof TrustInit>): Promise<Outcome> {
    const {initAnchor} = await import('../../cli/trust-init.ts')
    return initAnchor(args.file, flags)
  }
}
