import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {deviceArgs} from '../../cli/device-flags.ts'

export default class DeviceCheck extends BaseCommand<typeof DeviceCheck> {
  static override summary = 'Ask the source of a node whether there is something newer.'
  static override description =
    'Prints what runs, what is offered, every closed gate in its order, since when the source is stale, and a higher version that it offered before. Nothing is fetched or changed; what was verified is remembered.'
  static override args = deviceArgs
  static override flags = {
    'exit-code': Flags.boolean({
      default: false,
      summary: 'Exit with 10 when something newer may be taken.',
    }),
  }
  static override examples = [
    '<%= config.bin %> device check /opt/edge-agent',
    '<%= config.bin %> device check /opt/edge-agent --exit-code',
  ]

  protected async perform({args, flags}: Input<typeof DeviceCheck>): Promise<Outcome> {
    const {deviceCheck} = await import('../../cli/device-source.ts')
    return deviceCheck(args.root, flags)
  }
}
