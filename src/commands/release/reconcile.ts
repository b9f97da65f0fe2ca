import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {manifestArg, statusFlags} from '../../cli/publish-flags.ts'

export default class ReleaseReconcile extends BaseCommand<typeof ReleaseReconcile> {
  static override summary = 'Name every difference between a release and its targets.'
  static override description =
    'Reads the panel and GitHub, compares each asset by SHA-256 with the manifest, and changes nothing. rel publish does what is left to do.'
  static override args = {manifest: manifestArg}
  static override flags = statusFlags
  static override examples = [
    '<%= config.bin %> release reconcile dist --panel https://releases.example.com --github acme/agent --exit-code',
    '<%= config.bin %> release reconcile dist/release.json --panel https://releases.example.com',
  ]

  protected async perform({args, flags}: Input<typeof ReleaseReconcile>): Promise<Outcome> {
    const {releaseReconcile} = await import('../../cli/release-status.ts')
    return releaseReconcile(args.manifest, flags, process.env)
  }
}
