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

/** device.json (docs/formats/device-state.md), in camelCase. */
export type DeviceConfig = {
  readonly product: string
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

const topKeys = ['spec', 'product', 'target', 'upgrade', 'health', 'restart', 'stopped']
const upgradeKeys = [
  'enabled',
  'allowed_channels',
  'min_version',
  'policy',
  'boot_health_window_secs',
  'max_boot_attempts',
]

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
  const restart = top.restart === undefined ? {} : {restart: wordsOf(top.restart, 'restart')}
  const stopped = top.stopped === undefined ? {} : {stopped: wordsOf(top.stopped, 'stopped')}
  return {
    product: textOf(top.product, 'product'),
    ...target,
    enabled,
    allowedChannels: wordsOf(channels, 'upgrade.allowed_channels'),
    ...(minVersion === undefined ? {} : {minVersion}),
    policy: known,
    bootHealthWindowSecs: numberOf(window, 'upgrade.boot_health_window_secs', 3600),
    maxBootAttempts: numberOf(attempts, 'upgrade.max_boot_attempts', 100),
    health: healthOf(top.health),
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

function healthOf(json: JsonValue | undefined): HealthConfig {
  const health = objectOf(json, 'health', ['command', 'url', 'version_key'])
  const {command, url, version_key: versionKey} = health
  if ((command === undefined) === (url === undefined))
    throw invalid('health wants either command or url')
  if (command !== undefined) {
    if (versionKey !== undefined) throw invalid('health.version_key is for a url')
    return {kind: 'command', command: wordsOf(command, 'health.command')}
  }
  const address = textOf(url, 'health.url')
  if (!isLoopback(address)) throw invalid('health.url is not http:// on this machine')
  return {
    kind: 'url',
    url: address,
    ...(versionKey === undefined ? {} : {versionKey: textOf(versionKey, 'health.version_key')}),
  }
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

function numberOf(json: JsonValue, name: string, most: number): number {
  if (Number.isSafeInteger(json) && (json as number) >= 1 && (json as number) <= most)
    return json as number
  throw invalid(`${name} is not from 1 to ${most}`)
}

function invalid(what: string): RelError {
  return new RelError('upgrade_config_invalid', what)
}
