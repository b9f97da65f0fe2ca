import {compareVersions} from '../bundle/version.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {isSafeVersion} from './record.ts'
import type {Question} from './source.ts'

/** What the manifest of a release is called: by D1, and by rel release manifest. */
export const releaseNames = ['manifest.json', 'release.json'] as const

/** What a bundle or a release says of itself before anybody has vouched for it. */
export type Claim = {
  readonly kind: 'bundle' | 'release'
  readonly version: string
}

/** The claim of a manifest for a product; undefined for what is not ours, or is no manifest. */
export function claimOf(json: JsonValue, product: string): Claim | undefined {
  const {manifest} = fields(json)
  const {bundle_name: name, version, rel} = fields(manifest)
  if (!isSafeVersion(version)) return undefined
  // D2: the product is a part of the name
  if (rel === undefined)
    return name === `${product}-v${version}` ? {kind: 'bundle', version} : undefined
  const {kind, product: named} = fields(rel)
  if (named !== product || (kind !== 'bundle' && kind !== 'release')) return undefined
  return {kind, version}
}

function fields(json: JsonValue | undefined): Readonly<Record<string, JsonValue | undefined>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return {}
  return json as JsonObject
}

/** Those that a node might go to, highest first, or those of the version that was asked for. */
export function inOrder<T extends {readonly claim: Claim}>(
  found: readonly T[],
  {running, floor, version}: Question,
): readonly T[] {
  return found
    .filter(({claim}) =>
      version === undefined
        ? compareVersions(claim.version, running) > 0 && compareVersions(claim.version, floor) >= 0
        : claim.version === version,
    )
    .toSorted((a, b) => compareVersions(b.claim.version, a.claim.version))
}

/** D4's two words on what a source has, under D4's names. */
export type Availability = {
  readonly versionDifferent: boolean
  readonly updateAvailable: boolean | 'unknown'
}

/**
 * Whether another version is offered, and whether it is an update: that is said of dotted numbers
 * alone, since the order of anything else is a convention.
 */
export function availability(running: string, offered: string | undefined): Availability {
  if (offered === undefined || offered === running)
    return {versionDifferent: false, updateAvailable: false}
  const isPlain = [running, offered].every((version) => /^\d+(?:\.\d+)*$/.test(version))
  return {
    versionDifferent: true,
    updateAvailable: isPlain ? compareVersions(offered, running) > 0 : 'unknown',
  }
}
