import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../../src/device/apply.ts'
import {checkFirst} from '../../../src/device/init.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {binaryPlace} from '../../../src/device/place-binary.ts'
import {repair} from '../../../src/device/repair.ts'
import {checkSource, stage} from '../../../src/device/stage.ts'
import {statusOf, verifyDevice} from '../../../src/device/status.ts'
import {testNow} from '../../support/anchors.ts'
import {plain} from '../../support/device/node.ts'
import {
  installProgram,
  makeProgramNode,
  type ProgramDevice,
  programAt,
  programBytes,
  programFolder,
  programSources,
  writeRelease,
} from '../../support/device/program-node.ts'
import {needsThat} from '../../support/needs.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const sources = await programSources('0.9.0', '1.0.0', '1.1.0', '1.2.0')
const versionAt = ({path}: ProgramDevice, suffix = '') =>
  /agent (\S+)/.exec(readFileSync(`${path}${suffix}`, 'utf8'))?.[1]

test('a program is replaced in its place, and the one before stays beside it', async () => {
  const device = await makeProgramNode(sources)
  assert.is(versionAt(device), '1.0.0')
  await stage(device, sources.of('1.1.0'), plain)
  assert.is(versionAt(device), '1.0.0')
  assert.is(loadRecords(device.root).floor, '1.0.0')
  await apply(device, plain)
  const {record, floor} = loadRecords(device.root)
  assert.equal(
    [record.state, record.running.version, record.previous?.version, floor],
    ['committed', '1.1.0', '1.0.0', '1.1.0'],
  )
  assert.equal([versionAt(device), versionAt(device, '.rel-prev')], ['1.1.0', '1.0.0'])
  assert.is(statSync(device.path).mode & 0o7777, 0o755)
  await verifyDevice(device)
  assert.not.ok(existsSync(join(device.root, 'current')))
})

test('a program that runs keeps its bytes, and the next start has the new ones', async () => {
  const device = await makeProgramNode(sources)
  const {ino} = statSync(device.path)
  linkSync(device.path, `${device.path}.open`)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  assert.is.not(statSync(device.path).ino, ino)
  assert.equal(readFileSync(`${device.path}.open`), programBytes('1.0.0'))
})

test('a version that is not healthy is taken back byte for byte and remembered', async () => {
  const device = await makeProgramNode(sources, {broken: ['1.1.0']})
  await stage(device, sources.of('1.1.0'), plain)
  await rejectsCode(() => apply(device, plain), 'upgrade_rolled_back')
  assert.equal(readFileSync(device.path), programBytes('1.0.0'))
  const {record, floor} = loadRecords(device.root)
  assert.equal([record.state, record.running.version, floor], ['rolled_back', '1.0.0', '1.0.0'])
  await verifyDevice(device)
  await rejectsCode(() => stage(device, sources.of('1.1.0'), plain), 'upgrade_blocked')
  await stage(device, sources.of('1.2.0'), plain)
  await apply(device, plain)
  assert.is(versionAt(device), '1.2.0')
  assert.not.ok(existsSync(join(device.root, 'versions/1.1.0')), 'what nothing names is removed')
})

test('an operator goes back, below the floor, with the recorded bytes', async () => {
  const device = await makeProgramNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  await rollback(device)
  const status = statusOf(device)
  assert.equal([versionAt(device), status.floor, status.isBelowFloor], ['1.0.0', '1.1.0', true])
  await verifyDevice(device)
})

test('the way back beside the program makes up for a damaged one below the root', async () => {
  const device = await makeProgramNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  writeFileSync(join(device.root, 'versions/1.0.0/program'), 'x')
  await rollback(device)
  assert.equal(readFileSync(device.path), programBytes('1.0.0'))
})

test('without any way back nothing is touched', async () => {
  const device = await makeProgramNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  writeFileSync(join(device.root, 'versions/1.0.0/program'), 'x')
  writeFileSync(`${device.path}.rel-prev`, 'y')
  await rejectsCode(() => rollback(device), 'upgrade_rollback_failed')
  assert.is(versionAt(device), '1.1.0')
  assert.is(loadRecords(device.root).record.state, 'committed')
})

test('a release that was fetched is placed like one of a folder', async () => {
  const device = await makeProgramNode(sources)
  const text = readFileSync(join(sources.of('1.1.0'), 'release.json'), 'utf8')
  const file = join(temporaryFolder(), 'fetched')
  writeFileSync(file, programBytes('1.1.0'))
  await stage(device, binaryPlace(text, file), {...plain, expect: {version: '1.1.0'}})
  await apply(device, plain)
  assert.is(versionAt(device), '1.1.0')
  writeFileSync(file, programBytes('1.1.0'))
  const next = readFileSync(join(sources.of('1.2.0'), 'release.json'), 'utf8')
  await rejectsCode(
    () => stage(device, binaryPlace(next, file), plain),
    'upgrade_checksum_mismatch',
  )
  assert.not.ok(existsSync(join(device.root, 'versions/.1.2.0.partial')))
})

test('a program that is there is taken over when it is in the release, and is left alone else', async () => {
  const around = programFolder()
  const device = programAt(around)
  writeFileSync(device.path, programBytes('1.0.0'), {mode: 0o755})
  const {ino} = statSync(device.path)
  await installProgram(device, sources)
  assert.is(statSync(device.path).ino, ino)
  await verifyDevice(device)
  const other = programAt(programFolder())
  writeFileSync(other.path, 'mine')
  await rejectsCode(() => installProgram(other, sources), 'upgrade_checksum_mismatch')
  assert.is(readFileSync(other.path, 'utf8'), 'mine')
  rmSync(other.path)
  await installProgram(other, sources)
  assert.is(versionAt(other), '1.0.0')
})

test('what would be installed or staged is judged without writing', async () => {
  const {config} = programAt(programFolder())
  const slot = await checkFirst(config, sources.anchor, sources.of('1.0.0'), testNow)
  assert.equal([slot.version, slot.channel], ['1.0.0', 'stable'])
  const device = await makeProgramNode(sources)
  const before = loadRecords(device.root)
  const {slot: next} = await checkSource(device, sources.of('1.1.0'), plain)
  assert.is(next.version, '1.1.0')
  await rejectsCode(
    () => checkSource(device, sources.of('0.9.0'), plain),
    'upgrade_version_too_old',
  )
  assert.equal(loadRecords(device.root), before)
})

test('the owner of the program is kept', async () => {
  if (!needsThat('root', process.getuid?.() === 0, 'changing an owner takes root')) return
  const device = await makeProgramNode(sources)
  chownSync(device.path, 12345, 12346)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  const {uid, gid, mode} = statSync(device.path)
  assert.equal([uid, gid, mode & 0o7777], [12345, 12346, 0o755])
  // a version on trial runs as its owner: it must not be able to spoil its way back
  assert.is(statSync(`${device.path}.rel-prev`).uid, 0)
  await rollback(device)
  assert.is(statSync(device.path).uid, 12345)
})

test('a staged program is verified again before it is applied', async () => {
  const device = await makeProgramNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  const kept = join(device.root, 'versions/1.1.0/program')
  writeFileSync(kept, programBytes('6.6.6'))
  await rejectsCode(() => apply(device, plain), 'upgrade_staged_corrupt')
  assert.is(versionAt(device), '1.0.0')
})

type Code = Parameters<typeof rejectsCode>[1]

const badReleases: readonly [string, Parameters<typeof writeRelease>[2], Code][] = [
  ['another product', {product: 'other'}, 'product_mismatch'],
  ['expired', {expires: testNow - 1}, 'release_expired'],
  ['of the future', {timestamp: testNow + 86_400}, 'timestamp_future'],
  ['a step is missing', {minFrom: '1.0.5'}, 'upgrade_step_missing'],
]

for (const [name, change, code] of badReleases)
  test(`a release is refused and nothing changes: ${name}`, async () => {
    const device = await makeProgramNode(sources)
    const folder = join(temporaryFolder(), 'release')
    await writeRelease(folder, '1.1.0', change)
    const before = loadRecords(device.root)
    await rejectsCode(() => stage(device, folder, plain), code)
    assert.equal(loadRecords(device.root), before)
    assert.not.ok(existsSync(join(device.root, 'versions/1.1.0')))
    assert.is(versionAt(device), '1.0.0')
  })

const badConfigs: readonly [string, object, Code][] = [
  ['another machine', {target: 'linux-riscv64'}, 'upgrade_source_invalid'],
  [
    'another channel',
    {upgrade: {enabled: true, allowed_channels: ['beta']}},
    'upgrade_channel_not_allowed',
  ],
  ['switched off', {upgrade: {enabled: false}}, 'upgrade_disabled'],
]

for (const [name, change, code] of badConfigs)
  test(`a configuration refuses a release: ${name}`, async () => {
    const {root} = await makeProgramNode(sources)
    const device = programAt(dirname(root), {}, change)
    await rejectsCode(() => stage(device, sources.of('1.1.0'), plain), code)
    assert.not.ok(existsSync(join(root, 'versions/1.1.0')))
  })

const badFolders: readonly [string, (folder: string) => void, Code][] = [
  [
    'one byte of the program',
    (folder) => writeFileSync(join(folder, 'agent-linux-arm64'), '#!/bin/sh\necho agent 1.1.1\n'),
    'upgrade_checksum_mismatch',
  ],
  [
    'a longer program',
    (folder) => writeFileSync(join(folder, 'agent-linux-arm64'), 'x'.repeat(1e6)),
    'upgrade_checksum_mismatch',
  ],
  ['no program', (folder) => rmSync(join(folder, 'agent-linux-arm64')), 'file_missing'],
  [
    'the version relabelled',
    (folder) => {
      const path = join(folder, 'release.json')
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll('1.1.0', '9.9.9'))
    },
    'upgrade_signature_invalid',
  ],
  ['no release', (folder) => rmSync(join(folder, 'release.json')), 'file_missing'],
  [
    'no JSON',
    (folder) => writeFileSync(join(folder, 'release.json'), '{'),
    'upgrade_signature_invalid',
  ],
  [
    'a program that is a link',
    (folder) => {
      rmSync(join(folder, 'agent-linux-arm64'))
      symlinkSync('/bin/true', join(folder, 'agent-linux-arm64'))
    },
    'file_unreadable',
  ],
]

for (const [name, damage, code] of badFolders)
  test(`a source is refused and leaves nothing: ${name}`, async () => {
    const device = await makeProgramNode(sources)
    const folder = join(temporaryFolder(), 'release')
    await writeRelease(folder, '1.1.0')
    damage(folder)
    await rejectsCode(() => stage(device, folder, plain), code)
    for (const left of ['1.1.0', '.1.1.0.partial', '9.9.9'])
      assert.not.ok(existsSync(join(device.root, 'versions', left)))
    assert.is(versionAt(device), '1.0.0')
  })

const badPlaces: readonly [string, (path: string) => void, Code][] = [
  [
    'a link',
    (path) => {
      renameSync(path, `${path}.real`)
      symlinkSync('agent.real', path)
    },
    'upgrade_layout_invalid',
  ],
  [
    'a folder',
    (path) => {
      rmSync(path)
      mkdirSync(path)
    },
    'upgrade_layout_invalid',
  ],
  ['writable by others', (path) => chmodSync(path, 0o757), 'upgrade_layout_invalid'],
  [
    'in a folder others can write',
    (path) => chmodSync(dirname(path), 0o777),
    'upgrade_layout_invalid',
  ],
  ['nothing', (path) => rmSync(path), 'upgrade_layout_invalid'],
  ['other bytes', (path) => writeFileSync(path, 'mine'), 'upgrade_layout_invalid'],
]

for (const [name, damage, code] of badPlaces)
  test(`a program is not touched where it is ${name}`, async () => {
    const device = await makeProgramNode(sources)
    damage(device.path)
    await rejectsCode(() => verifyDevice(device), code)
    await rejectsCode(() => stage(device, sources.of('1.1.0'), plain), code)
    assert.not.ok(existsSync(join(device.root, 'versions/1.1.0')))
    assert.not.ok(existsSync(`${device.path}.rel-prev`))
  })

test('repair finds the version of the program, or puts back the only one that ran', async () => {
  const device = await makeProgramNode(sources)
  writeFileSync(join(device.root, '.rel/state.json'), 'garbage')
  assert.equal(await repair(device).then(({slot, isMoved}) => [slot.version, isMoved]), [
    '1.0.0',
    false,
  ])
  rmSync(device.path)
  const {slot, isMoved} = await repair(device)
  assert.equal([slot.version, isMoved, versionAt(device)], ['1.0.0', true, '1.0.0'])
  await verifyDevice(device)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  writeFileSync(device.path, 'mine')
  await rejectsCode(() => repair(device), 'upgrade_layout_invalid')
  assert.is(readFileSync(device.path, 'utf8'), 'mine')
})

test.run()
