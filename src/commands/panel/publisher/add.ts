import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../../cli/base-command.ts'
import {panelFlags} from '../../../cli/panel-flags.ts'
import {productArg} from '../../../cli/panel-product-flags.ts'

export default class PanelPublisherAdd extends BaseCommand<typeof PanelPublisherAdd> {
  static override summary = 'Let runs of one workflow publish a product without a token.'
  static override description =
    'A run of GitHub Actions shows the identity that GitHub signs for it. Repository and owner are their numbers (gh api repos/OWNER/NAME --jq .id,.owner.id): names can pass to somebody else. The panel must be served with --public-url.'
  static override args = {product: productArg}
  static override flags = {
    'repository-id': Flags.string({
      helpValue: 'N',
      required: true,
      summary: 'Number of the repository.',
    }),
    'owner-id': Flags.string({helpValue: 'N', required: true, summary: 'Number of its owner.'}),
    workflow: Flags.string({
      helpValue: 'PATH',
      required: true,
      summary: 'The workflow file, such as .github/workflows/release.yml.',
    }),
    ref: Flags.string({
      helpValue: 'REF',
      multiple: true,
      multipleNonGreedy: true,
      required: true,
      summary: 'refs/tags/v* or refs/heads/main; a * at the end stands for any rest.',
    }),
    environment: Flags.string({
      helpValue: 'NAME',
      summary: 'Only jobs of this environment, whose reviewers GitHub asks.',
    }),
    issuer: Flags.string({
      default: 'https://token.actions.githubusercontent.com',
      helpValue: 'URL',
      summary: 'Who signs the identities; another one for GitHub Enterprise Server.',
    }),
    verb: Flags.option({
      default: ['publish', 'release'],
      multiple: true,
      multipleNonGreedy: true,
      options: ['publish', 'release'] as const,
    })({summary: 'What the runs may do.'}),
    'dry-run': Flags.boolean({default: false, summary: 'Show it; write nothing.'}),
    ...panelFlags,
  }
  static override examples = [
    '<%= config.bin %> panel publisher add agent --data panel --repository-id 1296269 --owner-id 9919 --workflow .github/workflows/release.yml --ref "refs/tags/v*"',
    '<%= config.bin %> panel publisher add agent --data panel --repository-id 1296269 --owner-id 9919 --workflow .github/workflows/release.yml --ref refs/heads/main --environment release --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof PanelPublisherAdd>): Promise<Outcome> {
    const {addPanelPublisher} = await import('../../../cli/panel-publishers.ts')
    return addPanelPublisher(args.product, flags)
  }
}
