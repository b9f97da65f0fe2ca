import {createHash} from 'node:crypto'
import {chmodSync, mkdirSync, symlinkSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import type {BundleManifest, LinkEntry} from '../../src/bundle/manifest.ts'
import type {TrustSource, VerifyPolicy} from '../../src/bundle/verify-policy.ts'
import {canonicalManifest, manifestJson} from '../../src/bundle/write-manifest.ts'
import {addSignature} from '../../src/trust/envelope.ts'
import {testNow, testSigner} from './anchors.ts'

export type TreeFile = {readonly content: string | Buffer; readonly mode?: '0644' | '0755'}
export type TreeFiles = Readonly<Record<string, string | Buffer | TreeFile>>

/** A bundle in memory: what would be on disk, with its signed manifest.json. */
export type SignedTree = {
  readonly manifest: BundleManifest
  readonly manifestBytes: Buffer
  readonly files: ReadonlyMap<string, {readonly content: Buffer; readonly mode: '0644' | '0755'}>
  readonly links: readonly LinkEntry[]
}

const SIGNER = 'archive'

/** Signs files given by content, without a directory. */
export async function signedTree(
  input: TreeFiles,
  links: Readonly<Record<string, string>> = {},
  change: (manifest: BundleManifest) => BundleManifest = (manifest) => manifest,
): Promise<SignedTree> {
  const files = new Map(Object.entries(input).map(([path, value]) => [path, fileOf(value)]))
  const paths = [...files.keys()].sort()
  const entries = paths.map((path) => {
    const {content, mode} = files.get(path) ?? fileOf('')
    const sha256 = createHash('sha256').update(content).digest('hex')
    return {path, sha256, size: content.length, mode}
  })
  const listed = Object.entries(links).map(([path, target]) => ({path, target}))
  const manifest = change({
    bundleName: 'app-v1.4.2',
    version: '1.4.2',
    timestamp: testNow - 60,
    files: entries,
    rel: {
      spec: 1,
      kind: 'bundle',
      product: 'app',
      channel: 'stable',
      sequence: 1,
      targets: [],
      totalSize: entries.reduce((sum, {size}) => sum + size, 0),
      links: listed.sort((a, b) => (a.path < b.path ? -1 : 1)),
      extensions: {},
    },
  })
  const signatures = await addSignature(
    'manifest',
    [...canonicalManifest(manifest)],
    [],
    testSigner(SIGNER),
  )
  const manifestBytes = Buffer.from([...manifestJson({manifest, signatures})].join(''))
  return {manifest, manifestBytes, files, links: listed}
}

function fileOf(value: string | Buffer | TreeFile): {content: Buffer; mode: '0644' | '0755'} {
  const isPlain = typeof value === 'string' || Buffer.isBuffer(value)
  const {content, mode = '0644'}: TreeFile = isPlain ? {content: value} : value
  return {content: Buffer.from(content), mode}
}

/** Writes a signed tree to disk, manifest.json included. */
export function writeTree(root: string, {files, links, manifestBytes}: SignedTree): void {
  mkdirSync(root, {recursive: true})
  for (const [path, {content, mode}] of files) {
    const absolute = join(root, path)
    mkdirSync(dirname(absolute), {recursive: true})
    writeFileSync(absolute, content)
    chmodSync(absolute, Number.parseInt(mode, 8))
  }
  for (const {path, target} of links) {
    mkdirSync(dirname(join(root, path)), {recursive: true})
    symlinkSync(target, join(root, path))
  }
  writeFileSync(join(root, 'manifest.json'), manifestBytes)
  chmodSync(join(root, 'manifest.json'), 0o644)
}

/** Trusts the signer of signedTree, at the time of the tests. */
export function treePolicy(change: Partial<VerifyPolicy> = {}): VerifyPolicy {
  const trust: TrustSource = {
    checkFresh: () => undefined,
    keysFor: () => ({keys: [testSigner(SIGNER).publicKey], threshold: 1}),
    checkRevoked: () => undefined,
    nameOf: () => undefined,
  }
  return {trust, expect: {}, now: testNow, legacy: 'deny', ...change}
}
