import {spawnSync} from 'node:child_process'
import {createHash, randomInt} from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, checkApply, rollback} from '../../../src/device/apply.ts'
import type {Device} from '../../../src/device/device.ts'
import {download} from '../../../src/device/download.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {stage} from '../../../src/device/stage.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {anchorOf} from '../../../src/device/verify-installed.ts'
import {RelError} from '../../../src/system/error.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {guardScript} from '../../support/device/guard.ts'
import {randomOf} from '../../support/device/hostile-answers.ts'
import {etagOf, sendRange} from '../../support/device/hostile-panel.ts'
import {deviceAt, makeNode, makeSources, plain} from '../../support/device/node.ts'
import {lazyFs} from '../../support/device/program-node.ts'
import {loopbackServer} from '../../support/http/loopback-server.ts'
import {temporaryFolder} from '../../support/tmp.ts'

// 200 bits of each thing that a node keeps, one at a time. Bundles, licences, deltas and what is
// remembered of a source are in bit-flips.test.ts and delta.test.ts.

const ROUNDS = 200
const seed = Number(process.env.REL_TEST_SEED ?? randomInt(2 ** 31))
console.log(`REL_TEST_SEED=${seed}`)
const random = randomOf(seed)

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')

/** A node that runs 1.1.0, can go back to 1.0.0, and has 1.2.0 staged. */
async function stagedNode(): Promise<Device> {
  const device = await makeNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  await stage(device, sources.of('1.2.0'), plain)
  return device
}
const device = await stagedNode()
const {root} = device

/** Flips a bit of a file, looks, and puts the file back. */
async function flippedIn(
  path: string,
  look: (what: string) => Promise<void> | void,
): Promise<void> {
  const whole = readFileSync(path)
  const [at, bit] = [random(whole.length), random(8)]
  const changed = Buffer.from(whole)
  changed[at] = (changed[at] as number) ^ (1 << bit)
  writeFileSync(path, changed)
  try {
    await look(`${path} byte ${at} bit ${bit} of REL_TEST_SEED=${seed}`)
  } finally {
    writeFileSync(path, whole)
  }
}

/** The code of a refusal; undefined where there is none. */
async function codeOf(work: () => unknown): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (error instanceof RelError) return error.code
    throw error
  }
}

const filesOf = (version: string) =>
  readdirSync(join(root, 'versions', version), {recursive: true, encoding: 'utf8'})
    .map((name) => join(root, 'versions', version, name))
    .filter((path) => statSync(path).isFile())

const trees: readonly [string, string, () => Promise<unknown>, RegExp][] = [
  [
    'runs',
    '1.1.0',
    () => verifyDevice(device),
    /^upgrade_(?:checksum_mismatch|signature_invalid)$/,
  ],
  [
    'is staged',
    '1.2.0',
    () => checkApply(device, plain),
    /^upgrade_(?:staged_corrupt|signature_invalid)$/,
  ],
]

for (const [name, version, use, code] of trees)
  test(`a bit of the tree that ${name} flips is found before it is used`, async () => {
    const [digest, files] = [sha256Hex(JSON.stringify(loadRecords(root))), filesOf(version)]
    let found = 0
    for (let round = 0; round < ROUNDS; round++)
      await flippedIn(files[round % files.length] as string, async (what) => {
        const refusal = await codeOf(use)
        // white space of the manifest alone is nobody's business
        if (refusal === undefined) assert.match(what, /manifest\.json/)
        else {
          assert.match(refusal, code, what)
          found++
        }
        assert.is(sha256Hex(JSON.stringify(loadRecords(root))), digest, what)
      })
    assert.ok(found >= 0.9 * ROUNDS, `${found} were found`)
  })

test('a bit of the tree to go back to flips: nothing is led back', async () => {
  const files = filesOf('1.0.0')
  for (let round = 0; round < ROUNDS; round++)
    await flippedIn(files[round % files.length] as string, async (what) => {
      const copy = copyOf(device)
      const refusal = await codeOf(() => rollback(copy))
      if (refusal === undefined) {
        assert.match(what, /manifest\.json/)
        await verifyDevice(copy)
      } else {
        assert.is(refusal, 'upgrade_rollback_failed', what)
        assert.is(readlinkSync(join(copy.root, 'current')), 'versions/1.1.0', what)
      }
      rmSync(copy.root, {recursive: true})
    })
})

function copyOf({root: from}: Device): ReturnType<typeof deviceAt> {
  const to = join(temporaryFolder(), 'node')
  cpSync(from, to, {recursive: true, verbatimSymlinks: true})
  return deviceAt(to, {fs: lazyFs(to)})
}

test('a bit of a record flips: the other generation counts, and alone it is refused', async () => {
  const names = ['state.json', 'state.json.1'].map((name) => join(root, '.rel', name))
  const whole = names.map((path) => readFileSync(path))
  const genuine = names.map((_, at) => {
    rmSync(names[at] as string)
    const {record} = loadRecords(root)
    writeFileSync(names[at] as string, whole[at] as Buffer)
    return JSON.stringify(record)
  })
  for (let round = 0; round < ROUNDS; round++) {
    const at = round % 2
    await flippedIn(names[at] as string, async (what) => {
      // whose bit flipped does not count: the same as if it were not there
      assert.is(JSON.stringify(loadRecords(root).record), genuine[at], what)
      rmSync(names[1 - at] as string)
      assert.is(await codeOf(() => loadRecords(root)), 'upgrade_state_corrupt', what)
      assert.is(await codeOf(() => rollback(device)), 'upgrade_state_corrupt', what)
      writeFileSync(names[1 - at] as string, whole[1 - at] as Buffer)
    })
  }
})

test('a node goes on from the older generation, and writes a whole one', async () => {
  for (const name of ['state.json', 'state.json.1']) {
    const copy = copyOf(device)
    await flippedIn(join(copy.root, '.rel', name), async (what) => {
      if (loadRecords(copy.root).record.state !== 'staged')
        await stage(copy, sources.of('1.2.0'), plain)
      await apply(copy, plain)
      assert.is(loadRecords(copy.root).record.running.version, '1.2.0', what)
      await verifyDevice(copy)
    })
  }
})

test('a bit of the floor flips: it is refused, never lower', async () => {
  for (let round = 0; round < ROUNDS; round++)
    await flippedIn(join(root, '.rel/floor.json'), async (what) => {
      assert.is(await codeOf(() => loadRecords(root)), 'upgrade_state_corrupt', what)
      if (round % 20 === 0)
        assert.is(await codeOf(() => apply(device, plain)), 'upgrade_state_corrupt', what)
    })
})

test('a bit of the trust anchor flips: it is another one, or nobody is trusted', async () => {
  const path = join(root, 'trust_anchor.json')
  const genuine = JSON.stringify(anchorOf(root).anchor)
  let refused = 0
  for (let round = 0; round < ROUNDS; round++)
    await flippedIn(path, async (what) => {
      const refusal = await codeOf(() => checkApply(device, plain))
      if (refusal === undefined) assert.is(JSON.stringify(anchorOf(root).anchor), genuine, what)
      else {
        assert.match(refusal, /^upgrade_(?:staged_corrupt|signature_invalid)$/, what)
        refused++
      }
      assert.is(
        (await codeOf(() => verifyDevice(device))) === undefined,
        refusal === undefined,
        what,
      )
    })
  assert.ok(refused > 0.5 * ROUNDS, `${refused} of ${ROUNDS} were refused`)
})

test('a bit of a part, or of what is known of it, flips: the whole has the signed digest', async () => {
  const bytes = createHash('shake256', {outputLength: 5000}).update('part').digest()
  const sha256 = sha256Hex(bytes)
  const server = await loopbackServer((request, response) => sendRange(request, response, bytes))
  const place = temporaryFolder()
  const downloads = join(place, '.rel/downloads')
  mkdirSync(downloads, {recursive: true})
  let anew = 0
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const part = join(downloads, `${sha256}.part`)
      const half = 1 + random(bytes.length - 1)
      writeFileSync(part, bytes.subarray(0, half))
      writeFileSync(`${part}.json`, JSON.stringify({etag: etagOf(bytes)}))
      const before = server.seen.length
      const path = round % 4 === 3 ? `${part}.json` : part
      const whole = readFileSync(path)
      const [at, bit] = [random(whole.length), random(8)]
      whole[at] = (whole[at] as number) ^ (1 << bit)
      writeFileSync(path, whole)
      const what = `${path} byte ${at} bit ${bit} of REL_TEST_SEED=${seed}`
      const url = `${server.url}/file`
      const got = await download(place, {url, size: bytes.length, sha256}, undefined, {retryMs: 0})
      assert.is(sha256Hex(readFileSync(got)), sha256, what)
      if (server.seen.slice(before).some(({headers}) => headers.range === undefined)) anew++
      rmSync(got)
    }
  } finally {
    await server.close()
  }
  assert.ok(anew > 0.7 * ROUNDS, `${anew} of ${ROUNDS} were fetched anew`)
})

test('a bit of what the guard is told flips: what runs is a version that verifies', async () => {
  const started = copyOf(device)
  const gone = async () => Promise.reject(new Error('killed'))
  await apply({...started, world: {...started.world, restart: gone}} as Device, plain).catch(
    () => undefined,
  )
  const {root: node} = started
  const [trial, link] = [join(node, '.rel/trial'), join(node, 'current')]
  // the next start is one too many: the guard leads back
  writeFileSync(trial, readFileSync(trial, 'utf8').replace(/max_attempts=\d+/, 'max_attempts=0'))
  const seen = new Map<string, number>()
  for (let round = 0; round < ROUNDS; round++)
    await flippedIn(trial, async (what) => {
      const {status} = spawnSync('/bin/sh', [guardScript, node], {stdio: 'ignore'})
      assert.is(status, 0, what)
      const current = readlinkSync(link)
      seen.set(current, (seen.get(current) ?? 0) + 1)
      assert.match(current, /^versions\/1\.[12]\.0$/, what)
      for (const name of ['reverted', 'reverted.seen', 'attempts'])
        rmSync(join(node, '.rel', name), {force: true})
      if (current === 'versions/1.2.0') return
      rmSync(link)
      symlinkSync('versions/1.2.0', link)
    })
  assert.is(seen.size, 2, JSON.stringify([...seen]))
  assert.ok(existsSync(trial))
})

test.run()
