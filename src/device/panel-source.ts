import {manifestLimits} from '../bundle/manifest.ts'
import {compareVersions} from '../bundle/version.ts'
import {channelsOf} from '../release/entitlement.ts'
import type {LicenseFile} from '../release/license.ts'
import {licenseHeader} from '../release/license-file.ts'
import type {ReleaseFile} from '../release/release.ts'
import {parseRelease, releaseLimits} from '../release/release-manifest.ts'
import {verifyRelease} from '../release/verify-release.ts'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {sha256Hex} from '../system/hash.ts'
import type {HttpHeaders} from '../system/http.ts'
import {retryAfter, strongEtag} from '../system/http-rules.ts'
import type {JsonObject} from '../system/json.ts'
import type {AnchorFile} from '../trust/anchor.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {trustedNow} from './clock-mark.ts'
import type {SourceConfig} from './config.ts'
import {type Device, recordsOf} from './device.ts'
import {ask, type DeviceAnswer, statusError} from './device-http.ts'
import {download} from './download.ts'
import {
  checkFreshness,
  checkNotRewound,
  type Freshness,
  freshnessKeys,
  type LogHead,
  staleSince,
} from './freshness.ts'
import {adoptLicense, licenseOf} from './license-gate.ts'
import {checkNotExpired} from './license-rules.ts'
import {checkGrown, MAX_PROOF_BYTES} from './log-proof.ts'
import {machineOf, pickArtifact} from './pick-artifact.ts'
import {isSafeVersion} from './record.ts'
import {keepSeen, loadSeen, type Seen} from './seen.ts'
import type {Answer, Offer, Question, Source} from './source.ts'
import {statementOf} from './statement.ts'
import {anchorOf, policyOf, upgradeError} from './verify-installed.ts'

type PanelConfig = Extract<SourceConfig, {kind: 'panel'}>

/** The envelope, D0's flat fields about the same artifacts, and a statement. */
const MAX_MANIFEST_BYTES = 4 * releaseLimits.bytes
/** D2's answer has five short fields. */
const MAX_CHECK_BYTES = 64 * 1024
const MAX_LICENSE_BYTES = 64 * 1024
/** From this long before its end on a renewal is asked for at each poll. */
const RENEW_SECS = 7 * 86_400

/** A panel, asked as D0's agents or as D2's updaters ask one (docs/guides/nodes.md). */
export function panelSource(device: Device, given: PanelConfig): Source {
  const find = given.protocol === 'd0' ? findD0 : findD2
  const {profile} = device.config
  const {component} = profile.kind === 'binary' ? profile : given
  const config = {...given, component}
  return {
    find: async (question) => {
      const license = await currentLicense(device, config)
      const authorization = `Bearer ${licenseHeader(license)}`
      return find({device, config, license, authorization}, question)
    },
  }
}

type Panel = {
  readonly device: Device
  readonly config: PanelConfig
  readonly license: LicenseFile
  readonly authorization: string
}

/**
 * The licence of the node, renewed when the panel has a newer file of it.
 * Refuses with upgrade_license_invalid, upgrade_license_frozen.
 */
async function currentLicense(device: Device, {url}: PanelConfig): Promise<LicenseFile> {
  const file = licenseOf(device)
  if (file === undefined) throw new RelError('internal_error', 'a panel source without a licence')
  const now = trustedNow(device)
  if (now < file.license.expires - RENEW_SECS) return file
  const authorization = `Bearer ${licenseHeader(file)}`
  const answer = await ask(
    {url: `${url}/update/license`, authorization, stop: device.world.stop},
    MAX_LICENSE_BYTES,
  )
  const current = answer.status === 200 ? await adoptLicense(device, file, answer.body) : file
  checkNotExpired(current.license, now)
  return current
}

async function findD0(panel: Panel, question: Question): Promise<Answer> {
  const {device, config} = panel
  const before = loadSeen(device.root, config.url)
  if (question.version !== undefined) return findVersion(panel, question.version)
  const machine = machineOf(device.config.target, process)
  const query = new URLSearchParams({
    component: config.component,
    ...machine,
    current: question.running,
  })
  const url = `${config.url}/update/manifest.json?${query}`
  const {nothing} = before
  const isSame = nothing?.question === query.toString()
  const answer = await poll(panel, url, {
    headers: isSame ? {'if-none-match': nothing.etag} : {},
    maxBytes: MAX_MANIFEST_BYTES,
  })
  const now = trustedNow(device)
  if (answer.status === 304 && isSame) return answerOf(answer, undefined, before.expires, now)
  if (answer.status === 404)
    return answerOf(answer, undefined, before.expires ?? silentSince(device), now)
  if (answer.status !== 200) throw statusError(answer, 'the manifest')
  const {file, fresh} = await verifyAnswer(panel, answer.body, question, now)
  if (fresh !== undefined) await checkLog(panel, before.log, fresh.log)
  const offer =
    compareVersions(file.release.version, question.running) > 0 ? offerOf(panel, file) : undefined
  // everything is verified: from here on it may be remembered
  const etag = strongEtag(answer.headers)
  const isNothing = offer === undefined && etag !== undefined
  const seen: Seen = {
    source: config.url,
    ...(fresh === undefined
      ? {}
      : {log: fresh.log, signers: fresh.signers, expires: fresh.expires}),
    ...(isNothing ? {nothing: {etag, question: query.toString()}} : {}),
  }
  const signed = [...(fresh === undefined ? [] : [fresh.issued]), file.release.timestamp]
  await keepSeen(device, before, seen, signed)
  return answerOf(answer, offer, fresh?.expires, now)
}

/**
 * That the log of the panel is what it was, and more. Refuses with upgrade_source_rewound, and as a
 * panel that does not answer.
 */
async function checkLog(panel: Panel, before: LogHead | undefined, now: LogHead): Promise<void> {
  checkNotRewound(before, now)
  if (before === undefined || before.size === 0 || now.size === before.size) return
  const {url} = panel.config
  const {product} = panel.device.config
  const query = new URLSearchParams({first: String(before.size), second: String(now.size)})
  const address = `${url}/v1/products/${product}/log/consistency?${query}`
  const answer = await askPanel(panel, address, {}, MAX_PROOF_BYTES)
  if (answer.status === 404)
    throw new RelError('upgrade_source_rewound', 'the panel does not show how its log has grown')
  if (answer.status !== 200) throw statusError(answer, 'the log')
  checkGrown(answer.body, before, now)
}

/**
 * Since when a panel owes a word, where it has never said one: nothing signed goes with a 404, so a
 * node that was kept back from its first poll on would not notice.
 */
function silentSince(device: Device): number | undefined {
  if (freshnessKeys(anchorOf(device.root).anchor).length === 0) return undefined
  return recordsOf(device).record.running.verifiedAt
}

function answerOf(
  {headers}: DeviceAnswer,
  offer: Offer | undefined,
  expires: number | undefined,
  now: number,
  pollAfter?: number,
): Answer {
  const retryAt = retryAfter(headers, Date.now())
  const secs =
    retryAt === undefined ? pollAfter : Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))
  const since = expires === undefined ? undefined : staleSince({expires}, now)
  return {
    ...(offer === undefined ? {} : {offer}),
    ...(secs === undefined ? {} : {pollAfterSecs: secs}),
    ...(since === undefined ? {} : {staleSince: since}),
  }
}

async function askPanel(
  {authorization, device}: Panel,
  url: string,
  headers: Readonly<Record<string, string>> = {},
  maxBytes = MAX_MANIFEST_BYTES,
): Promise<DeviceAnswer> {
  return ask({url, authorization, headers, stop: device.world.stop}, maxBytes)
}

/** Asks what there is, and says who asks: in headers, for addresses end up in logs. */
async function poll(
  {authorization, device}: Panel,
  url: string,
  {headers = {}, maxBytes}: {readonly headers?: HttpHeaders; readonly maxBytes: number},
): Promise<DeviceAnswer> {
  const said = statementOf(device)
  const stated = said && {'rel-node': said.node, 'rel-seq': String(said.seq)}
  return ask({url, authorization, headers, stated, stop: device.world.stop}, maxBytes)
}

/** The signed parts of a manifest, verified; D0's flat fields are not looked at. */
async function verifyAnswer(
  panel: Panel,
  body: Uint8Array,
  {running, channels}: Question,
  now: number,
): Promise<{readonly file: ReleaseFile; readonly fresh: Freshness | undefined}> {
  const {device, license} = panel
  const trusted = anchorOf(device.root)
  try {
    const top = parseStrictJson(body, {bytes: MAX_MANIFEST_BYTES, depth: 10}) as JsonObject
    const {envelope, freshness} = top ?? {}
    const file = parseRelease(Buffer.from(JSON.stringify(envelope ?? null)))
    await verifySigned(panel, trusted, file, {
      isOffer: compareVersions(file.release.version, running) > 0,
      now,
    })
    const asked = {
      track: license.license.track,
      channels: channelsOf(license.license).filter((it) => channels.includes(it)),
      current: running,
    }
    return {file, fresh: checkFreshness(freshness, file, asked, trusted.anchor, now)}
  } catch (error) {
    throw answerError(error)
  }
}

/**
 * That a release is signed by whom the node asks for. A Sigstore bundle is over the very bytes that
 * were published, which D0's answer does not keep: both are fetched, where identities count. What is
 * no offer needs none, as long as keys vouch for it: it may be older than that rule of the node.
 */
async function verifySigned(
  panel: Panel,
  trusted: AnchorFile,
  file: ReleaseFile,
  {isOffer, bytes, now}: {readonly isOffer: boolean; readonly bytes?: Buffer; readonly now: number},
): Promise<void> {
  const {root, config} = panel.device
  const {identity} = policyOf(root, config, now, trusted)
  const terms = {anchor: trusted.anchor, expect: {product: config.product}, now}
  if (identity === undefined || (!isOffer && identity.mode !== 'sigstore')) {
    await verifyRelease(file, terms)
    return
  }
  const {version} = file.release
  const published = bytes ?? (await manifestOf(panel, version))
  if (parseRelease(published).digest !== file.digest)
    throw new RelError('upgrade_source_invalid', `${version} is published as another release`)
  const vouched = {bytes: published, sidecar: await sidecarOf(panel, version)}
  await verifyRelease(file, {...terms, identity, vouched})
}

const aboutSignatures = /^(?:signature|key|threshold|role|anchor|digest)_/

/** A refusal of the release model in the words of the updater, the exact code in its details. */
function answerError(error: unknown): unknown {
  if (!(error instanceof RelError) || error.code.startsWith('upgrade_')) return error
  // a file of the node that cannot be read just now says nothing of the answer
  if (error.code === 'file_unreadable') return error
  const known = upgradeError(error)
  if (known instanceof RelError && known.code === 'upgrade_identity_not_allowed') return known
  const {code, message} = error
  const details = {...error.details, cause_code: code}
  const as = (word: ErrorCode) => new RelError(word, message, {cause: error, details})
  if (code === 'timestamp_future') return as('upgrade_clock_untrusted')
  return as(aboutSignatures.test(code) ? 'upgrade_signature_invalid' : 'upgrade_source_invalid')
}

/** What a verified release holds for this node. Refuses with upgrade_source_invalid. */
function offerOf({device, config, authorization}: Panel, file: ReleaseFile): Offer {
  const {release} = file
  const {product, version, channel} = release
  const {target, maxBytesPerSec} = device.config
  const wanted = {component: config.component, ...machineOf(target, process)}
  const {whole, deltas} = pickArtifact(release, wanted)
  // built here: an address of the panel's choice is not signed
  const base = `${config.url}/download/${product}/${encodeURIComponent(version)}`
  const fetchOf =
    ({name, size, sha256}: typeof whole): Offer['fetch'] =>
    (onProgress) => {
      const url = `${base}/${encodeURIComponent(name)}`
      const {stop} = device.world
      const wanted = {url, size, sha256, authorization, maxBytesPerSec, stop}
      return download(device.root, wanted, onProgress)
    }
  return {
    version,
    channel,
    size: whole.size,
    sha256: whole.sha256,
    deltas: deltas.map(({from, artifact}) => ({
      from,
      size: artifact.size,
      sha256: artifact.sha256,
      fetch: fetchOf(artifact),
    })),
    releaseText: JSON.stringify({
      manifest: JSON.parse(file.canonical) as JsonObject,
      signatures: file.signatures.map(({keyid, sig}) => ({keyid, sig})),
    }),
    fetch: fetchOf(whole),
  }
}

/** One version that an operator has named: its envelope alone, with no word on what is current. */
async function findVersion(panel: Panel, version: string): Promise<Answer> {
  const answer = await askPanel(panel, bundleUrl(panel, version, 'manifest.json'))
  const now = trustedNow(panel.device)
  if (answer.status === 404) return answerOf(answer, undefined, undefined, now)
  const bytes = bodyOf(answer, version)
  try {
    const file = parseRelease(bytes)
    if (file.release.version !== version)
      throw new RelError('version_mismatch', `signed as ${file.release.version}, want ${version}`)
    await verifySigned(panel, anchorOf(panel.device.root), file, {isOffer: true, bytes, now})
    return answerOf(answer, offerOf(panel, file), undefined, now)
  } catch (error) {
    throw answerError(error)
  }
}

function bundleUrl({config}: Panel, version: string, form: string): string {
  return `${config.url}/bundles/${encodeURIComponent(version)}.${form}`
}

function bodyOf(answer: DeviceAnswer, version: string): Buffer {
  if (answer.status === 200) return answer.body
  throw statusError(answer, `the manifest of ${version}`)
}

async function manifestOf(panel: Panel, version: string): Promise<Buffer> {
  return bodyOf(await askPanel(panel, bundleUrl(panel, version, 'manifest.json')), version)
}

/** The Sigstore bundle over a manifest; undefined where it was published without one. */
async function sidecarOf(panel: Panel, version: string): Promise<Buffer | undefined> {
  const url = bundleUrl(panel, version, 'manifest.sig.bundle')
  const answer = await askPanel(panel, url, {}, manifestLimits.sidecarBytes)
  return answer.status === 404 ? undefined : bodyOf(answer, version)
}

/** D2: everything that is answered is a hint; the manifest inside the bundle decides. */
async function findD2(panel: Panel, question: Question): Promise<Answer> {
  if (question.version !== undefined) return {offer: bundleOf(panel, question.version)}
  const hints: {readonly hint: Hint; readonly answer: DeviceAnswer}[] = []
  for (const channel of question.channels) {
    const query = new URLSearchParams({version: question.running, channel})
    const url = `${panel.config.url}/check?${query}`
    const answer = await poll(panel, url, {maxBytes: MAX_CHECK_BYTES})
    if (answer.status === 404) continue // of another track; so are all that the licence has not
    if (answer.status !== 200) throw statusError(answer, 'the check')
    hints.push({hint: hintOf(answer.body), answer})
  }
  const newer = hints
    .filter(({hint: {version}}) => version !== undefined)
    .filter(({hint: {version = ''}}) => compareVersions(version, question.running) > 0)
    .toSorted((a, b) => compareVersions(b.hint.version ?? '', a.hint.version ?? ''))
  const best = newer[0] ?? hints[0]
  if (best === undefined) return {}
  const {hint, answer} = best
  const offer = newer[0] === undefined ? undefined : bundleOf(panel, hint.version ?? '')
  return answerOf(answer, offer, undefined, 0, hint.pollAfterSecs)
}

type Hint = {readonly version?: string; readonly pollAfterSecs?: number}

/** What /check says, if it has the form that D2 gives it. Refuses with upgrade_source_invalid. */
function hintOf(body: Uint8Array): Hint {
  try {
    const limits = {bytes: MAX_CHECK_BYTES, depth: 4, profile: 'general'} as const
    const json = parseStrictJson(body, limits) as JsonObject
    const {available, version, poll_after: secs} = json ?? {}
    if (typeof available !== 'boolean') throw new RelError('upgrade_source_invalid', 'no available')
    if (available && !isSafeVersion(version))
      throw new RelError('upgrade_source_invalid', 'what is available is no version')
    return {
      ...(available && typeof version === 'string' ? {version} : {}),
      ...(typeof secs === 'number' && secs >= 0 ? {pollAfterSecs: secs} : {}),
    }
  } catch (error) {
    throw answerError(error)
  }
}

function bundleOf({device, config, authorization}: Panel, version: string): Offer {
  const {maxBytesPerSec} = device.config
  const {stop} = device.world
  const url = `${config.url}/bundles/${encodeURIComponent(version)}.tar.gz`
  const name = sha256Hex(url)
  return {
    version,
    deltas: [],
    fetch: (onProgress) =>
      download(device.root, {url, name, authorization, maxBytesPerSec, stop}, onProgress),
  }
}
