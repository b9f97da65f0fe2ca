import {createPrivateKey, createPublicKey, sign} from 'node:crypto'
import {sha512} from '../../src/system/hash.ts'
import type {Anchor, AnchorFile, AnchorKey} from '../../src/trust/anchor.ts'
import {parseAnchor} from '../../src/trust/anchor-parse.ts'
import {type FirstGrant, planFirst} from '../../src/trust/anchor-plan.ts'
import {anchorJson, anchorText} from '../../src/trust/anchor-write.ts'
import {canonicalJson} from '../../src/trust/canonical-json.ts'
import {publicKeyFromRaw} from '../../src/trust/ed25519.ts'
import {addSignature} from '../../src/trust/envelope.ts'
import type {Signer} from '../../src/trust/signer.ts'

/** 2026-01-01: the time at which the tests take place. */
export const testNow = 1_767_225_600

/** RFC 8410: the DER in front of the 32 private bytes. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** A signer with a key made from a name, the same on every run. */
export function testSigner(name: string): Signer {
  const secret = sha512(`test key ${name}`).subarray(0, 32)
  const pkcs8 = Buffer.concat([PKCS8_PREFIX, secret])
  const object = createPrivateKey({key: pkcs8, format: 'der', type: 'pkcs8'})
  const spki = createPublicKey(object).export({format: 'der', type: 'spki'})
  return {
    publicKey: publicKeyFromRaw(spki.subarray(-32)),
    label: name,
    sign: async (message) => sign(null, message, object),
  }
}

/** The key of a test signer as an anchor holds it. */
export function testKey(name: string): AnchorKey {
  return {publicKey: testSigner(name).publicKey, name}
}

export type TestGrant = Pick<FirstGrant, 'role' | 'products' | 'channels'> & {
  readonly keys: readonly string[]
  readonly threshold?: number
}

/** Version 1 of an anchor that expires 90 days after testNow. */
export function testAnchor(...grants: readonly TestGrant[]): Anchor {
  const first = grants.map(({keys, threshold = 1, ...grant}) => ({
    ...grant,
    threshold,
    keys: keys.map(testKey),
  }))
  return planFirst(first, testNow + 90 * 86_400)
}

/** The bytes of trust.json, signed by those named. */
export async function signedAnchor(anchor: Anchor, ...signers: readonly string[]): Promise<Buffer> {
  const canonical = canonicalJson(anchorJson(anchor))
  let signatures: AnchorFile['signatures'] = []
  for (const name of signers)
    signatures = await addSignature('trust', canonical, signatures, testSigner(name))
  return Buffer.from(anchorText({anchor, signatures}))
}

/** signedAnchor, read back. */
export async function anchorFile(
  anchor: Anchor,
  ...signers: readonly string[]
): Promise<AnchorFile> {
  return parseAnchor(await signedAnchor(anchor, ...signers))
}
