import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {coversComponent, visible} from '../entitlement.ts'
import type {ChannelName, ReleaseArtifact, ReleaseFile} from '../release.ts'
import {compareVersions} from '../version.ts'
import {exchangeWithPanel, jsonOf, type PanelAccess, panelRefusal} from './panel-api.ts'
import {persistently} from './persist.ts'
import type {Probe, PublishWorld} from './world.ts'

/** Artifacts up to this are downloaded whole; of larger ones size and digest are asked for. */
const DOWNLOAD = 16 * 1024 * 1024

/** What a licence was shown, compared with what its track and entitlements say. */
export type ProbeResult = {
  readonly name: string
  readonly track: string
  /** Whether the release is there for it; as it should be, or the probe would have failed. */
  readonly sees: boolean
  /** Artifacts that were downloaded and hashed, and that were asked for only. */
  readonly downloaded: number
  readonly asked: number
}

/**
 * Asks the panel as a customer with this licence would: the licence must open exactly what its track
 * and entitlements say, and what it opens must have the bytes of the manifest. Refuses with
 * publish_probe_failed, publish_readback_failed and with what the panel refuses the licence with.
 */
export async function probeRelease(
  access: Omit<PanelAccess, 'authorization'>,
  file: ReleaseFile,
  state: 'draft' | 'published',
  probe: Probe,
  world: Pick<PublishWorld, 'clock' | 'random'>,
): Promise<ProbeResult> {
  const {release} = file
  const {name, token, license} = probe
  const asker: PanelAccess = {...access, authorization: `Bearer ${token}`}
  const {verdict} = visible(
    license,
    'active',
    {product: release.product, channel: release.channel as ChannelName, state},
    Math.floor(world.clock.now() / 1000),
  )
  const sees = verdict === 'visible'
  const counts = {downloaded: 0, asked: 0}
  for (const artifact of release.artifacts) {
    const want = sees && coversComponent(license, artifact.component)
    const seen = await persistently(world, () => fetchArtifact(asker, file, artifact))
    if (seen === undefined && !want) continue
    if (seen === undefined || !want)
      throw new RelError(
        'publish_probe_failed',
        want
          ? `${name} does not get ${artifact.name}, which its track and entitlements open`
          : `${name} gets ${artifact.name}, which it should not see`,
      )
    counts[seen]++
  }
  if (sees) await checkOffer(asker, file, probe, world)
  return {name, track: license.track, sees, ...counts}
}

/** How an artifact was got, or undefined when it is not there for this licence. */
async function fetchArtifact(
  access: PanelAccess,
  {release}: ReleaseFile,
  {name, size, sha256}: ReleaseArtifact,
): Promise<'downloaded' | 'asked' | undefined> {
  const path = `/download/${release.product}/${encodeURIComponent(release.version)}/${name}`
  const isSmall = size <= DOWNLOAD
  const answer = await exchangeWithPanel(access, {
    method: isSmall ? 'GET' : 'HEAD',
    path,
    headers: {accept: 'application/octet-stream', 'accept-encoding': 'identity'},
    maxBytes: DOWNLOAD + 1,
  })
  if (answer.status === 404) return undefined
  // a panel may hand downloads to an object store
  if (answer.status === 307) return 'asked'
  if (answer.status !== 200) throw panelRefusal(answer)
  const {'x-bundle-hash': hash, 'content-length': length} = answer.headers
  const isSame = isSmall
    ? sha256Hex(answer.body) === sha256
    : hash === sha256 && length === String(size)
  if (!isSame)
    throw new RelError('publish_readback_failed', `the panel hands out other bytes as ${name}`)
  return isSmall ? 'downloaded' : 'asked'
}

/** The update manifest offers this release, or one that is higher. */
async function checkOffer(
  access: PanelAccess,
  {release, digest}: ReleaseFile,
  {name}: Probe,
  world: Pick<PublishWorld, 'clock' | 'random'>,
): Promise<void> {
  const path = `/update/manifest.json?product=${encodeURIComponent(release.product)}`
  const answer = await persistently(world, () => exchangeWithPanel(access, {method: 'GET', path}))
  if (answer.status !== 200) throw panelRefusal(answer)
  const {version, manifest_sha256: seen} = objectOf(jsonOf(answer.body).release)
  const offered = typeof version === 'string' ? version : 'nothing'
  const isHigher = offered !== 'nothing' && compareVersions(offered, release.version) > 0
  if (isHigher || (offered === release.version && seen === digest)) return
  throw new RelError(
    'publish_probe_failed',
    `${name} is offered ${offered}, want ${release.version} with manifest ${digest}`,
  )
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null ? (value as JsonObject) : {}
}
