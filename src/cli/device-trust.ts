import {whileLocked} from '../device/device.ts'
import {followAnchor, successionOf} from '../device/follow-anchor.ts'
import {verifyDevice} from '../device/status.ts'
import {RelError} from '../system/error.ts'
import {describeChange} from '../trust/anchor-text.ts'
import type {Outcome} from './base-command.ts'
import {openDevice} from './device.ts'

type TrustFlags = {readonly 'dry-run': boolean; readonly events: boolean}

/** `rel device trust`: the node follows a newer trust anchor. Refuses as successionOf does. */
export async function deviceTrust(
  path: string,
  anchorPath: string,
  flags: TrustFlags,
): Promise<Outcome> {
  const device = openDevice(path, flags)
  if (flags['dry-run']) return outcome(successionOf(device, anchorPath), true)
  return whileLocked(device.root, async () => {
    const succession = followAnchor(device, anchorPath)
    if (succession.before === succession.after) return outcome(succession, false)
    const problem = await verifyDevice(device).then(
      () => undefined,
      (error: unknown) => error,
    )
    if (problem === undefined) return outcome(succession, false)
    if (!(problem instanceof RelError)) throw problem
    const warning = `what runs is not verified by it (${problem.code}): ${problem.message}`
    return {...outcome(succession, false), warnings: [warning]}
  })
}

function outcome({before, after}: ReturnType<typeof successionOf>, isDryRun: boolean): Outcome {
  const [from, to] = [before.anchor.version, after.anchor.version]
  const result = {from, to, changed: from !== to && !isDryRun, dry_run: isDryRun}
  if (from === to) return {result, lines: [`✔ the node has version ${to} already`]}
  const verb = isDryRun ? 'would go' : 'goes'
  const lines = describeChange(before.anchor, after.anchor)
  return {
    result,
    lines: [`✔ the node ${verb} from version ${from} of its anchor to ${to}`, ...lines],
  }
}
