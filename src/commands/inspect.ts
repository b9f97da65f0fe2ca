import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'
import {trustFlags} from '../cli/trust-flags.ts'

export default class Inspect extends BaseCommand<typeof Inspect> {
  static override summary = 'Show what a manifest says.'
  static override description =
    'Reads the manifest of a directory or an archive, or a manifest.json. With --trust or --public-key it is verified first, else nothing is: then believe nothing of it. --tbs and --canonical write the signed bytes, so that openssl or any other tool can verify or make signatures.'
  static override args = {
    path: Args.string({
      description: 'Directory, archive or manifest.json.',
      name: 'PATH',
      required: true,
    }),
  }
  static override flags = {
    ...trustFlags,
    files: Flags.boolean({default: false, summary: 'List every file.'}),
    tbs: Flags.string({
      helpValue: 'FILE',
      summary: 'Write the 116 bytes that the signatures cover.',
    }),
    canonical: Flags.string({
      helpValue: 'FILE',
      summary: 'Write the canonical manifest, which D2’s signature covers.',
    }),
    sbom: Flags.option({options: ['cyclonedx'] as const})({
      dependsOn: ['output'],
      summary: 'Write the list of files as an SBOM to --output.',
    }),
    output: Flags.string({
      char: 'o',
      dependsOn: ['sbom'],
      helpValue: 'FILE',
      summary: 'Where the SBOM goes.',
    }),
  }
  static override examples = [
    '<%= config.bin %> inspect dist/edge-agent-v1.4.2',
    '<%= config.bin %> inspect edge-agent-1.4.2.tar.zst --files --trust trust.json',
    '<%= config.bin %> inspect dist --sbom cyclonedx --output sbom.cdx.json',
    '<%= config.bin %> inspect dist --tbs tbs.bin',
  ]

  protected async perform({args, flags}: Input<typeof Inspect>): Promise<Outcome> {
    const {inspectBundle} = await import('../cli/inspect-bundle.ts')
    return inspectBundle(args.path, flags)
  }
}
