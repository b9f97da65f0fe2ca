import {writeFileSync} from 'node:fs'
import {type GrantFile, type RollbackGrant, signGrant} from '../../../src/device/grant.ts'
import {signedAnchor, type TestGrant, testAnchor, testNow, testSigner} from '../anchors.ts'
import {deviceAt, type FakeWorld, installOne, makeSources, type Sources} from './node.ts'

/** A grant of the test node from 1.1.0 to 1.0.0 for an hour. */
export const testGrant: RollbackGrant = {
  product: 'app',
  from: '1.1.0',
  to: '1.0.0',
  nodes: ['berlin-7'],
  notAfter: testNow + 3600,
  nonce: '0'.repeat(32),
}

/** A grant signed by test keys. */
export async function signedGrant(
  change: Partial<RollbackGrant> = {},
  ...signers: readonly string[]
): Promise<GrantFile> {
  const grant = {...testGrant, ...change}
  let signatures: GrantFile['signatures'] = []
  for (const name of signers.length === 0 ? ['rollback'] : signers)
    ({signatures} = await signGrant(grant, testSigner(name), signatures))
  return signGrant(grant, testSigner(signers[0] ?? 'rollback'), signatures)
}

/** Sources whose anchor has rollback keys as well. */
export async function grantSources(
  rollback: Omit<TestGrant, 'role'>,
  ...versions: readonly string[]
): Promise<Sources> {
  const sources = await makeSources(...versions)
  const trust = testAnchor(
    {role: 'root', keys: ['root']},
    {role: 'manifest', keys: ['archive']},
    {role: 'rollback', ...rollback},
  )
  writeFileSync(sources.anchor, await signedAnchor(trust, 'root'))
  return sources
}

/** A node called berlin-7 that runs 1.0.0. */
export async function namedNode(root: string, sources: Sources, fake: FakeWorld = {}) {
  const device = deviceAt(root, fake, {node: 'berlin-7'})
  await installOne(device, sources)
  return device
}
