import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'
import {manifestArg, publishFlags} from '../cli/publish-flags.ts'

export default class Publish extends BaseCommand<typeof Publish> {
  static override summary = 'Publish a release to a panel and to GitHub, from one plan.'
  static override description =
    'All bytes go to the panel and into a draft on GitHub first; then the panel publishes in one transaction, then GitHub. Running it again is always safe: what is there is kept, other bytes are a conflict, nothing published is deleted. The receipt names what every target has in the end.'
  static override args = {manifest: manifestArg}
  static override flags = publishFlags
  static override examples = [
    '<%= config.bin %> publish dist --panel https://releases.example.com --github acme/agent',
    '<%= config.bin %> publish dist --panel https://releases.example.com --dry-run',
    '<%= config.bin %> publish dist --github acme/agent --notes CHANGES.md --immutable',
    '<%= config.bin %> publish dist --panel https://releases.example.com --probe-license stable.license --probe-license beta.license',
  ]

  protected async perform({args, flags}: Input<typeof Publish>): Promise<Outcome> {
    const {publish} = await import('../cli/publish.ts')
    return publish(args.manifest, flags, process.env)
  }
}
