import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {changeFlags, deviceArgs} from '../../cli/device-flags.ts'

export default class DeviceTrust extends BaseCommand<typeof DeviceTrust> {
  static override summary = 'Give a node a newer trust anchor.'
  static override description =
    'It must follow from the one that the node has, version by version, each signed by the root keys of the one before and by its own; versions in between are read beside it (N.trust.json). Nobody else can give a node new keys, and no key that was revoked comes back.'
  static override args = {
    ...deviceArgs,
    anchor: Args.string({description: 'The newer anchor.', name: 'ANCHOR', required: true}),
  }
  static override flags = {...changeFlags}
  static override examples = [
    '<%= config.bin %> device trust /opt/edge-agent trust.json --dry-run',
    '<%= config.bin %> device trust /opt/edge-agent trust.json',
  ]

  protected async perform({args, flags}: Input<typeof DeviceTrust>): Promise<Outcome> {
    const {deviceTrust} = await import('../../cli/device-trust.ts')
    return deviceTrust(args.root, args.anchor, flags)
  }
}
