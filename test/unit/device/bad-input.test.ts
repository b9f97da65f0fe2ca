import {spawnSync} from 'node:child_process'
import {randomInt} from 'node:crypto'
import {once} from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../../src/device/apply.ts'
import {readConfig, type World} from '../../../src/device/device.ts'
import {awaitHealth} from '../../../src/device/health.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {repair} from '../../../src/device/repair.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {RelError} from '../../../src/system/error.ts'
import {testNow} from '../../support/anchors.ts'
import {bundleOf, deviceAt, makeNode, makeSources, plain} from '../../support/device/node.ts'
import {licenseText, nodeAnchor, panelNode} from '../../support/device/panel-node.ts'
import {lazyFs} from '../../support/device/program-node.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {writeTree} from '../../support/signed-tree.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {treeState} from '../../support/tree-state.ts'

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')

/** A node that was updated to 1.1.0, with what the program keeps beside its versions. */
async function makeFirst(): Promise<string> {
  const {root} = await makeNode(sources)
  for (const name of ['data', 'cache', 'run', 'logs']) {
    mkdirSync(join(root, name))
    writeFileSync(join(root, name, 'file'), `${name} of the program`)
  }
  const device = quiet(root)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  return root
}

/** Its port does not sync: what is tested is what a reader finds, not a power cut. */
const quiet = (root: string) => deviceAt(root, {fs: lazyFs(root)})

const first = await makeFirst()

function nodeOf(): string {
  const root = join(temporaryFolder(), 'node')
  cpSync(first, root, {recursive: true, verbatimSymlinks: true, preserveTimestamps: true})
  return root
}

type Code = Parameters<typeof rejectsCode>[1]

function put(root: string, name: string, content: string): void {
  rmSync(join(root, name), {recursive: true, force: true})
  writeFileSync(join(root, name), content)
}

function link(root: string, name: string, target: string): void {
  rmSync(join(root, name), {recursive: true, force: true})
  symlinkSync(target, join(root, name))
}

function folder(root: string, name: string): void {
  rmSync(join(root, name), {recursive: true, force: true})
  mkdirSync(join(root, name))
}

function damage(root: string, name: string, from: string, to: string): void {
  const path = join(root, name)
  const text = readFileSync(path, 'utf8')
  assert.ok(text.includes(from), name)
  writeFileSync(path, text.replaceAll(from, to))
}

/** What a power cut in the middle of a write leaves. */
function halve(root: string, name: string): void {
  const bytes = readFileSync(join(root, name))
  writeFileSync(join(root, name), bytes.subarray(0, bytes.length >> 1))
}

const noRecord = (root: string) => {
  for (const name of ['.rel/state.json', '.rel/state.json.1']) rmSync(join(root, name))
}

type Damage = readonly [
  name: string,
  change: (root: string) => void,
  code: Code,
  /** Of a rollback; false where the damage is nothing to it. */
  back?: Code | false,
]

const damages: readonly Damage[] = [
  // records
  ['no record', noRecord, 'upgrade_state_corrupt'],
  [
    'two empty records',
    (root) => {
      put(root, '.rel/state.json', '')
      put(root, '.rel/state.json.1', '')
    },
    'upgrade_state_corrupt',
  ],
  [
    'two edited records',
    (root) => {
      damage(root, '.rel/state.json', '"1.', '"9.')
      damage(root, '.rel/state.json.1', '"1.', '"9.')
    },
    'upgrade_state_corrupt',
  ],
  [
    'two half-written records',
    (root) => {
      halve(root, '.rel/state.json')
      halve(root, '.rel/state.json.1')
    },
    'upgrade_state_corrupt',
  ],
  ['a record that is a folder', (root) => folder(root, '.rel/state.json'), 'upgrade_state_corrupt'],
  [
    'a record that is a link',
    (root) => link(root, '.rel/state.json', '/etc/passwd'),
    'upgrade_state_corrupt',
  ],
  ['no floor', (root) => rmSync(join(root, '.rel/floor.json')), 'upgrade_state_corrupt'],
  ['an empty floor', (root) => put(root, '.rel/floor.json', ''), 'upgrade_state_corrupt'],
  ['a half-written floor', (root) => halve(root, '.rel/floor.json'), 'upgrade_state_corrupt'],
  [
    'a half-written time',
    (root) => put(root, '.rel/clock.json', '{"latest":17'),
    'upgrade_state_corrupt',
    false,
  ],
  [
    'a lowered floor',
    (root) => damage(root, '.rel/floor.json', '1.1.0', '0.0.1'),
    'upgrade_state_corrupt',
  ],
  [
    'a floor that is a link',
    (root) => link(root, '.rel/floor.json', '/etc/passwd'),
    'upgrade_state_corrupt',
  ],
  // trust anchor and configuration
  [
    'no anchor',
    (root) => rmSync(join(root, 'trust_anchor.json')),
    'upgrade_signature_invalid',
    'upgrade_rollback_failed',
  ],
  [
    'an empty anchor',
    (root) => put(root, 'trust_anchor.json', ''),
    'upgrade_signature_invalid',
    'upgrade_rollback_failed',
  ],
  [
    'a half-written anchor',
    (root) => halve(root, 'trust_anchor.json'),
    'upgrade_signature_invalid',
    'upgrade_rollback_failed',
  ],
  [
    'an anchor that is other JSON',
    (root) => put(root, 'trust_anchor.json', '{}'),
    'upgrade_signature_invalid',
    'upgrade_rollback_failed',
  ],
  [
    'an anchor with another role',
    (root) => damage(root, 'trust_anchor.json', '"threshold": 1', '"threshold": 0'),
    'upgrade_signature_invalid',
    'upgrade_rollback_failed',
  ],
  [
    'an anchor that is a link',
    (root) => link(root, 'trust_anchor.json', sources.anchor),
    'upgrade_signature_invalid',
    'upgrade_rollback_failed',
  ],
  [
    'an anchor that is a folder',
    (root) => folder(root, 'trust_anchor.json'),
    'upgrade_signature_invalid',
    'upgrade_rollback_failed',
  ],
  ['no configuration', (root) => rmSync(join(root, 'device.json')), 'upgrade_config_invalid'],
  ['an empty configuration', (root) => put(root, 'device.json', ''), 'upgrade_config_invalid'],
  ['a half-written configuration', (root) => halve(root, 'device.json'), 'upgrade_config_invalid'],
  [
    'a gate misspelt',
    (root) => damage(root, 'device.json', 'enabled', 'enable'),
    'upgrade_config_invalid',
  ],
  [
    'a key twice',
    (root) => damage(root, 'device.json', '"spec":1', '"spec":1,"spec":1'),
    'upgrade_config_invalid',
  ],
  [
    'a configuration that is a link',
    (root) => link(root, 'device.json', '/etc/passwd'),
    'upgrade_config_invalid',
  ],
  // links
  ['current is missing', (root) => rmSync(join(root, 'current')), 'upgrade_layout_invalid'],
  ['current leads out', (root) => link(root, 'current', '../../etc'), 'upgrade_layout_invalid'],
  ['current is absolute', (root) => link(root, 'current', '/etc'), 'upgrade_layout_invalid'],
  [
    'current climbs',
    (root) => link(root, 'current', 'versions/../../etc'),
    'upgrade_layout_invalid',
  ],
  [
    'current leads to another version',
    (root) => link(root, 'current', 'versions/1.0.0'),
    'upgrade_layout_invalid',
  ],
  [
    'current leads nowhere',
    (root) => link(root, 'current', 'versions/9.9.9'),
    'upgrade_layout_invalid',
  ],
  ['current is a folder', (root) => folder(root, 'current'), 'upgrade_layout_invalid'],
  ['current is a file', (root) => put(root, 'current', '1.1.0'), 'upgrade_layout_invalid'],
  // folders
  [
    'versions is a link',
    (root) => {
      renameSync(join(root, 'versions'), join(root, 'elsewhere'))
      symlinkSync('elsewhere', join(root, 'versions'))
    },
    'upgrade_layout_invalid',
  ],
  [
    'the records are a link',
    (root) => {
      renameSync(join(root, '.rel'), join(root, 'elsewhere'))
      symlinkSync('elsewhere', join(root, '.rel'))
    },
    'upgrade_layout_invalid',
  ],
  [
    'others can write to versions',
    (root) => chmodSync(join(root, 'versions'), 0o777),
    'upgrade_layout_invalid',
  ],
  [
    'others can write to the records',
    (root) => chmodSync(join(root, '.rel'), 0o770),
    'upgrade_layout_invalid',
  ],
  [
    'a foreign file where the version goes',
    (root) => put(root, 'versions/1.2.0', 'mine'),
    'upgrade_layout_invalid',
    false,
  ],
  [
    'a foreign link where the version goes',
    (root) => link(root, 'versions/1.2.0', '/etc'),
    'upgrade_layout_invalid',
    false,
  ],
]

/** All but the time of versions/: staging makes versions/.1.2.0.partial and takes it away again. */
const isLasting = (line: string) => !line.startsWith('versions ')

for (const [name, change, code, back = code] of damages)
  test(`a damaged node refuses and nothing on disk changes: ${name}`, async () => {
    const root = nodeOf()
    change(root)
    const before = treeState(root)
    await rejectsCode(async () => {
      readConfig(root)
      await stage(quiet(root), sources.of('1.2.0'), plain)
    }, code)
    if (back !== false)
      await rejectsCode(async () => {
        readConfig(root)
        await rollback(quiet(root))
      }, back)
    assert.equal(treeState(root).filter(isLasting), before.filter(isLasting))
  })

const names = [
  '../../evil',
  '/etc',
  '..',
  '.',
  '',
  '1.2.0/../../evil',
  '1.2.0\\evil',
  '1.2.0\0',
  'v1.2.0',
  '01.2.0',
  `1.2.0-${'a'.repeat(123)}`,
]

for (const version of names)
  test(`a version that is a path, or too long, is refused though it is signed: ${JSON.stringify(version)}`, async () => {
    const root = nodeOf()
    const source = join(temporaryFolder(), 'source')
    writeTree(source, await bundleOf(version))
    const before = treeState(root)
    await rejectsCode(() => stage(quiet(root), source, plain), 'upgrade_signature_invalid')
    assert.equal(treeState(root), before)
  })

const licence = await licenseText()
const [foreign, unsigned, ended] = await Promise.all([
  licenseText({product: 'other'}),
  licenseText({}, 'manifest'),
  licenseText({expires: testNow}),
])

const licences: readonly [string, (root: string) => void, Code][] = [
  ['none', (root) => rmSync(join(root, 'license')), 'upgrade_license_invalid'],
  ['empty', (root) => put(root, 'license', ''), 'upgrade_license_invalid'],
  ['half-written', (root) => halve(root, 'license'), 'upgrade_license_invalid'],
  ['edited', (root) => damage(root, 'license', 'A', 'B'), 'upgrade_license_invalid'],
  ['a link', (root) => link(root, 'license', '/etc/passwd'), 'upgrade_license_invalid'],
  ['a folder', (root) => folder(root, 'license'), 'upgrade_license_invalid'],
  ['of another product', (root) => put(root, 'license', foreign), 'upgrade_license_invalid'],
  ['signed by nobody who may', (root) => put(root, 'license', unsigned), 'upgrade_license_invalid'],
  ['ending now', (root) => put(root, 'license', ended), 'upgrade_license_frozen'],
]

for (const [name, change, code] of licences)
  test(`a licence opens nothing, and nothing on disk changes: ${name}`, async () => {
    const anchor = await nodeAnchor()
    const node = await panelNode({url: 'http://127.0.0.1:9', anchor, license: licence})
    change(node.root)
    const before = treeState(node.root)
    await rejectsCode(() => stage(node, sources.of('1.1.0'), plain), code)
    assert.equal(treeState(node.root).filter(isLasting), before.filter(isLasting))
  })

test('a version that is a link is none, wherever it leads', async () => {
  const root = nodeOf()
  renameSync(join(root, 'versions/1.1.0'), join(root, 'elsewhere'))
  symlinkSync('../elsewhere', join(root, 'versions/1.1.0'))
  const before = treeState(root)
  await rejectsCode(() => verifyDevice(quiet(root)), 'upgrade_layout_invalid')
  assert.equal(treeState(root), before)
  assert.is((await repair(quiet(root))).slot.version, '1.0.0')
  assert.is(readlinkSync(join(root, 'current')), 'versions/1.0.0')
})

test('another bundle of the same version, though it is signed, is not the one that is recorded', async () => {
  const root = nodeOf()
  await stage(quiet(root), sources.of('1.2.0'), plain)
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
    const folder = join(root, 'versions', version)
    rmSync(folder, {recursive: true})
    writeTree(folder, await bundleOf(version, {}, testNow - 5))
  }
  const before = treeState(root)
  await rejectsCode(() => verifyDevice(quiet(root)), 'upgrade_checksum_mismatch')
  await rejectsCode(() => apply(quiet(root), plain), 'upgrade_staged_corrupt')
  await rejectsCode(() => rollback(quiet(root)), 'upgrade_rollback_failed')
  assert.equal(treeState(root), before)
})

test('what is foreign in versions/ stays as it is, and verifying names it', async () => {
  const root = nodeOf()
  put(root, 'versions/notes.txt', 'mine')
  put(root, 'versions/.hidden', 'mine')
  link(root, 'versions/latest', '1.1.0')
  link(root, 'versions/8.8.8', '/etc')
  for (const name of ['9.9.9', 'backup']) {
    mkdirSync(join(root, 'versions', name))
    writeFileSync(join(root, 'versions', name, 'manifest.json'), '{"version":"9.9.9"}')
  }
  const isForeign = (line: string) => /^versions\/(?!1\.)/.test(line)
  const before = treeState(root).filter(isForeign)
  assert.is(before.length, 8)
  await stage(quiet(root), sources.of('1.2.0'), plain)
  await apply(quiet(root), plain)
  await rollback(quiet(root))
  await repair(quiet(root))
  await resume(quiet(root))
  assert.equal(treeState(root).filter(isForeign), before)
  const known = treeState(root)
  await rejectsCode(() => verifyDevice(quiet(root)), 'upgrade_layout_invalid')
  assert.equal(treeState(root), known)
})

test('a version whose health endpoint hangs is taken back, and what ran is as it was', async () => {
  const server = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const root = nodeOf()
    const {port} = server.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/health`
    const waiting = {secs: 1, isTakenBack: () => false}
    const device = quiet(root)
    const world: World = {
      ...device.world,
      health: (version) => awaitHealth({kind: 'url', url}, version, waiting),
    }
    const own = /^(?:versions\/1\.[01]\.0|data|cache|run|logs|device\.json|trust_anchor)/
    const kept = () => treeState(root).filter((line) => own.test(line))
    const before = kept()
    const floor = readFileSync(join(root, '.rel/floor.json'), 'utf8')
    await stage(device, sources.of('1.2.0'), plain)
    await rejectsCode(() => apply({...device, world}, plain), 'upgrade_rolled_back')
    assert.equal(kept(), before)
    assert.is(readFileSync(join(root, '.rel/floor.json'), 'utf8'), floor)
    for (const name of ['trial', 'reverted']) assert.not.ok(existsSync(join(root, '.rel', name)))
    assert.is(readlinkSync(join(root, 'current')), 'versions/1.1.0')
    const {record} = loadRecords(root)
    assert.equal([record.state, record.running.version], ['rolled_back', '1.1.0'])
    assert.equal(
      record.failed.map(({version}) => version),
      ['1.2.0'],
    )
    await verifyDevice(quiet(root))
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

/** Takes away the right to write, also from root, or says that it cannot. */
function lockFolder(path: string): (() => void) | undefined {
  if (process.getuid?.() !== 0) {
    chmodSync(path, 0o555)
    return () => chmodSync(path, 0o755)
  }
  if (spawnSync('chattr', ['+i', path]).status !== 0) return undefined
  return () => void spawnSync('chattr', ['-i', path])
}

for (const name of ['versions', '.rel', ''])
  test(`a folder that cannot be written is named, and what runs stays: ${name || 'the root'}`, async () => {
    const root = nodeOf()
    const unlock = lockFolder(join(root, name))
    if (unlock === undefined) return // a file system without that attribute
    const before = treeState(root)
    try {
      if (name === '') {
        await stage(quiet(root), sources.of('1.2.0'), plain)
        await rejectsCode(() => apply(quiet(root), plain), 'write_failed')
        assert.is(readlinkSync(join(root, 'current')), 'versions/1.1.0')
      } else {
        await rejectsCode(() => stage(quiet(root), sources.of('1.2.0'), plain), 'write_failed')
        // a tree that was complete before its record could not be written stays, and is not named
        const rest = treeState(root).filter((line) => !/^versions(?: |\/1\.2\.0)/.test(line))
        assert.equal(
          rest,
          before.filter((line) => !line.startsWith('versions ')),
        )
      }
    } finally {
      unlock()
    }
    await verifyDevice(quiet(root))
    const {record} = await resume(quiet(root))
    if (record.running.version !== '1.2.0') {
      await stage(quiet(root), sources.of('1.2.0'), plain)
      await apply(quiet(root), plain)
    }
    await verifyDevice(quiet(root))
    assert.is(readlinkSync(join(root, 'current')), 'versions/1.2.0')
  })

test('a record that is cut at any byte is never half believed', () => {
  const root = nodeOf()
  const {record} = loadRecords(root)
  const newest = join(root, record.seq % 2 === 0 ? '.rel/state.json' : '.rel/state.json.1')
  const older = join(root, record.seq % 2 === 0 ? '.rel/state.json.1' : '.rel/state.json')
  const [bytes, other] = [readFileSync(newest), readFileSync(older)]
  for (let at = 0; at < bytes.length; at++) {
    writeFileSync(newest, bytes.subarray(0, at))
    writeFileSync(older, other)
    assert.is(loadRecords(root).record.seq, record.seq - 1, `${at}`)
    rmSync(older)
    throwsCode(() => loadRecords(root), 'upgrade_state_corrupt')
  }
  const floor = join(root, '.rel/floor.json')
  const text = readFileSync(floor)
  writeFileSync(newest, bytes)
  for (let at = 0; at < text.length; at++) {
    writeFileSync(floor, text.subarray(0, at))
    throwsCode(() => loadRecords(root), 'upgrade_state_corrupt')
  }
})

const flipped = [
  '.rel/state.json',
  '.rel/state.json.1',
  '.rel/floor.json',
  'trust_anchor.json',
  'versions/1.1.0/manifest.json',
  'versions/1.1.0/bin/app',
  'versions/1.2.0/manifest.json',
  'versions/1.2.0/data.txt',
  'versions/1.0.0/data.txt',
]

const seed = Number(process.env.REL_TEST_SEED ?? randomInt(2 ** 31))

test(`a bit that flips anywhere is found before it is used (REL_TEST_SEED=${seed})`, async () => {
  console.log(`REL_TEST_SEED=${seed}`)
  // mulberry32: small, and the same on every machine
  let at = seed
  const random = (below: number) => {
    at = (at + 0x6d2b79f5) | 0
    let it = Math.imul(at ^ (at >>> 15), 1 | at)
    it = (it + Math.imul(it ^ (it >>> 7), 61 | it)) ^ it
    return ((it ^ (it >>> 14)) >>> 0) % below
  }
  const staged = nodeOf()
  await stage(quiet(staged), sources.of('1.2.0'), plain)
  let [refused, done] = [0, 0]
  for (let round = 0; round < 216; round++) {
    const name = flipped[round % flipped.length] as string
    const root = join(temporaryFolder(), 'node')
    cpSync(staged, root, {recursive: true, verbatimSymlinks: true})
    const bytes = readFileSync(join(root, name))
    const [place, bit] = [random(bytes.length), random(8)]
    bytes[place] = (bytes[place] as number) ^ (1 << bit)
    writeFileSync(join(root, name), bytes)
    const what = `${name} byte ${place} bit ${bit}`
    try {
      await (round % 2 === 0 ? apply(quiet(root), plain) : rollback(quiet(root)))
      done++
    } catch (error) {
      assert.ok(error instanceof RelError, `${what}: ${error}`)
      assert.match(error.code, /^upgrade_/, what)
      refused++
      assert.is(readlinkSync(join(root, 'current')), 'versions/1.1.0', what)
      continue
    }
    // it went well: then what runs is as signed, whatever the bit was
    await verifyDevice(quiet(root)).catch((error) => {
      throw new Error(`${what}: ${error}`)
    })
  }
  assert.ok(refused > 50 && done > 20, `${refused} refused, ${done} done`)
})

const repairs: readonly [string, (root: string) => void, string][] = [
  ['current is missing', (root) => rmSync(join(root, 'current')), ''],
  [
    'current is missing, and one version verifies',
    (root) => {
      rmSync(join(root, 'current'))
      writeFileSync(join(root, 'versions/1.0.0/data.txt'), 'x')
    },
    '1.1.0',
  ],
  [
    'what runs is damaged',
    (root) => writeFileSync(join(root, 'versions/1.1.0/data.txt'), 'x'),
    '1.0.0',
  ],
  ['current leads out', (root) => link(root, 'current', '/etc'), ''],
  [
    'no record can be read',
    (root) => {
      put(root, '.rel/state.json', '')
      put(root, '.rel/state.json.1', '')
    },
    '1.1.0',
  ],
  [
    'no record can be read, and current is missing',
    (root) => {
      noRecord(root)
      rmSync(join(root, 'current'))
    },
    '',
  ],
  [
    'nothing verifies',
    (root) => {
      for (const version of ['1.0.0', '1.1.0'])
        writeFileSync(join(root, 'versions', version, 'data.txt'), 'x')
    },
    '',
  ],
]

for (const [name, change, version] of repairs)
  test(`repair ${version === '' ? 'guesses nothing' : `leads to ${version}`}: ${name}`, async () => {
    const root = nodeOf()
    change(root)
    const before = treeState(root)
    if (version === '') {
      const refusal = await repair(quiet(root)).catch((error: unknown) => error)
      assert.instance(refusal, RelError)
      assert.match((refusal as RelError).code, /^upgrade_(?:layout_invalid|checksum_mismatch)$/)
      assert.equal(treeState(root), before)
      return
    }
    const {slot} = await repair(quiet(root))
    assert.is(slot.version, version)
    assert.is(readlinkSync(join(root, 'current')), `versions/${version}`)
    assert.is(loadRecords(root).floor, '1.1.0', 'the floor is the highest that can be read')
    await verifyDevice(quiet(root))
    await stage(quiet(root), sources.of('1.2.0'), plain)
    await apply(quiet(root), plain)
    const beside = /^(?:data|cache|run|logs)/
    const kept = (lines: readonly string[]) => lines.filter((line) => beside.test(line))
    assert.equal(kept(treeState(root)), kept(before), 'what the program keeps is untouched')
  })

test('an update and a way back leave data, cache, run and logs as they are', async () => {
  const root = nodeOf()
  const kept = () => treeState(root).filter((line) => /^(?:data|cache|run|logs)/.test(line))
  const before = kept()
  assert.is(before.length, 8)
  await stage(quiet(root), sources.of('1.2.0'), plain)
  await apply(quiet(root), plain)
  await rollback(quiet(root))
  assert.equal(kept(), before)
})

test.run()
