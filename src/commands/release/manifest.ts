import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {releaseManifestFlags} from '../../cli/release-flags.ts'

export default class ReleaseManifest extends BaseCommand<typeof ReleaseManifest> {
  static override summary = 'Sign the artifacts of a release and the manifest that lists them.'
  static override description =
    'Every artifact gets an Ed25519 signature over its bytes; the manifest names size, SHA-256, signature, component, os and arch of each, and is signed itself. What a file is for is read from its name (agent-linux-arm64), from release.yaml, or from flags. The same files, time and keys give the same bytes.'
  static override strict = false
  static override args = {
    path: Args.string({description: 'A directory with the files, or files.', name: 'PATH'}),
  }
  static override flags = releaseManifestFlags
  static override examples = [
    '<%= config.bin %> release manifest dist --product edge-agent --version 1.4.2 --key release',
    '<%= config.bin %> release manifest dist --product edge-agent --version 1.5.0-beta.1 --dry-run',
    '<%= config.bin %> release manifest agent.bin --product edge-agent --version 1.4.2 --component agent --os linux --arch arm64 --key release',
    '<%= config.bin %> release manifest dist --product edge-agent --version 1.4.2 --add --key second',
  ]

  protected async perform({argv, flags}: Input<typeof ReleaseManifest>): Promise<Outcome> {
    const {releaseManifest} = await import('../../cli/release-manifest.ts')
    return releaseManifest(argv, flags)
  }
}
