import {execFileSync} from 'node:child_process'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type BuildId, parseBuildId} from '../../../src/upstream/git-tree/build-id.ts'
import {gitTreeSchema} from '../../../src/upstream/git-tree/config.ts'
import {checkBuilds, checkPairs, checkProgress} from '../../../src/upstream/git-tree/firmware.ts'
import {treeIdOf} from '../../../src/upstream/git-tree/git-hash.ts'
import {walkTree} from '../../../src/upstream/git-tree/walk-tree.ts'
import type {GitTree, TreeEntry} from '../../../src/upstream/github-release/git-objects.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const HASH = '86ccc427f35fdc604edc511881cdf579df945fb4'
const fields: Readonly<Record<string, string>> = {
  USER: 'dom',
  'TIME ': '17:27:09',
  VARIANT: 'start',
  TIME: 'Apr 17 2024',
  BRANCH: 'bcm2711_2',
  HOSTNAME: 'buildbot',
  PLATFORM: 'raspberrypi_linux',
  VERSION: `${HASH} (clean)`,
}

/** Imitates how the entries lie in a start4.elf, between bytes of any kind. */
function imitationElf(change: Readonly<Record<string, string | undefined>> = {}): Buffer {
  const entries = Object.entries({...fields, ...change}).flatMap(([key, value]) =>
    value === undefined ? [] : [`VC_BUILD_ID_${key.trim()}: ${value}\0\0`],
  )
  return Buffer.concat([
    Buffer.from([0x7f, 0x45, 0xff]),
    Buffer.from(entries.join('')),
    Buffer.alloc(9),
  ])
}

test('a build id is read from between other bytes', () => {
  assert.equal(parseBuildId(imitationElf(), 'start4.elf'), {
    hash: HASH,
    isClean: true,
    builtAt: Date.UTC(2024, 3, 17, 17, 27, 9) / 1000,
    branch: 'bcm2711_2',
    variant: 'start',
    user: 'dom',
  })
  const early = parseBuildId(imitationElf({TIME: 'Feb  1 2026'}), 'start4.elf')
  assert.is(early.builtAt, Date.UTC(2026, 1, 1, 17, 27, 9) / 1000)
  assert.is(parseBuildId(imitationElf({VERSION: `${HASH} (tainted)`}), 's').isClean, false)
})

const noBuilds: readonly (readonly [string, Buffer])[] = [
  ['none at all', Buffer.from('ELF')],
  ['no hash', imitationElf({VERSION: undefined})],
  ['a short hash', imitationElf({VERSION: '86ccc427 (clean)'})],
  ['no state', imitationElf({VERSION: HASH})],
  ['no clock', imitationElf({'TIME ': undefined})],
  ['a date of no calendar', imitationElf({TIME: 'Apr 99 2024'})],
  ['a month of no calendar', imitationElf({TIME: 'Foo 17 2024'})],
  ['two branches', Buffer.concat([imitationElf(), Buffer.from('VC_BUILD_ID_BRANCH: other\0')])],
  ['an entry without an end', Buffer.from(`VC_BUILD_ID_USER: ${'x'.repeat(400)}`)],
  ['an entry that is no text', Buffer.from('VC_BUILD_ID_USER: \x1b[2J\0')],
  ['entries without end', Buffer.from('VC_BUILD_ID_USER: x\0'.repeat(1000))],
]
for (const [name, bytes] of noBuilds)
  test(`no build id: ${name}`, () => {
    throwsCode(() => parseBuildId(bytes, 'start4.elf'), 'firmware_build_id_missing')
  })

const build = (change: Partial<BuildId> = {}): BuildId => ({
  ...{hash: HASH, isClean: true, builtAt: 1000, branch: 'bcm2711_2'},
  ...{variant: 'start', user: 'dom', ...change},
})
const start = 'boot/start4.elf'
const fixup = 'boot/fixup4.dat'
const blob = (path: string, id: string) => ({path, blob: id.repeat(40)})

test('start and fixup come in pairs, and change in pairs', () => {
  const now = [blob(start, 'a'), blob(fixup, 'b'), blob('boot/other.dtb', 'c')]
  assert.equal(checkPairs(now), [[start, fixup]])
  assert.equal(checkPairs(now, now), [[start, fixup]])
  assert.equal(checkPairs(now, [blob(start, 'd'), blob(fixup, 'e')]), [[start, fixup]])
  assert.equal(checkPairs(now, [blob(start, 'd')]), [[start, fixup]], 'half a lock says nothing')
})

const halves: readonly (readonly [string, Parameters<typeof checkPairs>])[] = [
  ['no fixup', [[blob(start, 'a')]]],
  ['no start', [[blob(fixup, 'a')]]],
  ['another variant', [[blob(start, 'a'), blob('boot/fixup4x.dat', 'b')]]],
  ['another folder', [[blob(start, 'a'), blob('fixup4.dat', 'b')]]],
  ['neither', [[blob('boot/other.dtb', 'c')]]],
  [
    'only start changed',
    [
      [blob(start, 'a'), blob(fixup, 'b')],
      [blob(start, 'x'), blob(fixup, 'b')],
    ],
  ],
  [
    'only fixup changed',
    [
      [blob(start, 'a'), blob(fixup, 'b')],
      [blob(start, 'a'), blob(fixup, 'x')],
    ],
  ],
]
for (const [name, args] of halves)
  test(`no pair: ${name}`, () => {
    throwsCode(() => checkPairs(...args), 'firmware_pair_incomplete')
  })

test('builds are of the branch, clean, and all one', () => {
  const two = (change: Partial<BuildId>) => [
    {path: start, build: build()},
    {path: 'boot/start4x.elf', build: build(change)},
  ]
  checkBuilds(two({variant: 'start_x'}), 'bcm2711_2')
  throwsCode(() => checkBuilds(two({}), 'bcm2712'), 'firmware_branch_unexpected')
  throwsCode(() => checkBuilds(two({isClean: false}), 'bcm2711_2'), 'firmware_build_unclean')
  const other = two({hash: '0'.repeat(40)})
  throwsCode(() => checkBuilds(other, 'bcm2711_2'), 'firmware_pair_incomplete')
})

test('a build moves as its version does', () => {
  const now = (change: Partial<BuildId>) => [{path: start, build: build(change)}]
  const before = [{path: start, hash: '1'.repeat(40), builtAt: 1000}]
  const newer = now({builtAt: 1001})
  const older = now({builtAt: 999})
  checkProgress(newer, before, 1)
  checkProgress(older, before, -1)
  checkProgress(now({}), [], 1)
  checkProgress(now({hash: '1'.repeat(40)}), before, 0)
  throwsCode(() => checkProgress(older, before, 1), 'firmware_build_older')
  throwsCode(() => checkProgress(newer, before, -1), 'firmware_build_older')
  throwsCode(() => checkProgress(now({}), before, 1), 'firmware_build_older')
  const same = now({hash: '1'.repeat(40), builtAt: 2000})
  throwsCode(() => checkProgress(same, before, 1), 'firmware_build_unchanged')
})

const entry = (path: string, change: Partial<TreeEntry> = {}): TreeEntry => ({
  ...{path, mode: '100644', type: 'blob', sha: 'c'.repeat(40), size: 3, ...change},
})
const tree = (path: string, sha: string): TreeEntry => ({path, mode: '040000', type: 'tree', sha})
const answer = (entries: readonly TreeEntry[]): GitTree => ({
  ...{sha: treeIdOf(entries), truncated: false, tree: [...entries]},
})
const config = gitTreeSchema.parse({
  ...{kind: 'git_tree', repository: 'raspberrypi/firmware'},
  files: [{path: 'boot/start4.elf', max_bytes: 10}],
  folders: [{path: 'boot/overlays', suffix: '.dtbo', max_files: 2}],
})

/** Walks trees that hash to what they should, after `change`. */
function walk(
  boot: readonly TreeEntry[],
  overlays: readonly TreeEntry[],
  change = (it: GitTree) => it,
) {
  const inner = answer(overlays)
  const middle = answer([...boot, tree('overlays', inner.sha)])
  const top = answer([tree('boot', middle.sha)])
  const all = new Map([inner, middle, top].map((it) => [it.sha, change(it)]))
  return walkTree(config, top.sha, async (id) => {
    const found = all.get(id)
    if (found === undefined) throw new Error(`asked for ${id}`)
    return found
  })
}

const good = [entry('start4.elf')]
const overlay = [entry('a.dtbo')]

test('a tree is walked down to the files that are named', async () => {
  const {files, folders} = await walk(good, [...overlay, entry('README')])
  assert.equal(
    files.map(({path}) => path),
    ['boot/start4.elf', 'boot/overlays/a.dtbo'],
  )
  assert.equal(
    folders.map(({path}) => path),
    ['', 'boot', 'boot/overlays'],
  )
})

const tricks: readonly (readonly [string, TreeEntry])[] = [
  ['a path', entry('sub/start4.elf')],
  ['a backslash', entry('a\\b')],
  ['up', entry('..')],
  ['here', entry('.')],
  ['nothing', entry('')],
  ['git', tree('.git', 'd'.repeat(40))],
  ['GIT', entry('.GIT')],
  ['a control character', entry('a\nb')],
  ['the same twice', entry('start4.elf', {sha: 'd'.repeat(40)})],
]
for (const [name, hostile] of tricks)
  test(`a tree that lists what is no name: ${name}`, async () => {
    await rejectsCode(() => walk([...good, hostile], overlay), 'tree_path_unsafe')
  })

const notPlain: readonly (readonly [string, Partial<TreeEntry>])[] = [
  ['a link', {mode: '120000'}],
  ['a submodule', {mode: '160000', type: 'commit'}],
  ['a folder', {mode: '040000', type: 'tree'}],
]
for (const [name, change] of notPlain)
  test(`a wanted file that is ${name}`, async () => {
    await rejectsCode(() => walk([entry('start4.elf', change)], overlay), 'tree_path_unsafe')
    await rejectsCode(() => walk(good, [entry('a.dtbo', change)]), 'tree_path_unsafe')
  })

test('a tree that is cut off, changed on the way, too long or without the file is refused', async () => {
  await rejectsCode(() => walk(good, overlay, (it) => ({...it, truncated: true})), 'tree_truncated')
  const less = (it: GitTree): GitTree => ({...it, tree: it.tree.slice(0, -1)})
  await rejectsCode(() => walk(good, overlay, less), 'tree_mismatch')
  const executable = (it: GitTree): GitTree => ({
    ...it,
    tree: it.tree.map((one) => (one.type === 'blob' ? {...one, mode: '100755' as const} : one)),
  })
  await rejectsCode(() => walk(good, overlay, executable), 'tree_mismatch')
  const many = ['a', 'b', 'c'].map((name) => entry(`${name}.dtbo`))
  await rejectsCode(() => walk(good, many), 'http_too_large')
  await rejectsCode(() => walk([entry('start4.elf', {size: 11})], overlay), 'http_too_large')
  await rejectsCode(() => walk([entry('start4x.elf')], overlay), 'asset_missing')
  await rejectsCode(() => walk(good, [entry('README')]), 'asset_missing')
})

test('tree ids are those of git, also where a folder and a file sort differently', () => {
  const folder = temporaryFolder()
  const git = (input: string, ...args: string[]) =>
    execFileSync('git', args, {cwd: folder, encoding: 'utf8', input}).trim()
  git('', 'init', '--quiet')
  const one = git('x', 'hash-object', '-w', '--stdin')
  const inner = git(`100755 blob ${one}\tü\n`, 'mktree')
  const entries = [
    entry('a', {mode: '040000', type: 'tree', sha: inner}),
    entry('a-b', {sha: one}),
    entry('a.b', {sha: one, mode: '120000'}),
    entry('a0', {sha: one, mode: '100755'}),
  ]
  const lines = entries.map(({mode, type, sha, path}) => `${mode} ${type} ${sha}\t${path}\n`)
  assert.is(treeIdOf([...entries].reverse()), git(lines.join(''), 'mktree'))
  assert.is(treeIdOf([entry('ü', {sha: one, mode: '100755'})]), inner)
  assert.is(treeIdOf([]), '4b825dc642cb6eb9a060e54bf8d69288fbee4904')
})

const badConfigs: readonly (readonly [string, object])[] = [
  ['a path that leads up', {files: [{path: '../start4.elf'}]}],
  ['an absolute path', {files: [{path: '/boot/start4.elf'}]}],
  ['a hidden folder', {files: [{path: '.git/config'}]}],
  ['a file twice', {files: [{path: 'a'}, {path: 'a'}]}],
  ['no file', {files: []}],
  ['plain http', {files: [{path: 'a'}], raw_url: 'http://raw.example.org'}],
  ['an unknown key', {files: [{path: 'a'}], folder: 'x'}],
]
for (const [name, part] of badConfigs)
  test(`no configuration: ${name}`, () => {
    const whole = {kind: 'git_tree', repository: 'raspberrypi/firmware', ...part}
    assert.not(gitTreeSchema.safeParse(whole).success)
  })

test.run()
