import {createPrivateKey, sign} from 'node:crypto'
import {chmodSync, mkdirSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import type {BundleFacts} from '../../src/bundle/build-manifest.ts'
import {applySign, planSign, type Signed} from '../../src/bundle/sign.ts'
import type {VerifyPolicy} from '../../src/bundle/verify-policy.ts'
import {type PublicKey, publicKeyFromRaw} from '../../src/trust/ed25519.ts'
import type {Signer} from '../../src/trust/signer.ts'
import {temporaryFolder} from './tmp.ts'

/** RFC 8410: what precedes the 32 bytes of a private key in PKCS#8. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** A TEST KEY, known to everybody: the private key is 32 times the byte `fill`. */
export function testSigner(fill = 1, maxMessageBytes?: number): Signer {
  const der = Buffer.concat([PKCS8, Buffer.alloc(32, fill)])
  const key = createPrivateKey({key: der, format: 'der', type: 'pkcs8'})
  const jwk = key.export({format: 'jwk'}) as {x: string}
  return {
    publicKey: publicKeyFromRaw(Buffer.from(jwk.x, 'base64url')),
    label: `test key ${fill}`,
    sign: async (message) => sign(null, message, key),
    ...(maxMessageBytes === undefined ? {} : {maxMessageBytes}),
  }
}

export const NOW = 1_800_000_000

/** Trust in these keys for everything, at a fixed time. */
export function policyOf(
  keys: readonly PublicKey[],
  more: Partial<VerifyPolicy> & {readonly threshold?: number} = {},
): VerifyPolicy {
  const {threshold = 1, ...rest} = more
  return {
    trust: {
      checkFresh: () => undefined,
      keysFor: () => ({keys, threshold}),
      checkRevoked: () => undefined,
      nameOf: () => undefined,
    },
    expect: {},
    now: NOW,
    legacy: 'deny',
    ...rest,
  }
}

export const facts: BundleFacts = {
  bundleName: 'edge-agent-v1.4.2',
  product: 'edge-agent',
  version: '1.4.2',
  channel: 'stable',
  timestamp: 1_716_979_200,
  sequence: 42,
  targets: ['linux-arm64'],
  d2: false,
  unicodePaths: false,
}

/** A folder with these files: text, mode 0644 unless the name ends in .sh. */
export function makeTree(files: Readonly<Record<string, string>>): string {
  const root = temporaryFolder()
  for (const [path, text] of Object.entries(files)) addFile(root, path, text)
  return root
}

/** One file more, with the mode a bundle wants. */
export function addFile(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), {recursive: true})
  writeFileSync(join(root, path), text)
  chmodSync(join(root, path), path.endsWith('.sh') ? 0o755 : 0o644)
}

/** Signs a folder with a test key. */
export async function signTree(
  directory: string,
  more: Partial<BundleFacts> = {},
  signer: Signer = testSigner(),
): Promise<Signed> {
  const plan = await planSign({
    directory,
    facts: {...facts, ...more},
    rules: {allowLinks: true, normaliseModes: false},
    legacy: true,
  })
  return applySign(plan, signer)
}

export const d2Files = {
  'main.py': 'print("main")\n',
  'config.toml': 'channel = "stable"\n',
  'adapters/mqtt.py': 'print("mqtt")\n',
  'run.sh': '#!/bin/sh\n',
}
