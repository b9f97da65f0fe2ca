import {type Device, recordsOf, whileLocked} from '../device/device.ts'
import {followAnchor, successionOf} from '../device/follow-anchor.ts'
import {verifyDevice} from '../device/status.ts'
import {verifyInstalled} from '../device/verify-installed.ts'
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
    const warnings = [
      ...(await asWarning('what runs is not verified by it', () => verifyDevice(device))),
      ...(await asWarning('there is no way back', () => verifyPrevious(device))),
    ]
    return {...outcome(succession, false), warnings}
  })
}

async function verifyPrevious(device: Device): Promise<void> {
  const {previous} = recordsOf(device).record
  if (previous !== undefined) await verifyInstalled(device.root, device.config, previous)
}

async function asWarning(what: string, check: () => Promise<unknown>): Promise<readonly string[]> {
  try {
    await check()
    return []
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    return [`${what} (${error.code}): ${error.message}`]
  }
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
