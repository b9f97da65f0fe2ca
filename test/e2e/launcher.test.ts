import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {exitCodeOf} from '../../src/system/codes.ts'
import {builtPackage} from '../support/built.ts'
import {run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

/** A package in a folder with a space in its name, whose program says where it came from. */
function fakePackage(): string {
  const root = join(temporaryFolder(), 'a b')
  mkdirSync(join(root, 'dist'), {recursive: true})
  writeFileSync(join(root, 'package.json'), '{"version": "1.2.3"}')
  writeFileSync(
    join(root, 'dist/rel.cjs'),
    'exports.start = () => console.log("built", process.argv.slice(2).join("|"))',
  )
  return root
}

async function withLauncher(root: string): Promise<string> {
  cpSync(join(await builtPackage(), 'bin'), join(root, 'bin'), {recursive: true})
  writeFileSync(join(root, 'bin/dev.ts'), 'console.log("sources")')
  return join(root, 'bin', 'rel')
}

/** Sets when a file or folder was changed, in seconds since the epoch. */
function touch(path: string, seconds: number): void {
  utimesSync(path, seconds, seconds)
}

test('it runs the build, with its arguments as they are', async () => {
  const rel = await withLauncher(fakePackage())
  const ran = await run(rel, ['sign', 'a b', '--name=$HOME', ''])
  assert.is(ran.stdout, 'built sign|a b|--name=$HOME|\n')
})

test('it is found through symbolic links, relative and absolute', async () => {
  const root = fakePackage()
  const rel = await withLauncher(root)
  const folder = temporaryFolder()
  mkdirSync(join(root, '.bin'))
  symlinkSync('../bin/rel', join(root, '.bin', 'rel'))
  symlinkSync(join(root, '.bin', 'rel'), join(folder, 'tool'))
  for (const path of [rel, join(root, '.bin', 'rel'), join(folder, 'tool')])
    assert.is((await run(path, ['x'])).stdout, 'built x\n')
  assert.is((await run('./rel', ['x'], {cwd: join(root, 'bin')})).stdout, 'built x\n')
})

test('it is found by name on PATH, and it is POSIX sh', async () => {
  const rel = await withLauncher(fakePackage())
  const env = {PATH: `${join(rel, '..')}:${process.env.PATH}`}
  assert.is((await run('dash', ['-c', 'rel x'], {env})).stdout, 'built x\n')
  assert.is((await run('sh', ['-n', rel])).code, 0)
})

test('a checkout runs its build only while it is newer than every source', async () => {
  const root = fakePackage()
  const rel = await withLauncher(root)
  mkdirSync(join(root, 'src', 'deep'), {recursive: true})
  const source = join(root, 'src/deep/file.ts')
  writeFileSync(source, '')
  const all = ['package.json', 'src', 'src/deep', 'src/deep/file.ts'].map((path) =>
    join(root, path),
  )
  const reset = () => {
    for (const path of all) touch(path, 1000)
    touch(join(root, 'dist/rel.cjs'), 2000)
  }
  reset()
  assert.is((await run(rel, ['x'])).stdout, 'built x\n')
  for (const path of all) {
    reset()
    touch(path, 3000)
    assert.is((await run(rel, ['x'])).stdout, 'sources\n', path)
  }
})

test('a Node.js that is too old, or none, is refused with what to do', async () => {
  const rel = await withLauncher(fakePackage())
  const folder = temporaryFolder()
  const old = join(folder, 'old-node')
  const lie = `Object.defineProperty(process, "versions", {value: {...process.versions, node: process.env.LIE}})`
  writeFileSync(join(folder, 'lie.cjs'), lie)
  writeFileSync(old, `#!/bin/sh\nexec "${process.execPath}" --require "${folder}/lie.cjs" "$@"\n`, {
    mode: 0o755,
  })
  for (const version of ['20.20.2', '22.22.1', '23.11.0', '24.14.9', '25.9.0']) {
    const ran = await run(rel, ['x'], {env: {REL_NODE: old, LIE: version}})
    assert.is(ran.code, 28, version)
    assert.match(ran.stderr, /✖ node_unsupported: .*\n {2}Fix: .*REL_NODE/)
  }
  for (const version of ['22.22.2', '22.23.0', '24.15.0', '26.0.0', '27.1.0'])
    assert.is((await run(rel, ['x'], {env: {REL_NODE: old, LIE: version}})).code, 0, version)
  const json = await run(rel, ['x', '--json'], {env: {REL_NODE: old, LIE: '20.0.0'}})
  assert.is(JSON.parse(json.stdout).error.exit, 28)
  const nowhere = await run(rel, ['x'], {env: {REL_NODE: '/no/such/node'}})
  assert.equal([nowhere.code, nowhere.stdout], [28, ''])
})

test('without REL_NODE it takes the node package beside it, then PATH', async () => {
  const root = fakePackage()
  const rel = await withLauncher(root)
  const marker = (name: string) => `#!/bin/sh\necho ${name}\n`
  const onPath = join(root, 'path')
  mkdirSync(onPath)
  writeFileSync(join(onPath, 'node'), marker('from PATH'), {mode: 0o755})
  const env = {REL_NODE: '', PATH: `${onPath}:/usr/bin:/bin`}
  assert.is((await run(rel, ['x'], {env})).stdout, 'from PATH\n')
  mkdirSync(join(root, 'node_modules/node/bin'), {recursive: true})
  writeFileSync(join(root, 'node_modules/node/bin/node'), marker('from package'), {mode: 0o755})
  assert.is((await run(rel, ['x'], {env})).stdout, 'from package\n')
})

test('a package without its program says so', async () => {
  const root = fakePackage()
  const rel = await withLauncher(root)
  rmSync(join(root, 'dist'), {recursive: true})
  const ran = await run(rel, ['x'])
  assert.is(ran.code, exitCodeOf('package_incomplete'))
  assert.match(ran.stderr, /✖ package_incomplete: .*dist\/rel\.cjs is missing\n {2}Fix: /)
  const json = JSON.parse((await run(rel, ['x', '--json'])).stdout)
  assert.is(json.error.code, 'package_incomplete')
})

/** The compile caches of a home, by name. */
function cachesIn(home: string): string[] {
  return readdirSync(join(home, '.cache/rel/compile')).filter((name) => name.startsWith('v'))
}

test('the compile cache is private, and not used where others could write', async () => {
  const root = await builtPackage()
  const rel = join(root, 'bin', 'rel')
  const home = temporaryFolder()
  await run(rel, ['explain'], {env: {HOME: home}})
  const [name = '', ...others] = cachesIn(home)
  assert.match(name, /^v[0-9.]+-\w+-explain$/)
  assert.equal(others, [])
  assert.is(statSync(join(home, '.cache/rel/compile')).mode & 0o777, 0o700)
  assert.is(statSync(join(home, '.cache/rel/compile', name)).mode & 0o777, 0o600)
  const open = join(temporaryFolder(), 'open')
  mkdirSync(join(open, 'rel/compile'), {recursive: true})
  chmodSync(join(open, 'rel'), 0o777)
  await run(rel, ['explain'], {env: {XDG_CACHE_HOME: open}})
  assert.equal(readdirSync(join(open, 'rel/compile')), [])
})

test('the compile cache is made by a run that succeeds, and by none after it', async () => {
  const rel = join(await builtPackage(), 'bin', 'rel')
  const home = temporaryFolder()
  const env = {HOME: home}
  for (const words of [['nonsense'], ['explain', 'nonsense'], ['../../x'], ['-q']])
    await run(rel, words, {env})
  assert.equal(
    cachesIn(home).filter((name) => !name.endsWith('-help')),
    [],
  )
  const first = await run(rel, ['explain', 'key_weak'], {env})
  const [name = ''] = cachesIn(home).filter((found) => found.endsWith('-explain'))
  const file = join(home, '.cache/rel/compile', name)
  const {ino} = statSync(file)
  const second = await run(rel, ['explain', 'key_weak'], {env})
  assert.equal(second, first)
  assert.is(statSync(file).ino, ino)
})

test('a compile cache of another program, cut short or damaged, is made again', async () => {
  const root = fakePackage()
  const rel = await withLauncher(root)
  const home = temporaryFolder()
  const program = join(root, 'dist/rel.cjs')
  const says = async () => (await run(rel, ['x'], {env: {HOME: home}})).stdout
  assert.is(await says(), 'built x\n')
  const [name = ''] = cachesIn(home)
  const file = join(home, '.cache/rel/compile', name)
  const made = readFileSync(file)
  const text = readFileSync(program, 'utf8').replace('"built"', '"BUILT"') // of the same length
  writeFileSync(program, text)
  assert.is(await says(), 'BUILT x\n')
  assert.not.equal(readFileSync(file), made)
  for (const length of [0, 100, 128, 200, made.length - 1]) {
    writeFileSync(file, readFileSync(file).subarray(0, length))
    assert.is(await says(), 'BUILT x\n', `${length}`)
    assert.is(readFileSync(file).length, made.length, `${length}`)
  }
  for (let at = 100; at < made.length; at += 40) {
    const damaged = readFileSync(file)
    damaged[at] = (damaged[at] ?? 0) ^ 1
    writeFileSync(file, damaged)
    assert.is(await says(), 'BUILT x\n', `bit at ${at}`)
  }
})

test('without a home, or where nothing can be written, there is no compile cache', async () => {
  const rel = await withLauncher(fakePackage())
  for (const env of [{HOME: ''}, {HOME: 'relative'}, {HOME: '/dev/null'}, {HOME: '/proc'}])
    assert.is((await run(rel, ['x'], {env: {...env, XDG_CACHE_HOME: ''}})).stdout, 'built x\n')
})

test.run()
