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
    kind: Flags.string({summary: 'Kind of upstream, such as github_release.'}),
    upstream: Flags.string({
      helpValue: 'KEY=VALUE',
      multiple: true,
      summary: 'A key of the upstream, such as repo=traefik/traefik; may be given several times.',
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
    '<%= config.bin %> bump new traefik --kind github_release --upstream repo=traefik/traefik --file agent/Makefile --pin make_variable:TRAEFIK_VERSION',
    '<%= config.bin %> bump new k3s',
  ]

  protected async perform({args, flags}: Input<typeof BumpNew>): Promise<Outcome> {
    const {newItem} = await import('../../cli/bump-new.ts')
    return newItem(args.item, flags)
  }
}
