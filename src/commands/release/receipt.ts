import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {releaseReceiptFlags} from '../../cli/release-flags.ts'

export default class ReleaseReceipt extends BaseCommand<typeof ReleaseReceipt> {
  static override summary = 'Verify the signed receipt of a publication, offline.'
  static override description =
    'Passes only when trusted keys of the role manifest signed the receipt. It says what rel publish saw in the end; what the targets have now says rel release reconcile.'
  static override args = {
    receipt: Args.string({
      description: 'The receipt, or the folder with publish-receipt.json in it.',
      name: 'RECEIPT',
      required: true,
    }),
  }
  static override flags = releaseReceiptFlags
  static override examples = [
    '<%= config.bin %> release receipt dist --trust trust.json --manifest dist/release.json',
    '<%= config.bin %> release receipt publish-receipt.json --trust trust.json --product edge-agent --version 1.4.2 --json',
  ]

  protected async perform({args, flags}: Input<typeof ReleaseReceipt>): Promise<Outcome> {
    const {releaseReceipt} = await import('../../cli/release-receipt.ts')
    const {withTrustDefault} = await import('../../cli/config-defaults.ts')
    return releaseReceipt(args.receipt, await withTrustDefault(flags), process.env)
  }
}
