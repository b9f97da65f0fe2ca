import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {panelFlags} from '../../cli/panel-flags.ts'

export default class PanelServe extends BaseCommand<typeof PanelServe> {
  static override summary = 'Serve releases to nodes, and take them from pipelines.'
  static override description =
    'One process and one folder, nothing to configure: the first start makes the database, the keys of the panel and the token of an administrator. It ends on SIGTERM or Ctrl-C when the requests under way are done. Log lines (JSON) go to stderr. TLS is the business of a proxy in front: docs/guides/panel.md.'
  static override flags = {
    ...panelFlags,
    listen: Flags.string({
      default: '127.0.0.1:8420',
      helpValue: 'HOST:PORT',
      summary: 'Address to listen on; port 0 takes a free one.',
    }),
    'public-url': Flags.string({
      helpValue: 'URL',
      summary: 'How nodes reach the panel, when not by the path they asked for.',
    }),
    accel: Flags.string({
      helpValue: 'PREFIX',
      summary: 'Let nginx send the artifacts: X-Accel-Redirect below this internal location.',
    }),
    proxy: Flags.string({
      helpValue: 'ADDRESS',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'A proxy whose X-Forwarded-For is believed.',
    }),
    'two-persons': Flags.boolean({
      default: false,
      summary: 'The token that drafted a release may not publish it.',
    }),
  }
  static override examples = [
    '<%= config.bin %> panel serve --data /var/lib/rel-panel',
    '<%= config.bin %> panel serve --data panel --listen 0.0.0.0:8420 --public-url https://updates.example.com',
    '<%= config.bin %> panel serve --data panel --accel /_blobs --proxy 127.0.0.1',
  ]

  protected async perform({flags}: Input<typeof PanelServe>): Promise<Outcome> {
    const {servePanel} = await import('../../cli/panel-serve.ts')
    return servePanel(flags)
  }
}
