import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {bumpArgs, bumpFlags} from '../../cli/bump-flags.ts'

export default class Bump extends BaseCommand<typeof Bump> {
  static override strict = false
  static override summary = 'Move one pin to a verified version, on a branch of its own.'
  static override description =
    'The release is found and verified to the level that the playbook demands, the pin is edited byte by byte, gates are run on a clean checkout, the way back is tried, and one commit is pushed as one pull request. Your work tree, index and HEAD are not touched.'
  static override args = bumpArgs
  static override flags = {
    ...bumpFlags,
    'dry-run': Flags.boolean({
      default: false,
      summary: 'Print the exact diff and the evidence; write nothing.',
    }),
  }
  static override examples = [
    '<%= config.bin %> bump traefik NEW=v3.3.5',
    '<%= config.bin %> bump traefik NEW=v3.3.5 --dry-run',
    '<%= config.bin %> bump traefik --lock',
    '<%= config.bin %> bump kernel NEW=6.1.0-56-arm64 --sign-off release --trust trust.json',
  ]

  protected async perform({argv, flags}: Input<typeof Bump>): Promise<Outcome> {
    const {bumpItem} = await import('../../cli/bump-item.ts')
    return bumpItem(argv, flags)
  }
}
