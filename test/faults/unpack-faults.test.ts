import {execFileSync, spawn} from 'node:child_process'
import {once} from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {applyPack, planPack} from '../../src/bundle/archive/pack.ts'
import {unpackArchive} from '../../src/bundle/archive/unpack.ts'
import {needs, needsThat} from '../support/needs.ts'
import {rejectsCode} from '../support/rejects.ts'
import {signedTree, treePolicy, writeTree} from '../support/signed-tree.ts'
import {temporaryFolder} from '../support/tmp.ts'

const many = Object.fromEntries(
  Array.from({length: 400}, (_, at) => [`d${at % 7}/f${at}`, `${at} `.repeat(3000)]),
)
const tree = await signedTree(many)

async function packed(): Promise<{around: string; root: string; archive: string}> {
  const around = temporaryFolder()
  const root = join(around, 'tree')
  writeTree(root, tree)
  const archive = join(around, 'bundle.tar.zst')
  await applyPack(planPack({directory: root, output: archive, format: 'tar.zst', replace: false}))
  return {around, root, archive}
}

const unpackScript = (archive: string, target: string) => `
  import {unpackArchive} from ${JSON.stringify(join(process.cwd(), 'src/bundle/archive/unpack.ts'))}
  import {treePolicy} from ${JSON.stringify(join(process.cwd(), 'test/support/signed-tree.ts'))}
  await unpackArchive(${JSON.stringify(archive)}, ${JSON.stringify(target)}, treePolicy())
`

test('killed at any moment, the target is absent or complete, and the next run sweeps', async () => {
  const {around, root, archive} = await packed()
  const target = join(around, 'out')
  let killed = 0
  for (let waitMs = 0; waitMs < 40; waitMs += 4) {
    const args = ['--input-type=module-typescript', '-e', unpackScript(archive, target)]
    const child = spawn(process.execPath, args, {stdio: 'ignore'})
    const exited = once(child, 'exit')
    while (!isStaging(around) && !existsSync(target) && child.exitCode === null) await sleep(1)
    await sleep(waitMs)
    child.kill('SIGKILL')
    await exited
    if (existsSync(target)) execFileSync('diff', ['-r', root, target])
    else killed++
    execFileSync('rm', ['-rf', target])
  }
  assert.ok(killed > 0, 'no run was killed while it was unpacking')
  await unpackArchive(archive, target, treePolicy())
  execFileSync('diff', ['-r', root, target])
  assert.not.ok(isStaging(around))
})

function isStaging(folder: string): boolean {
  return readdirSync(folder).some((name) => name.endsWith('.rel-unpack'))
}

test('only our own leftovers are swept', async () => {
  const {around, archive} = await packed()
  const kept = [
    `.out.${process.pid}.0123456789abcdef.rel-unpack`, // of a process that is alive
    '.other.999999999.0123456789abcdef.rel-unpack',
    '.out.999999999.0123.rel-unpack',
  ]
  for (const name of kept) makeStaging(join(around, name))
  const stale = '.out.999999999.0123456789abcdef.rel-unpack'
  makeStaging(join(around, stale))
  await unpackArchive(archive, join(around, 'out'), treePolicy())
  for (const name of kept) assert.ok(existsSync(join(around, name)), name)
  assert.not.ok(existsSync(join(around, stale)))
})

/** What a killed run leaves. */
function makeStaging(path: string): void {
  mkdirSync(join(path, 'tree'), {recursive: true})
  writeFileSync(join(path, 'tree', 'half'), 'x')
  writeFileSync(join(path, 'made-by-rel-unpack'), '')
  chmodSync(path, 0o700)
}

/** Directories of ours to which somebody else has given the name of a leftover. */
const renamed: readonly [string, (path: string) => void][] = [
  ['without the marker', (path) => unlinkSync(join(path, 'made-by-rel-unpack'))],
  ['that others may enter', (path) => chmodSync(path, 0o755)],
  ['with a link for a marker', (path) => linkMarker(path)],
]

function linkMarker(path: string): void {
  unlinkSync(join(path, 'made-by-rel-unpack'))
  symlinkSync('/etc/passwd', join(path, 'made-by-rel-unpack'))
}

for (const [how, change] of renamed)
  test(`a directory ${how} is not swept, whatever its name`, async () => {
    const {around, archive} = await packed()
    const path = join(around, '.out.999999999.0123456789abcdef.rel-unpack')
    makeStaging(path)
    change(path)
    await unpackArchive(archive, join(around, 'out'), treePolicy())
    assert.ok(existsSync(join(path, 'tree', 'half')))
  })

test('packing sweeps what killed runs for the same archive have left, and nothing else', async () => {
  const {around, root} = await packed()
  const ours = '.b.tar.999999999.0123456789abcdef.rel-tmp'
  const kept = [
    `.b.tar.${process.pid}.0123456789abcdef.rel-tmp`,
    '.c.tar.999999999.0123456789abcdef.rel-tmp',
    '.b.tar.999999999.0123.rel-tmp',
    '.b.tar.999999998.0123456789abcdef.rel-tmp',
  ]
  for (const name of [ours, ...kept.slice(0, 3)]) writeFileSync(join(around, name), 'half')
  mkdirSync(join(around, kept[3] as string))
  const output = join(around, 'b.tar')
  await applyPack(planPack({directory: root, output, format: 'tar', replace: false}))
  assert.not.ok(existsSync(join(around, ours)))
  for (const name of kept) assert.ok(existsSync(join(around, name)), name)
})

test('a killed run of packing leaves a name that the next one sweeps', async () => {
  const {around, root} = await packed()
  const output = join(around, 'b.tar.gz')
  const isWriting = () => readdirSync(around).some((name) => name.endsWith('.rel-tmp'))
  const script = `
    import {applyPack, planPack} from ${JSON.stringify(join(process.cwd(), 'src/bundle/archive/pack.ts'))}
    const plan = {directory: ${JSON.stringify(root)}, output: ${JSON.stringify(output)}, format: 'tar.gz', replace: true}
    for (;;) await applyPack(planPack(plan))
  `
  const args = ['--input-type=module-typescript', '-e', script]
  // a kill may come between two archives
  for (let attempt = 0; attempt < 20 && !isWriting(); attempt++) {
    const child = spawn(process.execPath, args, {stdio: 'ignore'})
    const exited = once(child, 'exit')
    while (!isWriting() && child.exitCode === null) await sleep(1)
    child.kill('SIGKILL')
    await exited
  }
  assert.ok(isWriting(), 'no run was killed while it was packing')
  await applyPack(planPack({directory: root, output, format: 'tar.gz', replace: true}))
  assert.not.ok(isWriting())
})

test('a target that exists in any form is refused', async () => {
  const {around, archive} = await packed()
  for (const [name, make] of Object.entries({
    directory: (path: string) => mkdirSync(path),
    file: (path: string) => writeFileSync(path, ''),
    'dangling link': (path: string) => symlinkSync('/nowhere', path),
  })) {
    make(join(around, name))
    await rejectsCode(() => unpackArchive(archive, join(around, name), treePolicy()), 'file_exists')
  }
  assert.not.ok(isStaging(around))
})

test('a target without a parent, and an archive that is not there, are refused', async () => {
  const {around, archive} = await packed()
  const nowhere = join(around, 'no', 'out')
  await rejectsCode(() => unpackArchive(archive, nowhere, treePolicy()), 'file_missing')
  const missing = join(around, 'missing.tar')
  await rejectsCode(() => unpackArchive(missing, join(around, 'out'), treePolicy()), 'file_missing')
  await rejectsCode(
    () => unpackArchive(around, join(around, 'out'), treePolicy()),
    'archive_unrecognised',
  )
  assert.equal(readdirSync(around).sort(), ['bundle.tar.zst', 'tree'])
})

test('the unpacked directory is 0755 and was private before', async () => {
  const {around, archive} = await packed()
  const umask = process.umask(0o077)
  await unpackArchive(archive, join(around, 'out'), treePolicy()).finally(() =>
    process.umask(umask),
  )
  assert.is(statSync(join(around, 'out')).mode & 0o7777, 0o755)
  assert.is(statSync(join(around, 'out', 'd1')).mode & 0o7777, 0o755)
})

const isRoot = process.getuid?.() === 0

if (needsThat('a small file system', isRoot && canMount(), 'mounting a tmpfs needs root')) {
  test('a full disk leaves nothing, when unpacking and when packing', async () => {
    const {root, archive} = await packed()
    const small = temporaryFolder()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', small])
    try {
      await rejectsCode(() => unpackArchive(archive, join(small, 'out'), treePolicy()), 'disk_full')
      assert.equal(readdirSync(small), [])
      for (const format of ['tar', 'tar.gz', 'tar.zst'] as const) {
        const output = join(small, `o.${format}`)
        writeFileSync(join(small, 'fill'), Buffer.alloc(248 * 1024))
        const plan = planPack({directory: root, output, format, level: 1, replace: false})
        await rejectsCode(() => applyPack(plan), 'disk_full')
        assert.equal(readdirSync(small), ['fill'])
      }
    } finally {
      execFileSync('umount', [small])
    }
  })
}

function canMount(): boolean {
  const probe = temporaryFolder()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', probe], {stdio: 'ignore'})
    execFileSync('umount', [probe])
    return true
  } catch {
    return false
  }
}

if (needs('setpriv') && needsThat('capabilities', isRoot, 'giving up capabilities needs root')) {
  test('an unreadable archive and an unwritable parent are refused with their codes', async () => {
    const {around, archive} = await packed()
    chmodSync(archive, 0o000)
    chmodSync(around, 0o555)
    const script = `
      import {RelError} from ${JSON.stringify(join(process.cwd(), 'src/system/error.ts'))}
      ${unpackScript(archive, join(around, 'out')).replace('await unpackArchive', 'const run = () => unpackArchive')}
      try { await run() } catch (error) { console.log(error.code) }
    `
    // root without its capabilities is an owner like any other: permissions count
    const bare = ['--bounding-set=-all', '--inh-caps=-all', process.execPath]
    const args = [...bare, '--input-type=module-typescript', '-e', script]
    const run = () => execFileSync('setpriv', args).toString().trim()
    assert.is(run(), 'write_failed')
    chmodSync(around, 0o755)
    assert.is(run(), 'file_unreadable')
    assert.not.ok(isStaging(around))
  })
}

test.run()
