import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {manifestArg, statusFlags} from '../../cli/publish-flags.ts'

export default class ReleaseStatus extends BaseCommand<typeof ReleaseStatus> {
  static override summary = 'Show what each target has of a release.'
  static override description =
    'Reads the panel and GitHub and changes nothing. The artifacts themselves need not be here: the manifest says what they are.'
  static override args = {manifest: manifestArg}
  static override flags = statusFlags
  static override examples = [
    '<%= config.bin %> release status dist --panel https://releases.example.com --github acme/agent',
    '<%= config.bin %> release status dist/release.json --panel https://releases.example.com --exit-code',
  ]

  protected async perform({args, flags}: Input<typeof ReleaseStatus>): Promise<Outcome> {
    const {releaseStatus} = await import('../../cli/release-status.ts')
    return releaseStatus(args.manifest, flags, process.env)
  }
}
