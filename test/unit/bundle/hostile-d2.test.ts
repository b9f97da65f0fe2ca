import {spawnSync} from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {verifyBundle} from '../../../src/bundle/verify.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {canonicalJson} from '../../../src/trust/canonical-json.ts'
import {addFile, d2Files, makeTree, policyOf, signTree, testSigner} from '../../support/bundles.ts'
import {needs, needsThat} from '../../support/needs.ts'
import {rejectsCode} from '../../support/rejects.ts'

const REPLICA = join(import.meta.dirname, '../../support/d2/d2-verifier-replica.py')
const key = testSigner()
const policy = policyOf([key.publicKey], {legacy: 'allow'})

type Wire = {
  manifest: {files?: Record<string, string>} & Record<string, unknown>
  signature?: string
}

function edit(root: string, change: (wire: Wire) => void): void {
  const path = join(root, 'manifest.json')
  const wire = JSON.parse(readFileSync(path, 'utf8')) as Wire
  change(wire)
  writeFileSync(path, JSON.stringify(wire))
}

/** As a signer would who was talked into it: the hostile manifest carries a good signature. */
async function resign(root: string): Promise<void> {
  const path = join(root, 'manifest.json')
  const wire = JSON.parse(readFileSync(path, 'utf8')) as Wire
  const message = Buffer.from(canonicalJson(wire.manifest as never))
  const signature = Buffer.from(await key.sign(message)).toString('base64')
  writeFileSync(path, JSON.stringify({...wire, signature}))
}

const outside = {path: '', digest: ''}

/** The ten hostile bundles that D2's own verifier accepts. */
const hostile: readonly (readonly [string, ErrorCode, (root: string) => void | Promise<void>])[] = [
  [
    'a garbage signature',
    'signature_invalid',
    (root) => edit(root, (wire) => (wire.signature = Buffer.alloc(64, 7).toString('base64'))),
  ],
  ['no signature', 'signature_missing', (root) => edit(root, (wire) => delete wire.signature)],
  [
    'no list of files',
    'files_missing',
    (root) => {
      edit(root, (wire) => delete wire.manifest.files)
      return resign(root)
    },
  ],
  [
    'an empty list of files',
    'files_empty',
    (root) => {
      edit(root, (wire) => (wire.manifest.files = {}))
      return resign(root)
    },
  ],
  [
    'a path that climbs out',
    'path_traversal',
    (root) => {
      edit(root, ({manifest}) =>
        Object.assign(manifest.files ?? {}, {'../outside': outside.digest}),
      )
      return resign(root)
    },
  ],
  [
    'an absolute path',
    'path_absolute',
    (root) => {
      edit(root, ({manifest}) =>
        Object.assign(manifest.files ?? {}, {[outside.path]: outside.digest}),
      )
      return resign(root)
    },
  ],
  [
    'a link out of the bundle',
    'file_not_regular',
    (root) => {
      unlinkSync(join(root, 'main.py'))
      symlinkSync(outside.path, join(root, 'main.py'))
      edit(root, ({manifest}) => Object.assign(manifest.files ?? {}, {'main.py': outside.digest}))
      return resign(root)
    },
  ],
  [
    'a key given twice',
    'json_duplicate_key',
    (root) => {
      const path = join(root, 'manifest.json')
      const text = readFileSync(path, 'utf8')
      writeFileSync(path, text.replace('"files": {', '"files": {"evil.py": "00"}, "files": {'))
    },
  ],
  [
    'an unlisted file that Python runs at its start',
    'file_unlisted',
    (root) => addFile(root, 'sitecustomize.py', 'import os'),
  ],
  ['a setuid file', 'mode_forbidden', (root) => chmodSync(join(root, 'run.sh'), 0o4755)],
]

async function hostileBundle(prepare: (root: string) => void | Promise<void>): Promise<string> {
  const root = join(makeTree(prefixed()), 'bundle')
  outside.path = join(dirname(root), 'outside')
  outside.digest = sha256Hex(readFileSync(outside.path))
  await signTree(root, {d2: true})
  await verifyBundle(root, policy)
  await prepare(root)
  return root
}

function prefixed(): Record<string, string> {
  const files = Object.entries(d2Files).map(([path, text]) => [`bundle/${path}`, text])
  return {...Object.fromEntries(files), outside: 'a file beside the bundle\n'}
}

/** Everything that a run could have changed. */
function snapshot(folder: string): string[] {
  return (readdirSync(folder, {recursive: true}) as string[]).sort().map((path) => {
    const stat = lstatSync(join(folder, path))
    const content = stat.isFile() ? sha256Hex(readFileSync(join(folder, path))) : ''
    return `${path} ${stat.mode} ${stat.size} ${stat.mtimeMs} ${content}`
  })
}

for (const [name, code, prepare] of hostile)
  test(`refuses ${name} with ${code}, and touches nothing`, async () => {
    const root = await hostileBundle(prepare)
    const before = snapshot(dirname(root))
    await rejectsCode(() => verifyBundle(root, policy), code)
    assert.equal(snapshot(dirname(root)), before)
  })

test('the ten codes are ten', () => {
  assert.is(new Set(hostile.map(([, code]) => code)).size, 10)
})

function replica(...args: readonly string[]): {status: number | null; said: string} {
  const {status, stdout} = spawnSync('python3', [REPLICA, ...args], {encoding: 'utf8'})
  return {status, said: stdout.trim()}
}

if (needs('python3')) {
  test('D2’s own procedure accepts what rel signs, with and without a rel section', async () => {
    for (const d2 of [true, false]) {
      const root = makeTree(d2Files)
      await signTree(root, {d2})
      assert.equal(replica(root), {status: 0, said: 'accepted'})
    }
  })

  test('D2’s own procedure accepts the ten hostile bundles: they are the real thing', async () => {
    for (const [name, , prepare] of hostile) {
      const root = await hostileBundle(prepare)
      assert.is(replica(root).said, 'accepted', name)
    }
  })
}

const cryptography = spawnSync('python3', ['-c', 'import cryptography']).status === 0

if (needsThat('python3-cryptography', cryptography, 'apt-get install python3-cryptography'))
  test('Python’s cryptography verifies the D2 signature over its own canonical form', async () => {
    const hex = Buffer.from(key.publicKey.raw).toString('hex')
    for (const d2 of [true, false]) {
      const root = makeTree(d2Files)
      await signTree(root, {d2})
      assert.equal(replica(root, hex), {status: 0, said: 'accepted'})
      edit(root, ({manifest}) => (manifest.version = '1.4.3'))
      assert.is(replica(root, hex).status, 1)
    }
    assert.ok(existsSync(REPLICA))
  })

test.run()
