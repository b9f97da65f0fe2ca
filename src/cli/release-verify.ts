import {dirname, join} from 'node:path'
import {parseRelease, releaseLimits} from '../release/release-manifest.ts'
import {readReleaseSidecar} from '../release/release-signers.ts'
import {type ReleaseExpectations, verifyRelease} from '../release/verify-release.ts'
import {systemTime} from '../system/clock.ts'
import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import {loadAnchor} from '../trust/anchor-store.ts'
import {shortId} from '../trust/envelope.ts'
import {parseTime} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import {identityPolicyFrom} from './identity-policy.ts'
import {type ProgressMode, withProgress} from './progress.ts'
import type {ReleaseVerifyFlagValues} from './release-flags.ts'
import {originLines} from './trust-origin.ts'

/** `rel release verify`: a release manifest and its artifacts, without a panel. */
export async function releaseVerify(
  path: string,
  flags: ReleaseVerifyFlagValues & ProgressMode,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Outcome> {
  const trusted = flags.trust ?? env.REL_TRUST
  if (!trusted)
    throw new RelError('input_required', 'nobody was named whose signatures are trusted', {
      hint: 'give --trust FILE (rel trust init makes one)',
    })
  const {anchor} = loadAnchor(trusted)
  const manifest = statIfThere(path)?.isDirectory() === true ? join(path, 'release.json') : path
  const bytes = readFileLimited(manifest, releaseLimits.bytes)
  const file = parseRelease(bytes)
  const clock = systemTime()
  const now = flags.at === undefined ? clock : parseTime(flags.at, clock)
  const {allowedSigners: allowed} = anchor
  const identity = identityPolicyFrom(flags, {allowed, keys: true, now})
  const folder = flags['manifest-only'] ? undefined : (flags.artifacts ?? dirname(manifest))
  const {release, digest} = file
  const total = release.artifacts.length
  const {signedBy, identities} = await withProgress(`Verifying ${manifest}`, flags, (report) =>
    verifyRelease(file, {
      anchor,
      expect: expectationsOf(flags),
      now,
      identity,
      vouched: {bytes, sidecar: identity && readReleaseSidecar(manifest)},
      ...(folder === undefined ? {} : {folder}),
      onFile: (text, done) => report({done, total, text}),
    }),
  )
  const origin = {anchor: trusted, version: anchor.version}
  const {product, version, channel} = release
  const totalSize = release.artifacts.reduce((sum, {size}) => sum + size, 0)
  const nameOf = (id: string) => `${anchor.keys.get(id)?.name ?? 'key'} (${shortId(id)})`
  return {
    result: {
      product,
      version,
      channel,
      manifest_sha256: digest,
      signed_by: [...signedBy],
      identities: [...identities],
      trust: origin,
      artifacts_verified: folder !== undefined,
      artifacts: release.artifacts.map(({name, size, sha256, keyId}) => ({
        name,
        size,
        sha256,
        key_id: keyId,
      })),
    },
    lines: [
      `✔ ${manifest}: ${product} ${version}, channel ${channel}`,
      ...signedBy.map((id) => `✔ signed by ${nameOf(id)}`),
      ...identities.map((id) => `✔ signed by identity ${id}`),
      ...originLines(origin),
      ...(folder === undefined
        ? []
        : [`✔ ${counted(total, 'artifact')}, ${counted(totalSize, 'byte')}, exactly as signed`]),
    ],
    warnings:
      folder === undefined
        ? [`${counted(total, 'artifact')} were not looked at: --manifest-only`]
        : [],
  }
}

function expectationsOf({product, version, channel}: ReleaseVerifyFlagValues): ReleaseExpectations {
  return {
    ...(product === undefined ? {} : {product}),
    ...(version === undefined ? {} : {version}),
    ...(channel === undefined ? {} : {channel}),
  }
}
