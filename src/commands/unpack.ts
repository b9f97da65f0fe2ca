import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'
import {verifyFlags} from '../cli/verify-flags.ts'

export default class Unpack extends BaseCommand<typeof Unpack> {
  static override summary = 'Unpack an archive while verifying it.'
  static override description =
    'The manifest must be trusted before anything is written, and every file must be as signed. The directory appears complete or not at all; there is no unpacking without verification.'
  static override args = {
    archive: Args.string({
      description: 'Archive: .tar, .tar.gz or .tar.zst, told by its content.',
      name: 'ARCHIVE',
      required: true,
    }),
  }
  static override flags = {
    directory: Flags.string({
      char: 'C',
      helpValue: 'DIR',
      required: true,
      summary: 'Directory to make; it must not exist yet.',
    }),
    'dry-run': Flags.boolean({
      default: false,
      summary: 'Verify the archive and write nothing.',
    }),
    ...verifyFlags,
  }
  static override examples = [
    '<%= config.bin %> unpack edge-agent-1.4.2.tar.zst -C edge-agent --trust trust.json',
    '<%= config.bin %> unpack bundle.tar.gz -C bundle --public-key release.pub --version 1.4.2',
  ]

  protected async perform({args, flags}: Input<typeof Unpack>): Promise<Outcome> {
    const {unpackPath} = await import('../cli/unpack-path.ts')
    const {withTrustDefault} = await import('../cli/config-defaults.ts')
    return unpackPath(args.archive, await withTrustDefault(flags))
  }
}
