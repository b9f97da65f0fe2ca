import {execFileSync} from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {Worker} from 'node:worker_threads'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type BundleFacts, buildManifest} from '../../../src/bundle/build-manifest.ts'
import {
  applyCosign,
  applySign,
  planCosign,
  planSign,
  type SignRequest,
} from '../../../src/bundle/sign.ts'
import {verifyBundle} from '../../../src/bundle/verify.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {
  addFile,
  d2Files,
  facts,
  makeTree,
  policyOf,
  signTree,
  testSigner,
} from '../../support/bundles.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

type More = Partial<BundleFacts> & Partial<SignRequest['rules']> & {readonly output?: string}

function request(directory: string, more: More = {}): SignRequest {
  const {allowLinks = false, normaliseModes = false, output, ...rest} = more
  return {
    directory,
    facts: {...facts, ...rest},
    rules: {allowLinks, normaliseModes},
    legacy: true,
    ...(output === undefined ? {} : {output}),
  }
}

const manifestOf = (root: string) => readFileSync(join(root, 'manifest.json'))
const policy = policyOf([testSigner().publicKey])

test('the same input and time give the same bytes, also over an earlier manifest', async () => {
  const root = makeTree(d2Files)
  await signTree(root)
  const first = manifestOf(root)
  await signTree(root)
  assert.equal(manifestOf(root), first)
  const other = makeTree(Object.fromEntries(Object.entries(d2Files).reverse()))
  await signTree(other)
  assert.equal(manifestOf(other), first)
})

test('planning writes nothing', async () => {
  const root = makeTree(d2Files)
  const before = readdirSync(root)
  const plan = await planSign(request(root))
  assert.is(plan.manifest.files.length, 4)
  assert.equal(readdirSync(root), before)
})

const refusals: readonly (readonly [string, ErrorCode, (root: string) => void, More?])[] = [
  ['a link', 'file_not_regular', (root) => symlinkSync('main.py', join(root, 'x'))],
  [
    'a link out, also where links are allowed',
    'link_invalid',
    (root) => symlinkSync('/etc/passwd', join(root, 'x')),
    {allowLinks: true},
  ],
  ['a pipe', 'file_not_regular', (root) => execFileSync('mkfifo', [join(root, 'x')])],
  ['a hard link', 'file_hardlinked', (root) => linkSync(join(root, 'main.py'), join(root, 'x'))],
  ['setuid', 'mode_forbidden', (root) => chmodSync(join(root, 'run.sh'), 0o4755)],
  [
    'a file the group may write',
    'mode_forbidden',
    (root) => chmodSync(join(root, 'main.py'), 0o664),
  ],
  ['a file of mode 0600', 'mode_forbidden', (root) => chmodSync(join(root, 'main.py'), 0o600)],
  ['a case twin', 'path_collision', (root) => addFile(root, 'MAIN.py', 'x')],
  ['a directory twin', 'path_collision', (root) => addFile(root, 'Adapters/x', 'x')],
  ['a Windows device', 'path_not_portable', (root) => addFile(root, 'lib/con.py', 'x')],
  ['a name with a newline', 'path_malformed', (root) => addFile(root, 'a\nb', 'x')],
  ['a name beyond ASCII', 'path_not_ascii', (root) => addFile(root, 'gr\u00fc\u00df.py', 'x')],
  [
    'a decomposed name, also where Unicode is allowed',
    'path_not_normal',
    (root) => addFile(root, 'cafe\u0301', 'x'),
    {unicodePaths: true},
  ],
  [
    'a name that is not UTF-8',
    'path_not_utf8',
    (root) => writeFileSync(Buffer.from(`${root}/x\xff`, 'latin1'), 'x'),
  ],
  ['a spelling of manifest.json', 'path_reserved', (root) => addFile(root, 'Manifest.json', 'x')],
  ['a version with a v', 'version_malformed', () => undefined, {version: 'v1.4.2'}],
  ['a floor above the version', 'usage_invalid', () => undefined, {minVersion: '1.4.3'}],
  ['an expiry in the past', 'usage_invalid', () => undefined, {expires: facts.timestamp}],
  ['a product with a slash', 'usage_invalid', () => undefined, {product: 'a/b'}],
  ['a target twice', 'usage_invalid', () => undefined, {targets: ['a', 'a']}],
]

for (const [name, code, prepare, more] of refusals)
  test(`refuses ${name} with ${code}`, async () => {
    const root = makeTree(d2Files)
    prepare(root)
    await rejectsCode(() => planSign(request(root, more)), code)
    assert.not(existsSync(join(root, 'manifest.json')))
  })

test('nothing is signed whose manifest would be too long to be read again', () => {
  const directory = `${'d'.repeat(250)}/`.repeat(3)
  const files = Array.from({length: 45_000}, (_, at) => ({
    path: `${directory}${at}`,
    sha256: '0'.repeat(64),
    size: 1,
    mode: '0644' as const,
  }))
  throwsCode(() => buildManifest(facts, files, []), 'manifest_limit')
  assert.is(buildManifest(facts, files.slice(0, 1000), []).files.length, 1000)
})

test('an empty directory, and none, are refused', async () => {
  await rejectsCode(() => planSign(request(temporaryFolder())), 'files_empty')
  await rejectsCode(() => planSign(request(join(temporaryFolder(), 'x'))), 'file_missing')
})

test('names beyond ASCII are signed when asked for', async () => {
  const root = makeTree({'gr\u00fc\u00dfe/\u65e5\u672c.txt': 'x', '\u{1f600}': 'y', '\uff61': 'z'})
  await signTree(root, {unicodePaths: true})
  await verifyBundle(root, policy)
})

test('modes are made normal when asked for, and the plan says which', async () => {
  const root = makeTree(d2Files)
  chmodSync(join(root, 'main.py'), 0o664)
  chmodSync(join(root, 'run.sh'), 0o6775)
  const plan = await planSign(request(root, {normaliseModes: true}))
  assert.equal(plan.modeChanges, [
    {path: 'main.py', from: '0664', to: '0644'},
    {path: 'run.sh', from: '6775', to: '0755'},
  ])
  assert.is(statSync(join(root, 'main.py')).mode & 0o7777, 0o664)
  await applySign(plan, testSigner())
  assert.is(statSync(join(root, 'run.sh')).mode & 0o7777, 0o755)
  await verifyBundle(root, policy)
})

test('what an interrupted run left is no part of the bundle, and is swept', async () => {
  const root = makeTree(d2Files)
  const name = '.manifest.json.0123456789abcdef.rel-tmp'
  writeFileSync(join(root, name), 'half')
  const plan = await planSign(request(root))
  assert.ok(existsSync(join(root, name)), 'planning sweeps nothing')
  await applySign(plan, testSigner())
  assert.not(existsSync(join(root, name)))
  await verifyBundle(root, policy)
})

test('the manifest may be kept elsewhere, but inside only under its own name', async () => {
  const root = makeTree(d2Files)
  const output = join(temporaryFolder(), 'edge.json')
  await applySign(await planSign(request(root, {output})), testSigner())
  assert.not(existsSync(join(root, 'manifest.json')))
  assert.ok(existsSync(output))
  await rejectsCode(
    () => planSign(request(root, {output: join(root, 'other.json')})),
    'usage_invalid',
  )
  const inside = join(root, 'adapters/manifest.json')
  await rejectsCode(() => planSign(request(root, {output: inside})), 'usage_invalid')
})

test('a signer that takes short messages only makes no D2 signature, and says so', async () => {
  const root = makeTree(d2Files)
  const signed = await applySign(await planSign(request(root)), testSigner(1, 116))
  assert.is(signed.file.signature, undefined)
  assert.is(signed.warnings.length, 1)
  await verifyBundle(root, policy)
  const d2 = await planSign(request(root, {d2: true}))
  await rejectsCode(() => applySign(d2, testSigner(1, 116)), 'usage_invalid')
})

test('a signer that lies is found out', async () => {
  const root = makeTree(d2Files)
  const liar = {...testSigner(), sign: testSigner(2).sign}
  await rejectsCode(async () => applySign(await planSign(request(root)), liar), 'signature_invalid')
  assert.not(existsSync(join(root, 'manifest.json')))
})

test('a further signature is added to the same content, and once', async () => {
  const root = makeTree(d2Files)
  await signTree(root)
  await applyCosign(await planCosign(root), testSigner(2))
  const both = [testSigner().publicKey, testSigner(2).publicKey]
  await verifyBundle(root, policyOf(both, {threshold: 2}))
  const bytes = manifestOf(root)
  const again = await applyCosign(await planCosign(root), testSigner(2))
  assert.equal(manifestOf(root), bytes)
  assert.is(again.warnings.length, 1)
})

test('what an interrupted run left does not stand in the way of a further signature', async () => {
  const root = makeTree(d2Files)
  await signTree(root)
  const name = '.manifest.json.0123456789abcdef.rel-tmp'
  writeFileSync(join(root, name), 'half')
  await rejectsCode(() => verifyBundle(root, policy), 'file_unlisted')
  await applyCosign(await planCosign(root), testSigner(2))
  assert.not(existsSync(join(root, name)))
  await verifyBundle(root, policy)
})

test('directories that verifying refuses are named, or refused, when signing', async () => {
  const root = makeTree(d2Files)
  chmodSync(join(root, 'adapters'), 0o777)
  const {warnings} = await planSign(request(root))
  assert.match(warnings.join(), /world-writable directories: 1, as adapters/)
  mkdirSync(join(root, 'Adapters'))
  await rejectsCode(() => planSign(request(root)), 'path_collision')
})

test('no further signature on files that are not those of the manifest', async () => {
  const root = makeTree(d2Files)
  await rejectsCode(() => planCosign(root), 'manifest_missing')
  await signTree(root)
  appendFileSync(join(root, 'main.py'), 'x')
  await rejectsCode(() => planCosign(root), 'bundle_mismatch')
})

test('no further signature under a Sigstore bundle, nor on a D2 manifest', async () => {
  for (const name of ['manifest.sig.bundle', 'manifest.json.sigstore.json']) {
    const root = makeTree(d2Files)
    await signTree(root)
    addFile(root, name, '{}')
    await rejectsCode(() => planCosign(root), 'sigstore_bundle_exists')
  }
  const d2 = makeTree(d2Files)
  await signTree(d2, {d2: true})
  await rejectsCode(() => planCosign(d2), 'legacy_refused')
})

/** On a busy machine the other thread may sleep through one attempt, not through all of them. */
async function planUntilRefused(root: string): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) await planSign(request(root))
}

/** What another process does to a tree while it is read, again and again. */
const disturbances: readonly (readonly [string, string])[] = [
  ['rewrites a file that was read first', 'fs.writeFileSync(root + "/a/000", String(n))'],
  ['rewrites the file that is read last', 'fs.writeFileSync(root + "/z/999", String(n))'],
  ['adds and removes a file', 'fs.writeFileSync(root + "/x", ""); fs.unlinkSync(root + "/x")'],
  [
    'replaces a file by one of the same size and time',
    'fs.writeFileSync(root + "/n", String(n).padStart(9)); fs.utimesSync(root + "/n", 1, 1); fs.renameSync(root + "/n", root + "/a/000")',
  ],
]

for (const [name, code] of disturbances)
  test(`refuses with tree_changed while another process ${name}`, async () => {
    const names = Array.from({length: 3000}, (_, at) => `m/${at}`)
    const root = makeTree(
      Object.fromEntries(['a/000', ...names, 'z/999'].map((path) => [path, '123456789'])),
    )
    const flag = new SharedArrayBuffer(8)
    const counts = new Int32Array(flag)
    const source = `const fs = require('node:fs'); const {workerData: {root, flag}} = require('node:worker_threads')
const counts = new Int32Array(flag)
for (let n = 1; Atomics.load(counts, 0) === 0; n++) { ${code}; Atomics.store(counts, 1, n) }`
    const worker = new Worker(source, {eval: true, workerData: {root, flag}})
    try {
      while (Atomics.load(counts, 1) === 0) await new Promise((done) => setTimeout(done, 1))
      await rejectsCode(() => planUntilRefused(root), 'tree_changed')
    } finally {
      Atomics.store(counts, 0, 1)
      await new Promise((done) => worker.once('exit', done))
    }
  })

test('a quiet tree is signed however young its files are', async () => {
  const root = makeTree(d2Files)
  writeFileSync(join(root, 'main.py'), 'just now')
  utimesSync(join(root, 'config.toml'), new Date(), new Date(Date.now() + 3_600_000))
  await signTree(root)
  await verifyBundle(root, policy)
})

test.run()
