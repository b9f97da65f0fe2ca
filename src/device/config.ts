import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {isSafeVersion} from './record.ts'
import {type Policy, policies} from './state.ts'

export const MAX_CONFIG_BYTES = 64 * 1024

/** How a new version proves itself. */
export type HealthConfig =
  | {readonly kind: 'command'; readonly command: readonly string[]}
  | {
      readonly kind: 'url'
      readonly url: string
      /** Top-level key of the answer that must equal the new version. */
      readonly versionKey?: string
    }
  | {
      readonly kind: 'process'
      /** A unit of systemd, with its suffix. */
      readonly unit: string
    }

/** How long a service must stay as it is, for health.process. */
export const SETTLE_SECS = 5

/** Where new versions come from; bundles given by hand when there is none. */
export type SourceConfig =
  | {
      /** D0's manifest with a licence, or D2's /check and /bundles. */
      readonly kind: 'panel'
      /** http or https, without user and password, no slash at its end. */
      readonly url: string
      readonly protocol: 'd0' | 'd2'
      /** Which artifacts of a release are for this node. */
      readonly component: string
    }
  | {
      /** Releases with manifest.json and manifest.sig.bundle (D1). */
      readonly kind: 'github'
      readonly repository: string
      /** Base address of the API. */
      readonly api: string
      readonly component: string
    }
  /** A folder of bundles: a mount, a stick, a share. */
  | {readonly kind: 'directory'; readonly path: string}

/** Which Sigstore identities must have signed, beside or instead of keys; the anchor lists them. */
const identityModes = ['sigstore', 'both', 'either'] as const

/**
 * How a version is laid out: a tree behind links (D1, D2), or one program that is replaced in its
 * place (D0).
 */
export type Profile =
  | {readonly kind: 'tree'}
  | {
      readonly kind: 'binary'
      /** Absolute path of the program. */
      readonly path: string
      /** Which artifact of a release it is. */
      readonly component: string
    }

/** device.json (docs/formats/device-state.md), in camelCase. */
export type DeviceConfig = {
  readonly product: string
  /** What grants and reports call this node. */
  readonly node?: string
  readonly profile: Profile
  readonly source?: SourceConfig
  readonly identity?: (typeof identityModes)[number]
  /** Mean time between two polls. */
  readonly pollIntervalSecs: number
  /** Without anything newly signed for so long, the source is told to be stale; never when absent. */
  readonly staleAfterDays?: number
  /** No limit when absent. */
  readonly maxBytesPerSec?: number
  /** Most bytes of an old and a new file that a piece of a delta has together; 0 takes no deltas. */
  readonly deltaMaxBytes: number
  /** Such as linux-arm64; bundles for any machine when absent. */
  readonly target?: string
  readonly enabled: boolean
  readonly allowedChannels: readonly string[]
  readonly minVersion?: string
  readonly policy: Policy
  readonly bootHealthWindowSecs: number
  readonly maxBootAttempts: number
  readonly health: HealthConfig
  /** Run after the links have changed. */
  readonly restart?: readonly string[]
  /** Ends with 0 when the program is stopped. */
  readonly stopped?: readonly string[]
}

const topKeys = [
  'spec',
  'product',
  'target',
  'node',
  'binary',
  'source',
  'identity',
  'upgrade',
  'health',
  'restart',
  'stopped',
]
const upgradeKeys = [
  'enabled',
  'allowed_channels',
  'min_version',
  'policy',
  'boot_health_window_secs',
  'max_boot_attempts',
  'poll_interval_secs',
  'max_bytes_per_sec',
  'delta_max_bytes',
  'stale_after_days',
]

const DEFAULT_DELTA_BYTES = 64 * 1024 * 1024
const MAX_BYTES_PER_SEC = 2 ** 40

/** device.json as read. Refuses with upgrade_config_invalid: an unknown key could be a gate misspelt. */
export function parseConfig(bytes: Uint8Array): DeviceConfig {
  const top = objectOf(documentOf(bytes), 'device.json', topKeys)
  if (top.spec !== 1) throw invalid('spec is not 1')
  const upgrade = objectOf(top.upgrade ?? {}, 'upgrade', upgradeKeys)
  const {enabled = false, allowed_channels: channels = ['stable'], policy = 'manual'} = upgrade
  const {min_version: minVersion, boot_health_window_secs: window = 120} = upgrade
  const {max_boot_attempts: attempts = 3} = upgrade
  if (typeof enabled !== 'boolean') throw invalid('upgrade.enabled is not true or false')
  const known = policies.find((it) => it === policy)
  if (known === undefined) throw invalid(`upgrade.policy is none of ${policies.join(', ')}`)
  if (minVersion !== undefined && !isSafeVersion(minVersion))
    throw invalid('upgrade.min_version is no version')
  const target = top.target === undefined ? {} : {target: textOf(top.target, 'target')}
  const node = top.node === undefined ? {} : {node: textOf(top.node, 'node')}
  const {poll_interval_secs: poll = 3600, max_bytes_per_sec: rate} = upgrade
  const {delta_max_bytes: delta = DEFAULT_DELTA_BYTES, stale_after_days: days} = upgrade
  const identity = identityModes.find((it) => it === top.identity)
  if (top.identity !== undefined && identity === undefined)
    throw invalid(`identity is none of ${identityModes.join(', ')}`)
  if (identity !== undefined && top.binary !== undefined)
    throw invalid('identity is for bundles: one program keeps no Sigstore bundle beside it')
  const restart = top.restart === undefined ? {} : {restart: wordsOf(top.restart, 'restart')}
  const stopped = top.stopped === undefined ? {} : {stopped: wordsOf(top.stopped, 'stopped')}
  return {
    product: textOf(top.product, 'product'),
    ...target,
    ...node,
    profile: profileOf(top.binary),
    ...(top.source === undefined ? {} : {source: sourceOf(top.source)}),
    ...(identity === undefined ? {} : {identity}),
    pollIntervalSecs: numberOf(poll, 'upgrade.poll_interval_secs', 30 * 86_400),
    ...(days === undefined
      ? {}
      : {staleAfterDays: numberOf(days, 'upgrade.stale_after_days', 3650)}),
    ...(rate === undefined
      ? {}
      : {maxBytesPerSec: numberOf(rate, 'upgrade.max_bytes_per_sec', MAX_BYTES_PER_SEC)}),
    deltaMaxBytes: numberOf(delta, 'upgrade.delta_max_bytes', 2 ** 31, 0),
    enabled,
    allowedChannels: wordsOf(channels, 'upgrade.allowed_channels'),
    ...(minVersion === undefined ? {} : {minVersion}),
    policy: known,
    bootHealthWindowSecs: numberOf(window, 'upgrade.boot_health_window_secs', 3600),
    maxBootAttempts: numberOf(attempts, 'upgrade.max_boot_attempts', 100),
    health: healthOf(top.health, numberOf(window, 'upgrade.boot_health_window_secs', 3600)),
    ...restart,
    ...stopped,
  }
}

function documentOf(bytes: Uint8Array): JsonValue {
  try {
    return parseStrictJson(bytes, {bytes: MAX_CONFIG_BYTES, depth: 4})
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    throw new RelError('upgrade_config_invalid', `device.json: ${error.message}`, {cause: error})
  }
}

function profileOf(json: JsonValue | undefined): Profile {
  if (json === undefined) return {kind: 'tree'}
  const {path, component} = objectOf(json, 'binary', ['path', 'component'])
  const absolute = textOf(path, 'binary.path')
  // the guard reads it from a line: one that does not fit there would be found out in a trial
  if (!/^(?:\/(?!\.{1,2}(?:\/|$))[^/\p{Cc}]+)+$/u.test(absolute))
    throw invalid('binary.path is no absolute path of a file')
  return {kind: 'binary', path: absolute, component: textOf(component, 'binary.component')}
}

function sourceOf(json: JsonValue): SourceConfig {
  const keys = ['panel', 'protocol', 'github', 'api', 'component', 'directory']
  const {panel, protocol, github, api, component, directory} = objectOf(json, 'source', keys)
  if ([panel, github, directory].filter((it) => it !== undefined).length !== 1)
    throw invalid('source wants one of panel, github and directory')
  const wanted = component === undefined ? 'bundle' : textOf(component, 'source.component')
  if (panel !== undefined) {
    if (api !== undefined) throw invalid('source.api is for github')
    if (protocol !== undefined && protocol !== 'd0' && protocol !== 'd2')
      throw invalid('source.protocol is neither d0 nor d2')
    const url = addressOf(panel, 'source.panel')
    return {kind: 'panel', url, protocol: protocol ?? 'd0', component: wanted}
  }
  if (protocol !== undefined) throw invalid('source.protocol is for panel')
  if (github !== undefined) {
    const repository = textOf(github, 'source.github')
    if (!/^[A-Za-z0-9-]{1,39}\/[A-Za-z0-9._-]{1,100}$/.test(repository))
      throw invalid('source.github is not OWNER/NAME')
    const base = addressOf(api ?? 'https://api.github.com', 'source.api')
    return {kind: 'github', repository, api: base, component: wanted}
  }
  if (api !== undefined) throw invalid('source.api is for github')
  if (component !== undefined) throw invalid('source.component is not for directory')
  return {kind: 'directory', path: textOf(directory, 'source.directory')}
}

function addressOf(json: JsonValue | undefined, name: string): string {
  const text = textOf(json, name)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol))
    throw invalid(`${name} is no http or https address`)
  if (`${url.username}${url.password}${url.search}${url.hash}` !== '')
    throw invalid(`${name} has a user, a query or a fragment`)
  return url.href.replace(/\/+$/, '')
}

function healthOf(json: JsonValue | undefined, windowSecs: number): HealthConfig {
  const health = objectOf(json, 'health', ['command', 'url', 'version_key', 'process'])
  const {command, url, version_key: versionKey, process} = health
  if ([command, url, process].filter((it) => it !== undefined).length !== 1)
    throw invalid('health wants one of command, url and process')
  if (url === undefined && versionKey !== undefined)
    throw invalid('health.version_key is for a url')
  if (command !== undefined) return {kind: 'command', command: wordsOf(command, 'health.command')}
  if (process !== undefined) return processOf(process, windowSecs)
  const address = textOf(url, 'health.url')
  if (!isLoopback(address)) throw invalid('health.url is not http:// on this machine')
  return {
    kind: 'url',
    url: address,
    ...(versionKey === undefined ? {} : {versionKey: textOf(versionKey, 'health.version_key')}),
  }
}

/** Of systemd.unit(5), without the escapes; no option of systemctl, and no pattern. */
const SERVICE = /^[A-Za-z0-9:_@][A-Za-z0-9:_.@-]{0,240}$/

function processOf(json: JsonValue, windowSecs: number): HealthConfig {
  const name = textOf(json, 'health.process')
  if (!SERVICE.test(name)) throw invalid('health.process is no name of a service')
  // it starts, and then it must stay so
  if (windowSecs < 2 * SETTLE_SECS)
    throw invalid(`health.process wants a boot_health_window_secs of ${2 * SETTLE_SECS} or more`)
  return {kind: 'process', unit: name.endsWith('.service') ? name : `${name}.service`}
}

/** Somebody else's health says nothing of this node. */
function isLoopback(address: string): boolean {
  if (!URL.canParse(address)) return false
  const {protocol, hostname} = new URL(address)
  return protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname)
}

function objectOf(
  json: JsonValue | undefined,
  name: string,
  keys: readonly string[],
): Readonly<Record<string, JsonValue | undefined>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw invalid(`${name} is no object`)
  const unknown = Object.keys(json).find((key) => !keys.includes(key))
  if (unknown !== undefined) throw invalid(`${name} has the unknown key ${unknown}`)
  return json as JsonObject
}

function textOf(json: JsonValue | undefined, name: string): string {
  if (typeof json === 'string' && json !== '' && json.length <= 1024) return json
  throw invalid(`${name} is no text`)
}

function wordsOf(json: JsonValue, name: string): readonly string[] {
  if (!Array.isArray(json) || json.length === 0 || json.length > 64)
    throw invalid(`${name} is no list of words`)
  return json.map((word) => textOf(word, name))
}

function numberOf(json: JsonValue, name: string, most: number, least = 1): number {
  if (Number.isSafeInteger(json) && (json as number) >= least && (json as number) <= most)
    return json as number
  throw invalid(`${name} is not from ${least} to ${most}`)
}

function invalid(what: string): RelError {
  return new RelError('upgrade_config_invalid', what)
}
