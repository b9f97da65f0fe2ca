import {copyFileSync, readFileSync, readlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../../src/device/apply.ts'
import {recordingFs} from '../../../src/device/durable-fs.ts'
import {followAnchor, successionOf} from '../../../src/device/follow-anchor.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {RelError} from '../../../src/system/error.ts'
import type {Anchor} from '../../../src/trust/anchor.ts'
import {planRenew, planRevokeDigests, planRotate} from '../../../src/trust/anchor-plan.ts'
import {signedAnchor, testAnchor, testKey, testNow, testSigner} from '../../support/anchors.ts'
import {makeNode, makeSources, plain} from '../../support/device/node.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {runRel} from '../../support/rel.ts'
import {temporaryFolder} from '../../support/tmp.ts'

// How a node gets new keys: TUF's root rule (design.md), from the anchor that it has.

const end = testNow + 90 * 86_400
const sources = await makeSources('1.0.0', '1.1.0')
const first = testAnchor({role: 'root', keys: ['root']}, {role: 'manifest', keys: ['archive']})
const idOf = (name: string) => testSigner(name).publicKey.keyId
/** The root key is replaced in version 2, the key of manifests in version 3. */
const second = planRotate(
  first,
  {from: idOf('root'), to: testKey('root-2'), overlap: false},
  end + 1,
)
const third = planRotate(
  second,
  {from: idOf('archive'), to: testKey('archive-2'), overlap: false},
  end + 2,
)

const signed = {
  second: await signedAnchor(second, 'root', 'root-2'),
  third: await signedAnchor(third, 'root-2'),
}

/** A folder as the owners of an anchor keep it. */
function folderOf(files: Readonly<Record<string, Buffer>>): string {
  const folder = temporaryFolder()
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes)
  return join(folder, 'trust.json')
}

const anchorAt = (root: string) => join(root, 'trust_anchor.json')

test('a node follows over versions in between, and trusts the last alone', async () => {
  const node = await makeNode(sources)
  const path = folderOf({'2.trust.json': signed.second, 'trust.json': signed.third})
  const succession = followAnchor(node, path)
  assert.equal([succession.before.anchor.version, succession.after.anchor.version], [1, 3])
  const again = followAnchor(node, path)
  assert.is(again.before, again.after, 'nothing more to do')
  // the key that signed both is one that was replaced
  await rejectsCode(() => stage(node, sources.of('1.1.0'), plain), 'upgrade_signature_invalid')
  await rejectsCode(() => verifyDevice(node), 'upgrade_signature_invalid')
})

const expired = planRenew(first, testNow - 1)
const other = planRenew(first, end + 5)
const chain = {'2.trust.json': signed.second, 'trust.json': signed.third}
const refusals: readonly [string, Readonly<Record<string, Buffer>>, ErrorCode][] = [
  ['with a version missing in between', {'trust.json': signed.third}, 'anchor_gap'],
  [
    'by the new root key alone',
    {'trust.json': await signedAnchor(second, 'root-2')},
    'anchor_old_root',
  ],
  [
    'by the old root key alone',
    {'trust.json': await signedAnchor(second, 'root')},
    'anchor_new_root',
  ],
  ['by somebody else', {'trust.json': await signedAnchor(second, 'archive')}, 'anchor_old_root'],
  ['that has expired', {'trust.json': await signedAnchor(expired, 'root')}, 'anchor_expired'],
  [
    'with a version in between that nobody signed',
    {...chain, '2.trust.json': await signedAnchor(second, 'archive')},
    'anchor_old_root',
  ],
  [
    'of the same version, and another',
    {'trust.json': await signedAnchor({...other, version: 1}, 'root')},
    'anchor_inconsistent',
  ],
  [
    'of a version that nobody can count to',
    {'trust.json': await signedAnchor({...other, version: Number.MAX_SAFE_INTEGER}, 'root')},
    'anchor_gap',
  ],
  ['cut short', {'trust.json': signed.second.subarray(0, -20)}, 'json_syntax'],
  ['that is too large', {'trust.json': Buffer.alloc(2_000_000, ' ')}, 'file_too_large'],
  ['that is not there', {}, 'file_missing'],
]

for (const [name, files, code] of refusals)
  test(`an anchor is refused: ${name}`, async () => {
    const node = await makeNode(sources)
    const before = readFileSync(anchorAt(node.root))
    await rejectsCode(async () => successionOf(node, folderOf(files)), code)
    assert.equal(readFileSync(anchorAt(node.root)), before)
  })

test('an anchor that a killed run has put there is durable before it is told', async () => {
  const node = await makeNode(sources)
  const path = folderOf({'trust.json': signed.second})
  followAnchor(node, path)
  const ops: string[] = []
  const fs = recordingFs(node.world.fs, (op) => ops.push(`${op.op} ${op.path}`))
  followAnchor({...node, world: {...node.world, fs}}, path)
  assert.equal(ops, ['sync_dir .rel', 'sync_dir '])
})

/** A node whose trial of 1.1.0 was interrupted, before or after the swap. */
async function onTrial(isSwapped: boolean) {
  const node = await makeNode(sources)
  const {world} = node
  const stop = () => Promise.reject(new RelError('interrupted', 'stopped'))
  const fs = recordingFs(world.fs, ({op, path}) => {
    if (!isSwapped && op === 'symlink' && path.includes('current'))
      throw new RelError('interrupted', 'stopped')
  })
  await stage(node, sources.of('1.1.0'), plain)
  const stopped = {...node, world: {...world, fs, health: stop}}
  await rejectsCode(() => apply(stopped, plain), 'interrupted')
  return node
}

for (const isSwapped of [false, true])
  test(`what an anchor revokes is not committed, ${isSwapped ? 'nor' : 'before it is'} started`, async () => {
    const node = await onTrial(isSwapped)
    const {candidate, running} = loadRecords(node.root).record
    const revoked = planRevokeDigests(first, [candidate?.digest ?? ''], end + 1)
    followAnchor(node, folderOf({'trust.json': await signedAnchor(revoked, 'root')}))
    await rejectsCode(() => resume(node), 'upgrade_rolled_back')
    assert.is(loadRecords(node.root).record.running.digest, running.digest)
    assert.is(readlinkSync(join(node.root, 'current')), 'versions/1.0.0')
  })

test('an older one is no way back to a key that was replaced', async () => {
  const node = await makeNode(sources)
  followAnchor(node, folderOf({'trust.json': signed.second}))
  await rejectsCode(async () => successionOf(node, sources.anchor), 'anchor_rollback')
})

test('a way that is longer than anybody walks is refused', async () => {
  const node = await makeNode(sources)
  const files: Record<string, Buffer> = {}
  let last: Anchor = first
  for (let version = 2; version <= 67; version++) {
    last = planRenew(last, end + version)
    files[`${version}.trust.json`] = await signedAnchor(last, 'root')
  }
  const path = folderOf({...files, 'trust.json': await signedAnchor(last, 'root')})
  await rejectsCode(async () => successionOf(node, path), 'anchor_steps')
})

test('the command: dry first, then for good, then nothing more to do; what it shut out is told', async () => {
  const node = await makeNode(sources)
  const far = Math.floor(Date.now() / 1000) + 86_400
  const {digest} = loadRecords(node.root).record.running
  const revoked = planRevokeDigests(first, [digest], far)
  const path = folderOf({'trust.json': await signedAnchor(revoked, 'root')})
  const run = async (...more: readonly string[]) => {
    const {code, stdout} = await runRel(['device', 'trust', node.root, path, '--json', ...more])
    const {result, warnings = [], error} = JSON.parse(stdout)
    return {code, result, warnings, error}
  }
  const before = readFileSync(anchorAt(node.root))
  const dry = await run('--dry-run')
  assert.equal(dry.result, {from: 1, to: 2, changed: false, dry_run: true}, JSON.stringify(dry))
  assert.equal(readFileSync(anchorAt(node.root)), before)
  const done = await run()
  assert.equal(done.result, {from: 1, to: 2, changed: true, dry_run: false})
  assert.is(done.warnings.length, 1)
  assert.match(String(done.warnings), 'what runs is not verified by it')
  const again = await run()
  assert.equal(again.result, {from: 2, to: 2, changed: false, dry_run: false})
  copyFileSync(sources.anchor, path)
  assert.is((await run()).error?.code, 'anchor_rollback')
})

test('a way back that an anchor shuts out is told while there is time', async () => {
  const node = await makeNode(sources)
  const {digest} = loadRecords(node.root).record.running
  await stage(node, sources.of('1.1.0'), plain)
  await apply(node, plain)
  const far = Math.floor(Date.now() / 1000) + 86_400
  const path = folderOf({
    'trust.json': await signedAnchor(planRevokeDigests(first, [digest], far), 'root'),
  })
  const {code, stdout} = await runRel(['device', 'trust', node.root, path, '--json'])
  const {warnings} = JSON.parse(stdout) as {warnings: string[]}
  assert.equal([code, warnings.length], [0, 1], stdout)
  assert.match(String(warnings), 'there is no way back')
})

test.run()
