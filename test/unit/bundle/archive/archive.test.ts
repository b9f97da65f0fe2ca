import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {chmodSync, readdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gunzipSync, zstdDecompressSync} from 'node:zlib'
import {extract} from 'tar-stream'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ArchiveFormat} from '../../../../src/bundle/archive/decompress.ts'
import {applyPack, planPack} from '../../../../src/bundle/archive/pack.ts'
import {unpackArchive} from '../../../../src/bundle/archive/unpack.ts'
import {
  readManifestOfArchive,
  verifyArchive,
} from '../../../../src/bundle/archive/verify-archive.ts'
import {sidecarNames} from '../../../../src/bundle/manifest.ts'
import {signSidecars} from '../../../../src/bundle/sign-file.ts'
import {verifyBundle} from '../../../../src/bundle/verify.ts'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {testSigner} from '../../../support/anchors.ts'
import {END, fileEntries, manifestEntry, rawEntry} from '../../../support/hostile-tar.ts'
import {needs} from '../../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../../support/rejects.ts'
import {signedTree, treePolicy, writeTree} from '../../../support/signed-tree.ts'
import {temporaryFolder} from '../../../support/tmp.ts'

const longPath = `${'long/'.repeat(25)}${'name'.repeat(40)}`
const tree = await signedTree(
  {
    'main.py': 'print("hello")\n',
    'bin/run': {content: '#!/bin/sh\n', mode: '0755'},
    empty: '',
    block: Buffer.alloc(512, 'b'),
    big: Buffer.alloc(3 * 1024 * 1024 + 17, 'many bytes '),
    [longPath]: 'long',
    'caf\u00e9.txt': 'unicode',
  },
  {current: 'bin/run', 'deep/link': '../main.py'},
)

const formats: readonly ArchiveFormat[] = ['tar', 'tar.gz', 'tar.zst']

function signedFolder(): string {
  const root = join(temporaryFolder(), 'tree')
  writeTree(root, tree)
  return root
}

async function pack(root: string, format: ArchiveFormat, name = `out.${format}`) {
  const output = join(temporaryFolder(), name)
  return {
    output,
    written: await applyPack(planPack({directory: root, output, format, replace: false})),
  }
}

for (const format of formats) {
  test(`${format}: packed, verified and unpacked, a tree is the same`, async () => {
    const root = signedFolder()
    const {output, written} = await pack(root, format)
    const bytes = readFileSync(output)
    assert.is(written.size, bytes.length)
    assert.is(written.sha256, createHash('sha256').update(bytes).digest('hex'))
    const verified = await verifyArchive(output, treePolicy())
    assert.is(verified.source, 'archive')
    assert.is(verified.fileCount, 7)
    assert.ok((await readManifestOfArchive(output)).equals(tree.manifestBytes))
    const target = join(temporaryFolder(), 'unpacked')
    const umask = process.umask(0o077)
    await unpackArchive(output, target, treePolicy()).finally(() => process.umask(umask))
    const listing = (path: string) =>
      execFileSync('find', ['.', '-printf', '%p %y %m %s %l\\n'], {cwd: path})
        .toString()
        .split('\n')
        .filter((line) => !/ d /.test(line))
        .sort()
    assert.equal(listing(target), listing(root))
    execFileSync('diff', ['-r', root, target])
  })

  test(`${format}: the same bundle gives the same bytes`, async () => {
    const [first, second] = [await pack(signedFolder(), format), await pack(signedFolder(), format)]
    assert.equal(first.written, second.written)
    assert.ok(readFileSync(first.output).equals(readFileSync(second.output)))
  })
}

test('the uncompressed tar is the same in every format', async () => {
  const root = signedFolder()
  const [plain, ...compressed] = await Promise.all(
    formats.map(async (format) => readFileSync((await pack(root, format)).output)),
  )
  const [gzip, zstd] = compressed as [Buffer, Buffer]
  assert.ok(gunzipSync(gzip).equals(plain as Buffer))
  assert.ok(zstdDecompressSync(zstd).equals(plain as Buffer))
})

test('tar-stream reads what rel writes, in the order of the manifest', async () => {
  const {output} = await pack(signedFolder(), 'tar')
  const seen: string[] = []
  const reader = extract()
  reader.end(readFileSync(output))
  for await (const entry of reader) {
    const {name, type, mode, uid, gid, size} = entry.header
    seen.push(`${name} ${type} ${mode} ${uid} ${gid} ${size}`)
    entry.resume()
  }
  const files = tree.manifest.files.map(
    ({path, mode, size}) => `${path} file ${Number.parseInt(mode ?? '', 8)} 0 0 ${size}`,
  )
  const links = tree.manifest.rel?.links.map(({path}) => `${path} symlink 511 0 0 0`) ?? []
  assert.equal(seen, [
    `manifest.json file 420 0 0 ${tree.manifestBytes.length}`,
    ...files,
    ...links,
  ])
})

for (const tool of ['tar', 'bsdtar']) {
  if (!needs(tool)) continue
  for (const format of formats) {
    test(`${tool} unpacks the ${format} that rel writes`, async () => {
      const root = signedFolder()
      const {output} = await pack(root, format)
      const target = temporaryFolder()
      execFileSync(tool, ['-xf', output, '-C', target])
      execFileSync('diff', ['-r', root, target])
    })
  }
}

if (needs('tar')) {
  for (const style of ['ustar', 'pax', 'gnu'] as const) {
    test(`an archive made by tar --format=${style} is verified and unpacked`, async () => {
      const simple = await signedTree(
        {'main.py': 'x', 'a/b/c': 'y', [`${'d/'.repeat(20)}${'n'.repeat(90)}`]: 'z'},
        {l: 'main.py'},
      )
      const root = join(temporaryFolder(), 'tree')
      writeTree(root, simple)
      const output = join(temporaryFolder(), 'stock.tar')
      const args = ['-cf', output, `--format=${style}`, '-C', root]
      execFileSync('tar', [...args, 'manifest.json', 'main.py', 'a', 'd', 'l'])
      const target = join(temporaryFolder(), 'unpacked')
      assert.is((await unpackArchive(output, target, treePolicy())).fileCount, 3)
      execFileSync('diff', ['-r', root, target])
      execFileSync('tar', [...args, './manifest.json', './main.py', './a', './d', './l'])
      assert.is((await verifyArchive(output, treePolicy())).fileCount, 3)
    })
  }
}

/** Archives by other writers than GNU tar, of a manifest and one file. */
const writers: Readonly<Record<string, (root: string, output: string) => readonly string[]>> = {
  bsdtar: (root, output) => ['-cf', output, '-C', root, 'manifest.json', 'main.py'],
  python3: (root, output) => [
    '-c',
    `import tarfile, os, sys
os.chdir(sys.argv[1])
for style in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    with tarfile.open(f"{sys.argv[2]}.{style}", "w", format=style) as t:
        t.add("manifest.json"); t.add("main.py")
os.rename(sys.argv[2] + ".0", sys.argv[2])`,
    root,
    output,
  ],
}

for (const [tool, argsOf] of Object.entries(writers)) {
  if (!needs(tool)) continue
  test(`an archive made by ${tool} is verified`, async () => {
    const root = join(temporaryFolder(), 'tree')
    writeTree(root, await signedTree({'main.py': 'x'}))
    const folder = temporaryFolder()
    execFileSync(tool, argsOf(root, join(folder, 'stock.tar')))
    for (const name of readdirSync(folder))
      assert.is((await verifyArchive(join(folder, name), treePolicy())).fileCount, 1)
  })
}

test('times before 1970 and owners beyond octal are taken, as GNU tar writes them', async () => {
  const root = join(temporaryFolder(), 'tree')
  writeTree(root, await signedTree({'main.py': 'x'}))
  const output = join(temporaryFolder(), 'stock.tar')
  const odd = ['--mtime=1960-01-01', '--owner=someone:3000000', '--format=gnu']
  execFileSync('tar', ['-cf', output, ...odd, '-C', root, 'manifest.json', 'main.py'])
  assert.is((await verifyArchive(output, treePolicy())).fileCount, 1)
})

test('the name in a gzip header is as long as a file name can be', async () => {
  const {output} = await pack(signedFolder(), 'tar.gz')
  const bytes = readFileSync(output)
  const named = (length: number) => {
    const head = Buffer.from(bytes.subarray(0, 10))
    head[3] = 8
    writeFileSync(
      output,
      Buffer.concat([head, Buffer.from(`${'n'.repeat(length)}\0`), bytes.subarray(10)]),
    )
  }
  named(255)
  await verifyArchive(output, treePolicy())
  named(256)
  await rejectsCode(() => verifyArchive(output, treePolicy()), 'archive_limit')
})

/** manifest.json as the signer of the tree also signs it for minisign and ssh-keygen. */
async function sidecarsBy(signer: string): Promise<string> {
  const root = signedFolder()
  await signSidecars(join(root, 'manifest.json'), ['minisig', 'sshsig'], testSigner(signer), {
    timestamp: 1,
  })
  return root
}

const others = {'manifest.sig.bundle': '{}', 'manifest.json.sig': '#!/bin/sh\n'}

test('only sidecars that somebody trusted vouches for are unpacked', async () => {
  for (const [signer, kept] of [
    ['archive', ['manifest.json', 'manifest.json.minisig', 'manifest.json.sshsig']],
    ['nobody', ['manifest.json']],
  ] as const) {
    const root = await sidecarsBy(signer)
    for (const [name, text] of Object.entries(others)) writeFileSync(join(root, name), text)
    const {output} = await pack(root, 'tar.zst')
    const target = join(temporaryFolder(), 'out')
    const {leftOut} = await unpackArchive(output, target, treePolicy())
    const found = readdirSync(target).filter((name) => sidecarNames.includes(name))
    assert.equal(found.sort(), kept)
    assert.equal([...leftOut, ...kept].sort(), [
      'manifest.json',
      'manifest.json.minisig',
      'manifest.json.sig',
      'manifest.json.sshsig',
      'manifest.sig.bundle',
    ])
    await verifyBundle(target, treePolicy())
  }
})

test('a sidecar that comes after a file is not unpacked', async () => {
  const root = await sidecarsBy('archive')
  const sidecar = rawEntry({
    name: 'manifest.json.minisig',
    content: readFileSync(join(root, 'manifest.json.minisig')),
  })
  const output = join(temporaryFolder(), 'late.tar')
  const simple = await signedTree({'main.py': 'x'})
  writeFileSync(output, Buffer.concat([manifestEntry(simple), fileEntries(simple), sidecar, END]))
  const target = join(temporaryFolder(), 'out')
  const {leftOut} = await unpackArchive(output, target, treePolicy())
  assert.equal(leftOut, ['manifest.json.minisig'])
  assert.equal(readdirSync(target).sort(), ['main.py', 'manifest.json'])
})

const changes: readonly [string, (root: string) => void, ErrorCode][] = [
  [
    'another content',
    (root) => writeFileSync(join(root, 'main.py'), 'PRINT("hello")\n'),
    'file_digest_mismatch',
  ],
  [
    'another size',
    (root) => writeFileSync(join(root, 'main.py'), 'longer than it was before'),
    'size_mismatch',
  ],
  ['another mode', (root) => chmodSync(join(root, 'main.py'), 0o755), 'mode_mismatch'],
  ['setuid', (root) => chmodSync(join(root, 'main.py'), 0o4644), 'mode_forbidden'],
]

for (const [name, change, code] of changes) {
  test(`a file with ${name} is not packed`, async () => {
    const root = signedFolder()
    change(root)
    const output = join(temporaryFolder(), 'out.tar.zst')
    const plan = planPack({directory: root, output, format: 'tar.zst', replace: false})
    await rejectsCode(() => applyPack(plan), code)
    throwsCode(() => readOnlyCheck(output), 'file_missing')
  })
}

/** Throws file_missing when nothing is at the place of the output nor beside it. */
function readOnlyCheck(output: string): void {
  const left = execFileSync('find', [join(output, '..'), '-type', 'f']).toString()
  assert.is(left, '')
  planPack({directory: output, output: `${output}.tar`, format: 'tar', replace: false})
}

const refusals: readonly [string, (root: string) => void, ErrorCode][] = [
  ['unlisted file', (root) => writeFileSync(join(root, 'more'), ''), 'file_unlisted'],
  ['unlisted link', (root) => symlinkSync('main.py', join(root, 'more')), 'file_unlisted'],
  ['unsigned manifest', (root) => unsign(root), 'signature_missing'],
]

function unsign(root: string): void {
  const path = join(root, 'manifest.json')
  const {manifest} = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(path, JSON.stringify({manifest}))
}

for (const [name, change, code] of refusals) {
  test(`a tree with an ${name} is refused before a file is read`, () => {
    const root = signedFolder()
    change(root)
    const request = {directory: root, output: join(temporaryFolder(), 'o.tar'), replace: false}
    throwsCode(() => planPack({...request, format: 'tar'}), code)
  })
}

test('an output that exists, or lies in the bundle, is refused', () => {
  const root = signedFolder()
  const output = join(temporaryFolder(), 'o.tar')
  writeFileSync(output, 'mine')
  throwsCode(
    () => planPack({directory: root, output, format: 'tar', replace: false}),
    'file_exists',
  )
  throwsCode(
    () => planPack({directory: root, output: join(root, 'o.tar'), format: 'tar', replace: false}),
    'usage_invalid',
  )
})

test('a level that the format does not have is refused', () => {
  const request = {directory: signedFolder(), replace: false, level: 10}
  const output = join(temporaryFolder(), 'o')
  throwsCode(() => planPack({...request, output, format: 'tar.gz'}), 'usage_invalid')
  assert.is(planPack({...request, output, format: 'tar.zst'}).fileCount, 7)
})

test('the format is told by the content, not by the name', async () => {
  const {output} = await pack(signedFolder(), 'tar.zst', 'misnamed.tar.gz')
  assert.is((await verifyArchive(output, treePolicy())).fileCount, 7)
  const other = join(temporaryFolder(), 'text.tar')
  writeFileSync(other, 'no archive at all\n'.repeat(100))
  await rejectsCode(() => verifyArchive(other, treePolicy()), 'archive_unrecognised')
})

test('what the policy expects is compared with what is signed', async () => {
  const {output} = await pack(signedFolder(), 'tar.zst')
  const policy = treePolicy({expect: {version: '9.9.9'}})
  await rejectsCode(() => verifyArchive(output, policy), 'version_mismatch')
})

test.run()
