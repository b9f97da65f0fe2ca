import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'

export default class BumpNew extends BaseCommand<typeof BumpNew> {
  static override summary = 'Write a playbook for an item of your own.'
  static override description =
    'What is not given is asked at the terminal. The playbook is checked, and its pin found, before it is written.'
  static override args = {
    item: Args.string({description: 'Name of the item.', name: 'ITEM', required: true}),
  }
  static override flags = {
    title: Flags.string({summary: 'What people call it; the item when not given.'}),
    kind: Flags.string({
      summary: 'Kind of upstream: github_release, k3s, git_tree, apt_snapshot or apt_kernel.',
    }),
    upstream: Flags.string({
      helpValue: 'KEY=VALUE',
      multiple: true,
      summary:
        'A key of the upstream, such as repository=traefik/traefik; lists as YAML; may be given several times.',
    }),
    min: Flags.option({options: ['L0', 'L1', 'L2', 'L3', 'L4'] as const})({
      summary: 'The least trust level; L1 when not given.',
    }),
    file: Flags.string({summary: 'File that holds the pin.'}),
    pin: Flags.string({
      helpValue: 'KIND:PLACE',
      summary: 'Such as make_variable:TRAEFIK_VERSION or yaml_path:build.k3s_version.',
    }),
    base: Flags.string({summary: 'Branch that bumps go into; the current one when not given.'}),
    'dry-run': Flags.boolean({default: false, summary: 'Print the playbook; write nothing.'}),
  }
  static override examples = [
    '<%= config.bin %> bump new traefik',
    `<%= config.bin %> bump new traefik --kind github_release --upstream repository=traefik/traefik --upstream 'assets=[{arch: amd64, name: "traefik_{version}_linux_amd64.tar.gz", member: traefik}]' --file agent/Makefile --pin make_variable:TRAEFIK_VERSION`,
  ]

  protected async perform({args, flags}: Input<typeof BumpNew>): Promise<Outcome> {
    const {newItem} = await import('../../cli/bump-new.ts')
    return newItem(args.item, flags)
  }
}
