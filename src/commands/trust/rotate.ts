import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {changeFlags} from '../../cli/trust-change-flags.ts'

export default class TrustRotate extends BaseCommand<typeof TrustRotate> {
  static override summary = 'Put one key in the place of another, in every role it has.'
  static override description =
    'What only the old key signed stops verifying. With --overlap both keys count; the same command without it, later, ends the overlap.'
  static override args = {
    old: Args.string({description: 'Name or id of the old key.', name: 'OLD', required: true}),
    new: Args.string({description: 'New public key.', name: 'NAME|FILE', required: true}),
  }
  static override flags = {
    overlap: Flags.boolean({default: false, summary: 'Keep the old key beside the new one.'}),
    ...changeFlags,
  }
  static override examples = [
    '<%= config.bin %> trust rotate build build-2 --overlap --key root-1',
    '<%= config.bin %> trust rotate build build-2 --key root-1',
    '<%= config.bin %> trust rotate 9f2c01ab root-2.pub --key root-1 --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof TrustRotate>): Promise<Outcome> {
    const {rotateKey} = await import('../../cli/trust-changes.ts')
    return rotateKey(args.old, args.new, flags)
  }
}
