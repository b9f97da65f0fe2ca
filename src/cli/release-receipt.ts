import {join} from 'node:path'
import {checkReceipt, parseReceipt, receiptLimits} from '../release/publish/receipt.ts'
import {parseRelease, releaseLimits} from '../release/release-manifest.ts'
import {systemTime} from '../system/clock.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import type {JsonObject} from '../system/json.ts'
import {loadAnchor} from '../trust/anchor-store.ts'
import {shortId} from '../trust/envelope.ts'
import {parseTime} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import type {ReleaseReceiptFlagValues} from './release-flags.ts'
import {originLines} from './trust-origin.ts'

/**
 * `rel release receipt`: that a receipt is signed by who may sign releases of its product, and of
 * the release at hand where a manifest is given. Refuses with input_required, version_mismatch,
 * product_mismatch, and as parseReceipt and checkReceipt do.
 */
export function releaseReceipt(
  path: string,
  flags: ReleaseReceiptFlagValues,
  env: Readonly<Record<string, string | undefined>>,
): Outcome {
  const trusted = flags.trust ?? env.REL_TRUST
  if (!trusted)
    throw new RelError('input_required', 'nobody was named whose signatures are trusted', {
      hint: 'give --trust FILE (rel trust init makes one)',
    })
  const {anchor} = loadAnchor(trusted)
  const file = parseReceipt(readFileLimited(receiptAt(path), receiptLimits.bytes))
  const now = systemTime()
  const at = flags.at === undefined ? now : parseTime(flags.at, now)
  const {manifest} = flags
  const release =
    manifest === undefined
      ? undefined
      : parseRelease(readFileLimited(manifest, releaseLimits.bytes))
  const {signedBy} = checkReceipt(file, anchor, at, release)
  for (const name of ['product', 'version'] as const)
    if (flags[name] !== undefined && flags[name] !== file[name])
      throw new RelError(`${name}_mismatch`, `signed as ${file[name]}, want ${flags[name]}`)
  const {product, version, channel, digest, receipt} = file
  const origin = {anchor: trusted, version: anchor.version}
  const nameOf = (id: string) => `${anchor.keys.get(id)?.name ?? 'key'} (${shortId(id)})`
  return {
    result: {
      ...receipt,
      signed_by: [...signedBy],
      trust: origin,
      manifest_compared: release !== undefined,
    },
    lines: [
      `✔ ${path}: ${product} ${version}, channel ${channel}, manifest ${shortId(digest)}`,
      ...signedBy.map((id) => `✔ signed by ${nameOf(id)}`),
      ...originLines(origin),
      ...Object.entries(receipt.targets as Readonly<Record<string, JsonObject>>).map(
        ([target, {state, url}]) =>
          `  ${target}: ${String(state)}${typeof url === 'string' ? `, ${url}` : ''}`,
      ),
    ],
    next: 'rel release reconcile MANIFEST says what the targets have now',
  }
}

function receiptAt(path: string): string {
  return statIfThere(path)?.isDirectory() === true ? join(path, 'publish-receipt.json') : path
}
