import {spawnSync} from 'node:child_process'
import {closeSync, openSync, rmSync, writeSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {verifyPanel} from '../../src/panel/maintenance/verify.ts'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {testNow} from '../support/anchors.ts'
import {needsThat} from '../support/needs.ts'
import {
  type Answer,
  flip,
  makeRelease,
  publish,
  startPanel,
  type TestPanel,
  wanted,
} from '../support/panel.ts'
import {rejectsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

const SIZE = 1_000_000

/** A small file system, or undefined where mounting is not allowed. */
function tinyDisk(): string | undefined {
  const folder = temporaryFolder('rel-disk-')
  const {status} = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'rel-test', folder])
  return status === 0 ? folder : undefined
}

/** Writes until nothing fits any more. */
function fill(path: string): void {
  const fd = openSync(path, 'w')
  try {
    for (const size of [1 << 20, 4096, 1])
      for (;;) if (writeSync(fd, Buffer.alloc(size)) < size) break
  } catch (error) {
    assert.is((error as {code?: string}).code, 'ENOSPC')
  } finally {
    closeSync(fd)
  }
}

type Step = {readonly name: string; readonly ask: () => Promise<Answer>}

const releases = '/v1/products/agent/releases'
const tus = {'tus-resumable': '1.0.0'}

/** What a pipeline does, one request at a time, of the panel that runs then. */
async function stepsOf(running: () => TestPanel): Promise<readonly Step[]> {
  const panel: Pick<TestPanel, 'ask'> = {ask: (...request) => running().ask(...request)}
  const release = await makeRelease({version: '2.0.0', size: SIZE})
  const [bytes = Buffer.alloc(0)] = release.bytes.values()
  const metadata = `sha256 ${Buffer.from(sha256Hex(bytes)).toString('base64')}`
  let location = ''
  const piece = (from: number, to: number) => () =>
    panel.ask('PATCH', location, {
      body: bytes.subarray(from, to),
      headers: {
        ...tus,
        'upload-offset': String(from),
        'content-type': 'application/offset+octet-stream',
      },
    })
  return [
    {name: 'draft', ask: () => panel.ask('POST', releases, {body: release.text})},
    {
      name: 'upload',
      ask: async () => {
        const headers = {...tus, 'upload-length': String(SIZE), 'upload-metadata': metadata}
        const begun = await panel.ask('POST', '/v1/uploads', {headers})
        location = begun.headers.get('location') ?? location
        return begun
      },
    },
    {name: 'first piece', ask: piece(0, SIZE / 2)},
    {name: 'last piece', ask: piece(SIZE / 2, SIZE)},
    {name: 'publish', ask: () => flip(panel, release)},
    {
      name: 'recall',
      ask: () => panel.ask('POST', `${releases}/1.0.0/recall`, {body: {reason: 'eats disks'}}),
    },
  ]
}

async function sound({panel}: TestPanel, name: string): Promise<void> {
  assert.equal((await verifyPanel(panel)).findings, [], name)
  const {broken} = await panel.store.verifyAudit()
  assert.is(broken, undefined, name)
}

async function fullAtEveryStep(folder: string): Promise<void> {
  const panel = await startPanel({data: join(folder, 'data')})
  const filler = join(folder, 'filler')
  try {
    await publish(panel, await makeRelease({version: '1.0.0'}))
    const body = {product: 'agent', customer: 'A', track: 'stable', expires: testNow + 86_400}
    const {json} = await wanted(201, panel.ask('POST', '/v1/licenses', {body}))
    const token = licenseHeader(parseLicense(String(json.file)))
    const shown = async () => {
      const {json: manifest} = await panel.ask('GET', '/update/manifest.json', {token})
      return (manifest.release as {version: string} | undefined)?.version
    }
    const refusals: string[] = []
    for (const step of await stepsOf(() => panel)) {
      const before = await shown()
      fill(filler)
      const refused = await step.ask()
      // the log of the database may have room for one statement more
      if (refused.status >= 400) {
        assert.equal([refused.status, refused.json.code], [507, 'store_full'], step.name)
        refusals.push(step.name)
        assert.is(await shown(), before, `${step.name}: what was served is served`)
      }
      rmSync(filler)
      await sound(panel, step.name)
      if (refused.status < 400) continue
      const answer = await step.ask()
      assert.ok(answer.status < 300, `${step.name}: ${answer.status} ${answer.bytes}`)
      await sound(panel, step.name)
    }
    for (const name of ['upload', 'first piece', 'last piece'])
      assert.ok(refusals.includes(name), `${name} was not refused: ${refusals}`)
    assert.is(await shown(), '2.0.0')
    const old = await panel.panel.store.release('agent', '1.0.0')
    assert.is(old?.state, 'recalled')
  } finally {
    rmSync(filler, {force: true})
    await panel.stop()
  }
}

/** Machines mount a damaged disk read-only when they start again. */
async function readOnlyBeforeEveryStep(folder: string): Promise<void> {
  const data = join(folder, 'data')
  let panel = await startPanel({data})
  await publish(panel, await makeRelease({version: '1.0.0'}))
  for (const {name, ask} of await stepsOf(() => panel)) {
    await panel.stop()
    assert.is(spawnSync('mount', ['-o', 'remount,ro', folder]).status, 0)
    try {
      await rejectsCode(() => startPanel({data, products: {}}), 'store_read_only')
    } finally {
      spawnSync('mount', ['-o', 'remount,rw', folder])
    }
    panel = await startPanel({data, products: {}})
    await sound(panel, name)
    const {status, bytes} = await ask()
    assert.ok(status < 300, `${name}: ${status} ${bytes}`)
  }
  const states = ['1.0.0', '2.0.0'].map((version) => panel.panel.store.release('agent', version))
  assert.equal(
    (await Promise.all(states)).map((release) => release?.state),
    ['recalled', 'published'],
  )
  await sound(panel, 'the end')
  await panel.stop()
}

const disk = tinyDisk()
if (needsThat('a full disk', disk !== undefined, 'mounting a tmpfs is not allowed here') && disk) {
  test('a disk that is full at any request of a publication: 507, nothing lost, and it goes on', () =>
    fullAtEveryStep(disk))
  test('a disk that is read-only before any of them: the panel says so, and goes on afterwards', async () => {
    const folder = tinyDisk() ?? ''
    try {
      await readOnlyBeforeEveryStep(folder)
    } finally {
      spawnSync('umount', ['--lazy', folder])
    }
  })
  test.after(() => {
    spawnSync('umount', ['--lazy', disk])
  })
}

test.run()
