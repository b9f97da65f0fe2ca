import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'

export default class Diff extends BaseCommand<typeof Diff> {
  static override summary = 'Show what changes from one bundle to another.'
  static override description =
    'Compares two manifests: files, permissions, sizes, links, and what is signed about the bundle. Directories, archives and manifest.json files may be mixed. Nothing is verified.'
  static override args = {
    before: Args.string({description: 'The bundle before.', name: 'BEFORE', required: true}),
    after: Args.string({description: 'The bundle after.', name: 'AFTER', required: true}),
  }
  static override flags = {
    'exit-code': Flags.boolean({default: false, summary: 'Exit with 10 when something differs.'}),
  }
  static override examples = [
    '<%= config.bin %> diff dist/edge-agent-v1.4.1 dist/edge-agent-v1.4.2',
    '<%= config.bin %> diff edge-agent-1.4.1.tar.zst edge-agent-1.4.2.tar.zst --exit-code',
  ]

  protected async perform({args, flags}: Input<typeof Diff>): Promise<Outcome> {
    const {diffBundles} = await import('../cli/diff-bundles.ts')
    return diffBundles(args.before, args.after, flags)
  }
}
