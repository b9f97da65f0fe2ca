import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'

export default class Pack extends BaseCommand<typeof Pack> {
  static override summary = 'Pack a signed directory into one archive.'
  static override description =
    'Every file is compared with the manifest as it is read: what is packed is what was signed. The same bundle gives the same archive, whoever packs it and when. No key is needed; rel verify checks the archive without unpacking it.'
  static override args = {
    directory: Args.string({description: 'Signed directory.', name: 'DIR', required: true}),
  }
  static override flags = {
    output: Flags.string({
      char: 'o',
      helpValue: 'FILE',
      required: true,
      summary: 'Archive to write.',
    }),
    format: Flags.option({options: ['tar.gz', 'tar.zst', 'tar'] as const})({
      summary: 'Form of the archive; by the name of the output when not given.',
    }),
    level: Flags.integer({
      max: 19,
      min: 1,
      summary: 'Compression level: gzip 1 to 9 (7), zstd 1 to 19 (3).',
    }),
    'delta-from': Flags.string({
      exclusive: ['format'],
      helpValue: 'OLD',
      summary: 'Pack only what a node with this older bundle lacks; a directory or an archive.',
    }),
    force: Flags.boolean({default: false, summary: 'Replace the output when it exists.'}),
    'dry-run': Flags.boolean({
      default: false,
      summary: 'Compare names with the manifest and say what would be packed.',
    }),
  }
  static override examples = [
    '<%= config.bin %> pack dist/edge-agent-v1.4.2 -o edge-agent-1.4.2.tar.zst',
    '<%= config.bin %> pack dist -o bundle.tar.gz --level 9 --force',
    '<%= config.bin %> pack dist -o bundle.tar.zst --dry-run',
    '<%= config.bin %> pack dist --delta-from edge-agent-1.4.1.tar.zst -o edge-agent-1.4.2.from-1.4.1.delta.tar.zst',
  ]

  protected async perform({args, flags}: Input<typeof Pack>): Promise<Outcome> {
    const {'delta-from': from} = flags
    if (from !== undefined) {
      const {packDelta} = await import('../cli/pack-delta.ts')
      return packDelta(args.directory, from, flags)
    }
    const {packDirectory} = await import('../cli/pack-directory.ts')
    return packDirectory(args.directory, flags)
  }
}
