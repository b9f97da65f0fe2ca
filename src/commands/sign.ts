import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'
import {signFlags} from '../cli/sign-flags.ts'

export default class Sign extends BaseCommand<typeof Sign> {
  static override summary = 'Sign a directory, or single files.'
  static override description =
    'A directory gets a manifest.json that lists and signs every file in it. Files get detached signatures beside them: FILE.minisig, which also signs name and version, and FILE.sig. The same input and time give the same bytes.'
  static override strict = false
  static override args = {
    path: Args.string({description: 'One directory, or files.', name: 'PATH'}),
  }
  static override flags = signFlags
  static override examples = [
    '<%= config.bin %> sign dist/edge-agent-v1.4.2 --key release',
    '<%= config.bin %> sign dist --product edge-agent --version 1.4.2 --channel beta --expires 90d --key release',
    '<%= config.bin %> sign --bundle-dir dist/edge-agent-v1.4.2 --private-key /secure/signing.key --output-manifest dist/edge-agent-v1.4.2/manifest.json',
    '<%= config.bin %> sign agent.bin --product agent --version 1.4.2 --target linux-arm64 --key release',
  ]

  protected async perform({argv, flags}: Input<typeof Sign>): Promise<Outcome> {
    const {signPaths} = await import('../cli/sign-paths.ts')
    const {withSignDefaults} = await import('../cli/config-defaults.ts')
    return signPaths(argv, await withSignDefaults(flags))
  }
}
