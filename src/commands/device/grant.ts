import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {keyFlags} from '../../cli/key-flags.ts'

const isNew = {exclusive: ['add']}

export default class DeviceGrant extends BaseCommand<typeof DeviceGrant> {
  static override summary = 'Allow nodes to go back to an older version, once and for a time.'
  static override description =
    'Signed by a key with the role rollback. It is good for one step of the nodes that it names, and never lowers their floor. With --add, signs one that exists, where more than one key must.'
  static override flags = {
    product: Flags.string({...isNew, helpValue: 'NAME', summary: 'Product of the nodes.'}),
    from: Flags.string({...isNew, helpValue: 'VERSION', summary: 'What must run.'}),
    to: Flags.string({...isNew, helpValue: 'VERSION', summary: 'The older version.'}),
    node: Flags.string({
      ...isNew,
      helpValue: 'NAME',
      multiple: true,
      summary: 'Name of a node, as node in its device.json; may be given again.',
    }),
    expires: Flags.string({
      ...isNew,
      helpValue: 'TIME',
      summary: 'Until when: a span such as 12h, or a date.',
    }),
    add: Flags.string({helpValue: 'FILE', summary: 'A grant that gets one more signature.'}),
    output: Flags.string({
      char: 'o',
      helpValue: 'FILE',
      required: true,
      summary: 'Where the grant goes.',
    }),
    'dry-run': Flags.boolean({default: false, summary: 'Show it; sign and write nothing.'}),
    ...keyFlags,
  }
  static override examples = [
    '<%= config.bin %> device grant --product edge-agent --from 1.4.2 --to 1.4.1 --node berlin-7 --expires 12h --key rollback -o back.json',
    '<%= config.bin %> device grant --add back.json --key rollback-2 -o back.json',
  ]

  protected async perform({flags}: Input<typeof DeviceGrant>): Promise<Outcome> {
    const {deviceGrant} = await import('../../cli/device-grant.ts')
    return deviceGrant(flags)
  }
}
