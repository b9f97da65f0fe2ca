import type {License, LicenseFile} from '../../src/release/license.ts'
import {issueLicense} from '../../src/release/license-file.ts'
import type {Release, ReleaseArtifact, ReleaseFile, Slot} from '../../src/release/release.ts'
import {signRelease} from '../../src/release/release-manifest.ts'
import {channelOf} from '../../src/release/version.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {testNow, testSigner} from './anchors.ts'

/** The matrix of the tests: 2 components, 4 machines. */
export const testSlots: readonly Slot[] = ['agent', 'cli'].flatMap((component) =>
  ['linux/amd64', 'linux/arm64', 'linux/arm', 'darwin/arm64'].map((machine) => {
    const [os = '', arch = ''] = machine.split('/')
    return {component, os, arch}
  }),
)

/** Bytes that a test artifact has. */
export function testBytes(name: string, version: string): Buffer {
  return Buffer.from(`${name} of ${version}\n`.repeat(100))
}

/** An artifact over bytes, signed by a test key. */
export async function testArtifact(
  slot: Slot,
  name: string,
  bytes: Uint8Array,
  by = 'artifact',
): Promise<ReleaseArtifact> {
  const signer = testSigner(by)
  const signature = Buffer.from(await signer.sign(bytes)).toString('base64')
  return {
    name,
    ...slot,
    size: bytes.length,
    sha256: sha256Hex(bytes),
    signature,
    keyId: signer.publicKey.keyId,
    required: true,
  }
}

export type ReleaseInput = Partial<Omit<Release, 'artifacts'>> & {
  readonly slots?: readonly Slot[]
  readonly manifestKey?: string
  readonly artifactKey?: string
}

/** A signed release of `edge-agent` with one artifact a slot. */
export async function testRelease(input: ReleaseInput = {}): Promise<ReleaseFile> {
  const {slots = testSlots.slice(0, 2), manifestKey = 'manifest', artifactKey, ...given} = input
  const version = given.version ?? '1.4.2'
  const artifacts = await Promise.all(
    slots.map((slot) => {
      const name = `${slot.component}-${slot.os}-${slot.arch}`
      return testArtifact(slot, name, testBytes(name, version), artifactKey)
    }),
  )
  const release: Release = {
    product: 'edge-agent',
    version,
    channel: channelOf(version),
    timestamp: testNow,
    ...given,
    artifacts,
  }
  return signRelease(release, testSigner(manifestKey))
}

/** What a licence of the tests says unless told otherwise. */
export const testLicense: License = {
  id: '01JD0000000000000000000000',
  product: 'edge-agent',
  customer: 'Acme GmbH',
  track: 'stable',
  entitlements: [],
  issued: testNow - 86_400,
  expires: testNow + 30 * 86_400,
  serial: 1,
}

/** A licence signed by a test key. */
export async function signedLicense(
  change: Partial<License> = {},
  by = 'license',
): Promise<LicenseFile> {
  return issueLicense({...testLicense, ...change}, testSigner(by))
}
