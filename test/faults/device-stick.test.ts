import {execFileSync, spawnSync} from 'node:child_process'
import {randomInt} from 'node:crypto'
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import {createServer} from 'node:net'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {applyPack, planPack} from '../../src/bundle/archive/pack.ts'
import {planFirst} from '../../src/trust/anchor-plan.ts'
import {signedAnchor, testKey, testNow} from '../support/anchors.ts'
import {beforeOf, checkStands, fillFolders} from '../support/device/after-each.ts'
import {
  type ReleaseChange,
  releaseAssets,
  releaseSources,
} from '../support/device/github-releases.ts'
import {damaged, pick, type Random, randomOf} from '../support/device/hostile-answers.ts'
import {bundleOf, configJson, deviceAt, installOne} from '../support/device/node.ts'
import {allowed, memoryOf, outcome, outside, recordBytes} from '../support/device/untouched.ts'
import {writeTree} from '../support/signed-tree.ts'
import {temporaryFolder} from '../support/tmp.ts'

// Sticks that somebody has prepared. Whatever is on them: the genuine release and nothing else is
// taken, the node and the stick are as they were, nothing is waited for, and there is a code for it.

const seed = Number(process.env.REL_TEST_SEED ?? randomInt(2 ** 31))
const COUNT = process.env.REL_TEST_LONG === '1' ? 500 : 120

const sources = await releaseSources('1.0.0')
const target = 'linux-amd64'
const first = deviceAt(join(temporaryFolder(), 'node'), {}, {target})
await installOne(first, sources)

/** Genuine things, and such as are of no use here, to be copied onto sticks. */
const shelf = temporaryFolder()
const trees: string[] = []
for (const [name, version, change] of [
  ['good', '1.1.0', {}],
  ['old', '0.9.0', {}],
  ['same', '1.0.0', {}],
  ['expired', '1.1.0', {expires: testNow - 1}],
] as const) {
  const folder = join(shelf, name)
  writeTree(folder, await bundleOf(version, change, change.expires && change.expires - 60))
  const output = join(shelf, `${name}.tar.gz`)
  await applyPack(planPack({directory: folder, output, format: 'tar.gz', replace: false}))
  trees.push(name)
}
const releases: readonly (readonly {readonly name: string; readonly bytes: Buffer}[])[] =
  await Promise.all(
    (
      [
        {},
        {by: 'stranger'},
        {product: 'other'},
        {expires: testNow - 1},
        {artifactVersion: '1.0.0'},
        {arch: 'arm64'},
      ] satisfies readonly ReleaseChange[]
    ).map((change) => releaseAssets('1.1.0', change)),
  )

const names = ['manifest.json', 'release.json', 'a.tar', 'a.tar.gz', 'a.tgz', 'a.tar.zst', 'data']

/** Puts one thing below a folder of a stick. */
function put(random: Random, folder: string, victim: string): void {
  const at = join(folder, `${random(1000)}`)
  mkdirSync(at, {recursive: true})
  const name = pick(random, names)
  const kinds: readonly (() => void)[] = [
    () => cpSync(join(shelf, pick(random, trees)), join(at, 'tree'), {recursive: true}),
    () => copyFileSync(join(shelf, `${pick(random, trees)}.tar.gz`), join(at, 'a.tar.gz')),
    () => {
      for (const {name, bytes} of pick(random, releases)) writeFileSync(join(at, name), bytes)
    },
    // a release whose artifact is a link, is missing, or is another file
    () => {
      const [manifest, artifact] = releases[0] ?? []
      writeFileSync(join(at, 'release.json'), manifest?.bytes ?? '')
      const path = join(at, artifact?.name ?? '')
      const how = random(4)
      if (how === 0) symlinkSync(victim, path)
      if (how === 1) writeFileSync(path, Buffer.alloc(artifact?.bytes.length ?? 0))
      if (how === 2) execFileSync('mkfifo', [path])
    },
    // damaged text and bytes
    () => {
      const text = readFileSync(join(shelf, 'good/manifest.json'), 'utf8')
      writeFileSync(
        join(at, pick(random, ['manifest.json', 'release.json'])),
        damaged(random, text),
      )
    },
    () => {
      const bytes = readFileSync(join(shelf, 'good.tar.gz'))
      const place = random(bytes.length)
      const isCut = random(2) === 0
      bytes[place] = (bytes[place] ?? 0) ^ (1 << random(8))
      writeFileSync(join(at, 'a.tar.gz'), isCut ? bytes.subarray(0, place) : bytes)
    },
    // links out of the stick, and in circles
    () =>
      symlinkSync(pick(random, [victim, '/etc/passwd', '/dev/zero', 'loop', '/']), join(at, name)),
    () => symlinkSync('.', join(at, 'below')),
    () => symlinkSync(join(shelf, 'good'), join(at, 'outside')),
    () => symlinkSync(join(shelf, 'good.tar.gz'), join(at, 'outside.tar.gz')),
    // what never ends, or is no file
    () => execFileSync('mkfifo', [join(at, name)]),
    () => void spawnSync('mknod', [join(at, name), 'c', '1', '5']),
    () => mkdirSync(join(at, name)),
    // very large, very deep, very many, oddly called
    () => {
      writeFileSync(join(at, name), random(2) === 0 ? '' : '[')
      truncateSync(join(at, name), 10 ** 9)
    },
    () => mkdirSync(join(at, 'deep/'.repeat(300)), {recursive: true}),
    () => {
      for (let n = 0; n < 300; n++) mkdirSync(join(at, `${n}.tar`))
    },
    () =>
      writeFileSync(Buffer.concat([Buffer.from(`${at}/`), Buffer.from([0xff, 0xfe, 0x0a])]), 'x'),
    () => writeFileSync(join(at, `${'x'.repeat(240)}.tar.gz`), gzipSync(Buffer.alloc(1e6))),
    () => {
      copyFileSync(join(shelf, 'good.tar.gz'), join(at, 'a.tar.gz'))
      linkSync(join(at, 'a.tar.gz'), join(at, 'b.tar.gz'))
      appendFileSync(join(at, 'a.tar.gz'), 'more')
    },
    // a bundle with something in it that was not signed
    () => {
      cpSync(join(shelf, 'good'), join(at, 'tree'), {recursive: true})
      if (random(2) === 0) symlinkSync(victim, join(at, 'tree/extra'))
      else {
        rmSync(join(at, 'tree/bin/app'))
        symlinkSync(victim, join(at, 'tree/bin/app'))
      }
    },
  ]
  pick(random, kinds)()
}

function nodeWith(stick: string) {
  const root = join(temporaryFolder(), 'node')
  cpSync(first.root, root, {recursive: true, verbatimSymlinks: true})
  fillFolders(root)
  return deviceAt(root, {}, {target, source: {directory: stick}})
}

test(`${COUNT} sticks change nothing (REL_TEST_SEED=${seed})`, async () => {
  console.log(`REL_TEST_SEED=${seed}`)
  const victim = join(temporaryFolder(), 'victim')
  writeFileSync(victim, 'victim')
  const seen = new Map<string, number>()
  for (let at = 0; at < COUNT; at++) {
    const random = randomOf(seed + at)
    const what = `${at} of REL_TEST_SEED=${seed}`
    const stick = temporaryFolder()
    for (let count = 1 + random(4); count > 0; count--) put(random, stick, victim)
    const node = nodeWith(stick)
    const before = {...beforeOf(node.root), files: outside(node.root), of: recordBytes(node.root)}
    const there = listOf(stick)
    const how = await outcome(node)
    assert.match(how, allowed, `${what}: ${how}`)
    seen.set(how, (seen.get(how) ?? 0) + 1)
    await checkStands(node, before, what)
    assert.is(readFileSync(victim, 'utf8'), 'victim', what)
    assert.equal(listOf(stick), there, what)
    rmSync(stick, {recursive: true})
    if (how === 'staged') {
      assert.equal(readdirSync(join(node.root, 'versions')), ['1.0.0', '1.1.0'], what)
      continue
    }
    assert.equal(outside(node.root), before.files, what)
    assert.equal(recordBytes(node.root), before.of, what)
  }
  console.log([...seen].map(([how, times]) => `${how} ${times}`).join(', '))
  assert.ok(seen.size > 3 && (seen.get('staged') ?? 0) > 0, 'the sticks were of all kinds')
})

/** All names on a stick, as find(1) sees them: names need not be text. */
function listOf(stick: string): string {
  return execFileSync('find', [stick, '-printf', '%p %y %s %m %T@\\n']).toString('latin1')
}

test('a node does not wait for a socket, and what is on a stick takes little memory', async () => {
  const stick = temporaryFolder()
  const socket = createServer()
  await new Promise<void>((done) => socket.listen(join(stick, 'a.tar.gz'), done))
  writeFileSync(join(stick, 'release.json'), '[')
  truncateSync(join(stick, 'release.json'), 10 ** 9)
  for (const name of ['b.tar.gz', 'c.tgz'])
    writeFileSync(join(stick, name), gzipSync(Buffer.alloc(3e8)))
  writeFileSync(join(stick, 'd.tar'), '')
  truncateSync(join(stick, 'd.tar'), 10 ** 10)
  try {
    const {root} = nodeWith(stick)
    const source = {directory: stick}
    writeFileSync(join(root, 'device.json'), JSON.stringify({...configJson, target, source}))
    const role = (name: 'root' | 'manifest', key: string) =>
      ({role: name, keys: [testKey(key)], threshold: 1}) as const
    const roles = [role('root', 'root'), role('manifest', 'archive')]
    const anchor = await signedAnchor(planFirst(roles, 4_102_444_800), 'root')
    writeFileSync(join(root, 'trust_anchor.json'), anchor)
    const {code, peak} = await memoryOf(root)
    assert.ok(code !== 0 && code !== null, `${code}`)
    assert.ok(peak > 30e6 && peak < 150e6, `${peak} bytes`)
    console.log(`a hostile stick: ${Math.round(peak / 1e6)} MB`)
  } finally {
    socket.close()
  }
})

test.run()
