import {cpSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, checkRollback, rollback} from '../../../src/device/apply.ts'
import {raiseMark} from '../../../src/device/clock-mark.ts'
import type {Device} from '../../../src/device/device.ts'
import {realFs} from '../../../src/device/durable-fs.ts'
import {
  checkGrant,
  type GrantMemory,
  grantText,
  MAX_USED_GRANTS,
  parseGrant,
  type RollbackGrant,
  withUsed,
} from '../../../src/device/grant.ts'
import {grantedVersion, readGrantMemory} from '../../../src/device/grant-memory.ts'
import {loadRecords, paths} from '../../../src/device/layout.ts'
import {resume} from '../../../src/device/resume.ts'
import {writeSealed} from '../../../src/device/sealed-file.ts'
import {checkSource, stage} from '../../../src/device/stage.ts'
import {statusOf} from '../../../src/device/status.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {parseAnchor} from '../../../src/trust/anchor-parse.ts'
import {testAnchor, testNow} from '../../support/anchors.ts'
import {grantSources, namedNode, signedGrant, testGrant} from '../../support/device/grants.ts'
import {deviceAt, plain} from '../../support/device/node.ts'
import {lazyFs} from '../../support/device/program-node.ts'
import {Cut, cutAt, cuttingFs} from '../../support/device/traces.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {treeState} from '../../support/tree-state.ts'

const sources = await grantSources({keys: ['rollback']}, '0.9.0', '1.0.0', '1.1.0', '1.2.0')

async function nodeAt(...versions: readonly string[]): Promise<Device> {
  const device = await namedNode(join(temporaryFolder(), 'node'), sources)
  for (const version of versions) {
    await stage(device, sources.of(version), plain)
    await apply(device, plain)
  }
  return device
}

/** The version that was left counts as one that failed. */
const again = {...plain, isRetry: true}

const causeOf = (error: {readonly details?: Readonly<Record<string, unknown>> | undefined}) =>
  error.details?.cause_code

test('a grant takes a node back to the version before, once, and the floor stays', async () => {
  const device = await nodeAt('1.1.0')
  const grant = await signedGrant()
  await checkRollback(device, grant)
  assert.equal(readGrantMemory(device.root).used, [], 'a check uses nothing up')
  const {record, floor} = await rollback(device, grant)
  assert.equal([record.running.version, floor], ['1.0.0', '1.1.0'])
  assert.equal(statusOf(device).belowFloorBy, 'grant')
  await stage(device, sources.of('1.1.0'), again)
  await apply(device, again)
  assert.is(statusOf(device).isBelowFloor, false)
  const used = await rejectsCode(() => rollback(device, grant), 'upgrade_grant_invalid')
  assert.is(causeOf(used), 'grant_used')
  await rollback(device)
  assert.equal(statusOf(device).belowFloorBy, 'grant', 'the same version, let in by that grant')
})

test('an operator needs no grant, and the status says so', async () => {
  const device = await nodeAt('1.1.0')
  await rollback(device)
  assert.is(statusOf(device).belowFloorBy, 'rollback')
})

const wrong: readonly [string, string, Partial<RollbackGrant>, (readonly string[])?][] = [
  ['another product', 'grant_wrong_product', {product: 'other'}],
  ['another node', 'grant_wrong_node', {nodes: ['berlin-8', 'paris-1']}],
  ['from another version', 'grant_wrong_version', {from: '1.2.0'}],
  ['to another version', 'grant_wrong_version', {to: '0.9.0'}],
  ['expired', 'grant_expired', {notAfter: testNow - 1}],
  ['by a manifest key', 'key_not_for_role', {}, ['archive']],
  ['by an unknown key', 'key_unknown', {}, ['stranger']],
]

for (const [name, cause, change, signers = []] of wrong)
  test(`a grant does not count: ${name}`, async () => {
    const device = await nodeAt('1.1.0')
    const grant = await signedGrant(change, ...signers)
    const before = readFileSync(join(device.root, paths.states[0]))
    const error = await rejectsCode(() => rollback(device, grant), 'upgrade_grant_invalid')
    assert.is(causeOf(error), cause)
    const staged = await rejectsCode(
      () => stage(device, sources.of('1.0.0'), {...plain, grant}),
      'upgrade_grant_invalid',
    )
    assert.is(causeOf(staged), cause)
    assert.equal(readFileSync(join(device.root, paths.states[0])), before)
    assert.equal(readGrantMemory(device.root).used, [])
    assert.is(loadRecords(device.root).record.running.version, '1.1.0')
  })

test('a grant is good to its last second', async () => {
  const {record} = await rollback(await nodeAt('1.1.0'), await signedGrant({notAfter: testNow}))
  assert.is(record.running.version, '1.0.0')
})

test('a grant on which a byte was changed does not count', async () => {
  const device = await nodeAt('1.1.0')
  const {signatures} = await signedGrant()
  const forged = parseGrant(
    Buffer.from(grantText({grant: {...testGrant, nodes: ['berlin-7', 'x']}, signatures})),
  )
  const error = await rejectsCode(() => rollback(device, forged), 'upgrade_grant_invalid')
  assert.is(causeOf(error), 'signature_invalid')
})

test('a node without a name takes no grant', async () => {
  const {root} = await nodeAt('1.1.0')
  const grant = await signedGrant()
  const error = await rejectsCode(() => rollback(deviceAt(root), grant), 'upgrade_grant_invalid')
  assert.is(causeOf(error), 'grant_wrong_node')
})

test('as many keys must sign as the anchor says', async () => {
  const two = await grantSources({keys: ['rollback', 'r2'], threshold: 2}, '1.0.0', '1.1.0')
  const device = await namedNode(join(temporaryFolder(), 'node'), two)
  await stage(device, two.of('1.1.0'), plain)
  await apply(device, plain)
  const one = await signedGrant()
  const error = await rejectsCode(() => rollback(device, one), 'upgrade_grant_invalid')
  assert.is(causeOf(error), 'threshold_not_met')
  await rollback(device, await signedGrant({}, 'rollback', 'r2'))
})

test('a version that is gone comes back with a grant, alone and for as long as it is good', async () => {
  const device = await nodeAt('1.1.0', '1.2.0')
  const older = sources.of('1.0.0')
  await rejectsCode(() => stage(device, older, plain), 'upgrade_version_too_old')
  const grant = await signedGrant({from: '1.2.0', to: '1.0.0'})
  const other = () => stage(device, sources.of('1.1.0'), {...plain, grant})
  assert.is(causeOf(await rejectsCode(other, 'upgrade_grant_invalid')), 'grant_wrong_version')
  await stage(device, older, {...plain, grant})
  const late = {...device, world: {...device.world, now: () => testNow + 3601}}
  await rejectsCode(() => apply(late, plain), 'upgrade_version_too_old')
  await apply(device, plain)
  const {record, floor} = loadRecords(device.root)
  assert.equal([record.running.version, floor], ['1.0.0', '1.2.0'])
  assert.is(statusOf(device).belowFloorBy, 'grant')
  await rejectsCode(() => stage(device, sources.of('1.1.0'), plain), 'upgrade_version_too_old')
  await stage(device, sources.of('1.2.0'), plain)
  await apply(device, plain)
  await rejectsCode(() => stage(device, older, plain), 'upgrade_version_too_old')
  await rejectsCode(() => stage(device, older, {...plain, grant}), 'upgrade_grant_invalid')
})

test('what no grant lets in is not written, and a check says so as well', async () => {
  const device = await nodeAt('1.1.0', '1.2.0')
  const before = treeState(device.root)
  const source = sources.of('1.0.0')
  const terms = {from: '1.2.0', to: '1.0.0'}
  for (const change of [{notAfter: testNow - 1}, {nodes: ['paris-1']}, {product: 'other'}]) {
    const options = {...plain, grant: await signedGrant({...terms, ...change})}
    await rejectsCode(() => checkSource(device, source, options), 'upgrade_grant_invalid')
    await rejectsCode(() => stage(device, source, options), 'upgrade_grant_invalid')
    assert.equal(treeState(device.root), before)
  }
})

test('a grant opens no other gate', async () => {
  const {root} = await nodeAt('1.1.0')
  const upgrade = {enabled: true, allowed_channels: ['beta']}
  const grant = await signedGrant()
  for (const [change, code] of [
    [{upgrade}, 'upgrade_channel_not_allowed'],
    [{upgrade: {enabled: false}}, 'upgrade_disabled'],
    [{upgrade: {enabled: true, min_version: '1.0.1'}}, 'upgrade_version_too_old'],
  ] as const) {
    const device = deviceAt(root, {}, {node: 'berlin-7', ...change})
    await rejectsCode(() => stage(device, sources.of('1.0.0'), {...plain, grant}), code)
  }
  const before = deviceAt(root, {}, {node: 'berlin-7'})
  await rollback(before)
  await stage(before, sources.of('1.1.0'), again)
  await apply(before, again)
  assert.equal(readGrantMemory(root).used, [], 'what a gate refused has used nothing up')
})

test('a run that was killed between remembering and acting may use its grant again', async () => {
  const {root} = await nodeAt('1.1.0')
  const grant = await signedGrant()
  const isRecord = (path: string) => (paths.states as readonly string[]).includes(path)
  const fs = cuttingFs(realFs(root), (op) => op.op === 'rename' && isRecord(op.to))
  try {
    await rollback(deviceAt(root, {fs}, {node: 'berlin-7'}), grant)
    assert.unreachable()
  } catch (error) {
    assert.instance(error, Cut)
  }
  assert.is(readGrantMemory(root).used.length, 1)
  const device = deviceAt(root, {}, {node: 'berlin-7'})
  assert.is((await rollback(device, grant)).record.running.version, '1.0.0')
})

for (const act of ['rollback', 'stage'] as const)
  test(`killed before each operation of a ${act}, a node ends it with the same grant`, async () => {
    const base = (await nodeAt('1.1.0')).root
    const grant = await signedGrant()
    const run = async (device: Device) => {
      if (act === 'rollback') await rollback(device, grant)
      else await stage(device, sources.of('1.0.0'), {...plain, grant})
    }
    let isWhole = false
    for (let n = 0; !isWhole; n++) {
      const root = join(temporaryFolder(), 'node')
      cpSync(base, root, {recursive: true, verbatimSymlinks: true})
      const node = {node: 'berlin-7'}
      isWhole = true
      try {
        await run(deviceAt(root, {fs: cutAt(lazyFs(root), n)}, node))
      } catch (error) {
        isWhole = false
        assert.instance(error, Cut)
      }
      const device = deviceAt(root, {fs: lazyFs(root)}, node)
      const {state} = loadRecords(root).record
      if (state === 'committed') await run(device)
      else await resume(device)
      const {record, floor} = loadRecords(root)
      const end = act === 'rollback' ? record.running.version : record.candidate?.version
      assert.equal([end, floor, readGrantMemory(root).used.length], ['1.0.0', '1.1.0', 1])
      assert.ok(n < 100, 'it never came to its end')
    }
  })

test('the memory is durable before the record that it is for', async () => {
  const {root} = await nodeAt('1.1.0')
  const ops: string[] = []
  const fs = cuttingFs(realFs(root), (op) => {
    ops.push(`${op.op} ${op.op === 'rename' ? op.to : op.path}`)
    return false
  })
  await rollback(deviceAt(root, {fs}, {node: 'berlin-7'}), await signedGrant())
  const known = ops.indexOf(`rename ${paths.grants}`)
  const act = ops.findIndex((op) => op.startsWith('rename .rel/state.json'))
  assert.ok(known !== -1 && known < act)
  assert.ok(ops.slice(known, act).includes('sync_dir .rel'))
})

test('state files that somebody puts back make no grant good again', async () => {
  const device = await nodeAt('1.1.0')
  const grant = await signedGrant()
  const files = paths.states.map((name) => join(device.root, name))
  const kept = files.map((path) => readFileSync(path))
  await rollback(device, grant)
  kept.forEach((bytes, at) => void writeFileSync(files[at] as string, bytes))
  rmSync(join(device.root, 'current'))
  symlinkSync('versions/1.1.0', join(device.root, 'current'))
  const before = treeState(device.root)
  const used = await rejectsCode(() => rollback(device, grant), 'upgrade_grant_invalid')
  assert.is(causeOf(used), 'grant_used')
  assert.equal(treeState(device.root), before)
})

test('what a grant has staged is let in from the version that it names alone', async () => {
  const device = await nodeAt('1.1.0', '1.2.0')
  const grant = await signedGrant({from: '1.2.0', to: '1.0.0'})
  const {record, floor} = await stage(device, sources.of('1.0.0'), {...plain, grant})
  const {candidate, previous} = record
  if (candidate === undefined || previous === undefined) throw new Error('no candidate')
  assert.is(grantedVersion(device, {record, floor}, candidate), '1.0.0')
  const other = {record: {...record, running: previous}, floor}
  assert.is(grantedVersion(device, other, candidate), undefined)
  const late = {...device, world: {...device.world, now: () => testGrant.notAfter + 1}}
  assert.is(grantedVersion(late, {record, floor}, candidate), undefined)
})

test('a clock that was set back by more than a day takes no grant', async () => {
  const device = await nodeAt('1.1.0')
  raiseMark(device, testNow)
  const before = treeState(device.root)
  const back = {...device, world: {...device.world, now: () => testNow - 86_401}}
  const grant = await signedGrant()
  await rejectsCode(() => rollback(back, grant), 'upgrade_clock_untrusted')
  assert.equal(treeState(device.root), before)
})

test('a key that may sign for one channel signs no grant of another', async () => {
  const anchorOf = (channel: string) =>
    testAnchor(
      {role: 'root', keys: ['root']},
      {role: 'rollback', keys: ['rollback'], channels: [channel]},
    )
  const grant = await signedGrant()
  const facts = {product: 'app', node: 'berlin-7', from: '1.1.0', to: '1.0.0', now: testNow}
  for (const [own, other] of [
    ['stable', 'beta'],
    ['beta', 'stable'],
  ] as const) {
    checkGrant(grant, anchorOf(own), {...facts, channel: own})
    throwsCode(
      () => checkGrant(grant, anchorOf(own), {...facts, channel: other}),
      'upgrade_grant_invalid',
    )
  }
})

test('a memory with more in it than is known is none', async () => {
  const device = await nodeAt()
  const memory = {schema: 1, forgotten_until: 0, used: []}
  writeSealed(device.world.fs, paths.grants, memory)
  assert.equal(readGrantMemory(device.root), {used: [], forgottenUntil: 0})
  writeSealed(device.world.fs, paths.grants, {...memory, since: 0})
  throwsCode(() => readGrantMemory(device.root), 'upgrade_state_corrupt')
})

test('a damaged memory is no empty one', async () => {
  const device = await nodeAt('1.1.0')
  writeFileSync(join(device.root, paths.grants), '{}')
  const grant = await signedGrant()
  await rejectsCode(() => rollback(device, grant), 'upgrade_state_corrupt')
  rmSync(join(device.root, paths.grants))
  await rollback(device, grant)
})

test('a grant that was used lets in no other bundle of its version', () => {
  const {nonce, from, to, notAfter} = testGrant
  const used = {nonce, from, to, digest: 'one', notAfter, seq: 7}
  const memory = withUsed({used: [], forgottenUntil: 0}, used, testNow)
  assert.is(withUsed(memory, used, testNow), memory, 'the run that was killed ends what it began')
  for (const other of [
    {...used, digest: 'another'},
    {...used, seq: 8},
  ]) {
    const error = throwsCode(() => withUsed(memory, other, testNow), 'upgrade_grant_invalid')
    assert.is(causeOf(error), 'grant_used')
  }
})

test('a grant that the anchor revokes does not count', async () => {
  const {anchor} = parseAnchor(readFileSync(sources.anchor))
  const grant = await signedGrant()
  const facts = {
    product: 'app',
    node: 'berlin-7',
    from: '1.1.0',
    to: '1.0.0',
    channel: 'stable',
    now: testNow,
  }
  checkGrant(grant, anchor, facts)
  const revoking = {...anchor, revokedDigests: [sha256Hex(grant.canonical)]}
  const error = throwsCode(() => checkGrant(grant, revoking, facts), 'upgrade_grant_invalid')
  assert.is(causeOf(error), 'digest_revoked')
})

test('the memory has an end, and what it forgets is never taken again', () => {
  const used = (n: number, notAfter: number) => ({
    nonce: n.toString(16).padStart(32, '0'),
    from: '1.1.0',
    to: '1.0.0',
    digest: 'd',
    notAfter,
    seq: n,
  })
  let memory: GrantMemory = {used: [], forgottenUntil: 0}
  for (let n = 0; n < MAX_USED_GRANTS; n++) memory = withUsed(memory, used(n, 1000 + n), 10)
  const full = throwsCode(() => withUsed(memory, used(500, 5000), 999), 'upgrade_grant_invalid')
  assert.is(causeOf(full), 'grant_limit')
  memory = withUsed(memory, used(500, 5000), 1001)
  assert.is(memory.used.length, MAX_USED_GRANTS)
  const set = throwsCode(() => withUsed(memory, used(0, 1000), 0), 'upgrade_grant_invalid')
  assert.is(causeOf(set), 'grant_used', 'also when the clock is set back')
})

const shapes: readonly [string, (json: Record<string, unknown>) => void][] = [
  ['an unknown key', (grant) => Object.assign(grant, {note: 'x'})],
  ['another spec', (grant) => Object.assign(grant, {spec: 2})],
  ['no node', (grant) => Object.assign(grant, {nodes: []})],
  ['a node twice', (grant) => Object.assign(grant, {nodes: ['a', 'a']})],
  ['a version that is a path', (grant) => Object.assign(grant, {to: '../1.0.0'})],
  ['to a newer version', (grant) => Object.assign(grant, {to: '1.1.1'})],
  ['to the same version', (grant) => Object.assign(grant, {to: '1.1.0+other'})],
  ['a short nonce', (grant) => Object.assign(grant, {nonce: '00'})],
  ['no end', (grant) => delete grant.not_after],
]

for (const [name, change] of shapes)
  test(`a grant is malformed: ${name}`, async () => {
    const json = JSON.parse(grantText(await signedGrant()))
    change(json.grant)
    throwsCode(() => parseGrant(Buffer.from(JSON.stringify(json))), 'upgrade_grant_invalid')
  })

test.run()
