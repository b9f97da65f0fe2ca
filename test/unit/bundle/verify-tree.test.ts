import {execFileSync} from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {listTree} from '../../../src/bundle/scan.ts'
import {verifyBundle} from '../../../src/bundle/verify.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {RelError} from '../../../src/system/error.ts'
import {addFile, d2Files, makeTree, policyOf, signTree, testSigner} from '../../support/bundles.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const policy = policyOf([testSigner().publicKey])
const verify = (root: string) => verifyBundle(root, policy)

async function bundle(): Promise<string> {
  const root = makeTree({...d2Files, 'lib/deep/er/data.bin': 'x'.repeat(5000), 'empty.txt': ''})
  symlinkSync('mqtt.py', join(root, 'adapters/current.py'))
  await signTree(root)
  return root
}

/** A change to one path of a bundle, its code, and the way back. */
type Mutation = {
  readonly name: string
  readonly code: ErrorCode
  readonly apply: (root: string, path: string) => () => void
}

const mutations: readonly Mutation[] = [
  {name: 'flips a bit', code: 'file_digest_mismatch', apply: rewrite(flipBit)},
  {
    name: 'appends',
    code: 'size_mismatch',
    apply: rewrite((data) => Buffer.concat([data, Buffer.from('x')])),
  },
  {name: 'truncates', code: 'size_mismatch', apply: rewrite((data) => data.subarray(1))},
  {name: 'removes', code: 'file_absent', apply: moveAway},
  {name: 'renames', code: 'file_absent', apply: moveTo((path) => `${path}.old`)},
  {name: 'makes it runnable or not', code: 'mode_mismatch', apply: chmod((mode) => mode ^ 0o111)},
  {name: 'lets the group write', code: 'mode_mismatch', apply: chmod((mode) => mode | 0o020)},
  {name: 'lets everybody write', code: 'mode_forbidden', apply: chmod((mode) => mode | 0o002)},
  {name: 'sets setuid', code: 'mode_forbidden', apply: chmod((mode) => mode | 0o4000)},
  {name: 'sets setgid', code: 'mode_forbidden', apply: chmod((mode) => mode | 0o2000)},
  {name: 'sets sticky', code: 'mode_forbidden', apply: chmod((mode) => mode | 0o1000)},
  {name: 'hard-links out', code: 'file_hardlinked', apply: hardLink},
  {name: 'replaces by a link to a copy', code: 'file_not_regular', apply: symbolicLink},
  {name: 'replaces by a directory', code: 'file_not_regular', apply: directory},
  {name: 'adds beside', code: 'file_unlisted', apply: addBeside((path) => `${path}~`)},
  {name: 'adds a case twin', code: 'file_unlisted', apply: addBeside(swapCase)},
  {name: 'adds a link beside', code: 'file_unlisted', apply: linkBeside},
]

function rewrite(change: (data: Buffer) => Buffer): Mutation['apply'] {
  return (root, path) => {
    const data = readFileSync(join(root, path))
    writeFileSync(join(root, path), change(data))
    return () => writeFileSync(join(root, path), data)
  }
}

function flipBit(data: Buffer): Buffer {
  const copy = Buffer.from(data)
  const at = Math.floor(copy.length / 2)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

function moveAway(root: string, path: string): () => void {
  const away = join(temporaryFolder(), 'away')
  renameSync(join(root, path), away)
  return () => renameSync(away, join(root, path))
}

function moveTo(name: (path: string) => string): Mutation['apply'] {
  return (root, path) => {
    renameSync(join(root, path), join(root, name(path)))
    return () => renameSync(join(root, name(path)), join(root, path))
  }
}

function chmod(change: (mode: number) => number): Mutation['apply'] {
  return (root, path) => {
    const mode = path.endsWith('.sh') ? 0o755 : 0o644
    chmodSync(join(root, path), change(mode))
    return () => chmodSync(join(root, path), mode)
  }
}

function hardLink(root: string, path: string): () => void {
  const other = join(temporaryFolder(), 'other')
  linkSync(join(root, path), other)
  return () => unlinkSync(other)
}

function symbolicLink(root: string, path: string): () => void {
  const back = moveAway(root, path)
  const copy = join(temporaryFolder(), 'copy')
  writeFileSync(copy, d2Files[path as keyof typeof d2Files] ?? '')
  symlinkSync(copy, join(root, path))
  return () => {
    unlinkSync(join(root, path))
    back()
  }
}

function directory(root: string, path: string): () => void {
  const back = moveAway(root, path)
  mkdirSync(join(root, path))
  return () => {
    rmSync(join(root, path), {recursive: true})
    back()
  }
}

function addBeside(name: (path: string) => string): Mutation['apply'] {
  return (root, path) => {
    copyFileSync(join(root, path), join(root, name(path)))
    return () => unlinkSync(join(root, name(path)))
  }
}

function swapCase(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return path.slice(0, path.length - name.length) + name.toUpperCase()
}

function linkBeside(root: string, path: string): () => void {
  symlinkSync('main.py', join(root, `${path}.link`))
  return () => unlinkSync(join(root, `${path}.link`))
}

const paths = ['main.py', 'config.toml', 'adapters/mqtt.py', 'run.sh', 'lib/deep/er/data.bin']

for (const {name, code, apply} of mutations)
  for (const path of paths)
    test(`${name} ${path}: ${code}, and accepted again when undone`, async () => {
      const root = await bundle()
      await verify(root)
      const undo = apply(root, path)
      await rejectsCode(() => verify(root), code)
      undo()
      await verify(root)
    })

/** A repeatable choice: mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

test('2,000 random changes of one file: each is refused, each undoing is accepted', async () => {
  const names = Array.from({length: 20}, (_, at) => `d${at % 7}/f${at}${at % 3 === 0 ? '.sh' : ''}`)
  const root = makeTree(Object.fromEntries(names.map((name, at) => [name, `${name}-${at}`])))
  await signTree(root)
  const random = randomOf(20_261_121)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const missed: string[] = []
  for (let round = 0; round < 2000; round++) {
    const path = pick(names)
    const {name, apply} = pick(mutations)
    const undo = apply(root, path)
    const verdict = await verify(root).catch((error: unknown) => error)
    if (!(verdict instanceof RelError)) missed.push(`${name} ${path}`)
    undo()
    await verify(root)
  }
  assert.equal(missed, [])
})

test('lists up to 20 differences, first by path', async () => {
  const root = await bundle()
  for (let at = 0; at < 30; at++) addFile(root, `extra/${String(at).padStart(2, '0')}`, 'x')
  writeFileSync(join(root, 'config.toml'), 'other content here')
  const error = await rejectsCode(() => verify(root), 'file_unlisted')
  assert.is((error.details?.differences as unknown[] | undefined)?.length, 20)
  assert.is(error.details?.complete, false)
})

test('an unlisted Python start-up file is refused wherever it is', async () => {
  for (const path of ['sitecustomize.py', 'adapters/x.pth', 'lib/__pycache__/main.pyc']) {
    const root = await bundle()
    addFile(root, path, 'import os')
    await rejectsCode(() => verify(root), 'file_unlisted')
  }
})

test('a link that leads elsewhere than signed is refused', async () => {
  const root = await bundle()
  unlinkSync(join(root, 'adapters/current.py'))
  await rejectsCode(() => verify(root), 'file_absent')
  symlinkSync('../main.py', join(root, 'adapters/current.py'))
  await rejectsCode(() => verify(root), 'link_mismatch')
})

test('a directory that is a link is refused, also to the same files', async () => {
  const root = await bundle()
  const away = join(temporaryFolder(), 'lib')
  renameSync(join(root, 'lib'), away)
  symlinkSync(away, join(root, 'lib'))
  await rejectsCode(() => verify(root), 'file_unlisted')
})

test('pipes and sidecars that are no files are refused', async () => {
  const root = await bundle()
  execFileSync('mkfifo', [join(root, 'pipe')])
  await rejectsCode(() => verify(root), 'file_not_regular')
  unlinkSync(join(root, 'pipe'))
  mkdirSync(join(root, 'manifest.json.sig'))
  await rejectsCode(() => verify(root), 'file_not_regular')
})

test('a pipe in place of a file does not hang', async () => {
  const root = await bundle()
  unlinkSync(join(root, 'main.py'))
  execFileSync('mkfifo', [join(root, 'main.py')])
  await rejectsCode(() => verify(root), 'file_not_regular')
})

test('no manifest, and a manifest that is a link, are refused', async () => {
  const root = await bundle()
  const manifest = join(root, 'manifest.json')
  renameSync(manifest, `${root}.json`)
  await rejectsCode(() => verify(root), 'manifest_missing')
  symlinkSync(`${root}.json`, manifest)
  await rejectsCode(() => verify(root), 'file_not_regular')
  unlinkSync(`${root}.json`)
})

test('empty directories are no part of a bundle', async () => {
  const root = await bundle()
  mkdirSync(join(root, 'logs'))
  await verify(root)
})

test('no directory lets everybody write', async () => {
  for (const mode of [0o777, 0o3777, 0o1777, 0o757])
    for (const path of ['', 'lib', 'lib/deep', 'empty']) {
      const root = await bundle()
      mkdirSync(join(root, 'empty'))
      await verify(root)
      chmodSync(join(root, path), mode)
      await rejectsCode(() => verify(root), 'mode_forbidden')
    }
})

test('a set-gid directory is no danger', async () => {
  const root = await bundle()
  chmodSync(join(root, 'lib'), 0o2755)
  await verify(root)
})

const hostileNames: readonly [string, ErrorCode][] = [
  ['\x1b[31mred\n::error::x', 'path_malformed'],
  ['COM1', 'path_not_portable'],
  ['dot.', 'path_not_portable'],
  ['Lib', 'path_collision'],
  ['lib/Deep/er', 'path_collision'],
  ['MAIN.py', 'path_conflict'],
  ['MANIFEST.JSON', 'path_reserved'],
]

for (const [name, code] of hostileNames)
  test(`an empty directory named ${JSON.stringify(name)} is refused: ${code}`, async () => {
    const root = await bundle()
    mkdirSync(join(root, name), {recursive: true})
    await rejectsCode(() => verify(root), code)
  })

test('directories are counted while they are listed', () => {
  const root = makeTree({})
  for (let at = 0; at < 5; at++) mkdirSync(join(root, `d${at}`))
  assert.is(listTree(root, {entries: 9, directories: 5}).emptyDirectories.length, 5)
  throwsCode(() => listTree(root, {entries: 9, directories: 4}), 'manifest_limit')
})

test('through a link to the bundle the verdict is the same', async () => {
  const root = await bundle()
  const current = join(temporaryFolder(), 'current')
  symlinkSync(root, current)
  await verify(current)
  addFile(root, 'extra', 'x')
  await rejectsCode(() => verify(current), 'file_unlisted')
})

test.run()
