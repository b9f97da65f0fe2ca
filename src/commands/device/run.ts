import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {deviceArgs} from '../../cli/device-flags.ts'

export default class DeviceRun extends BaseCommand<typeof DeviceRun> {
  static override summary = 'Poll the source of a node and do what its policy allows.'
  static override description =
    'Polls at upgrade.poll_interval_secs with jitter until SIGTERM, waits longer after errors, and detects, stages or applies as upgrade.policy says. Each event is one line of JSON on standard error; results are reported to a panel.'
  static override args = deviceArgs
  static override flags = {
    once: Flags.boolean({default: false, summary: 'Poll once, at once, and end.'}),
  }
  static override examples = [
    '<%= config.bin %> device run /opt/edge-agent',
    '<%= config.bin %> device run /opt/edge-agent --once',
  ]

  protected async perform({args, flags}: Input<typeof DeviceRun>): Promise<Outcome> {
    const {deviceRun} = await import('../../cli/device-source.ts')
    return deviceRun(args.root, flags)
  }
}
