import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {planFirst} from '../../src/trust/anchor-plan.ts'
import {signedAnchor, testKey} from '../support/anchors.ts'
import {bundleWith, noise, randomFrom} from '../support/delta.ts'
import {configJson} from '../support/device/node.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const base = noise(300_000, randomFrom(3))
const edited = Buffer.concat([base.subarray(0, 1000), Buffer.from('new'), base.subarray(1000)])
const old = await bundleWith('1.0.0', {app: base, kept: 'kept'})
const next = await bundleWith('1.1.0', {app: edited, kept: 'kept', fresh: 'new'})
const folder = temporaryFolder()
const at = (name: string) => join(folder, name)
const delta = at('app.from-1.0.0.delta.tar.zst')

async function rel(...args: readonly string[]) {
  const {stdout, code, stderr} = await runRel([...args, '--json'])
  const {result, error} = JSON.parse(stdout)
  return {code, result, error, stderr}
}

test('a delta is packed from an archive, twice the same, and says what it saves', async () => {
  assert.is((await rel('pack', old.folder, '-o', at('old.tar.zst'))).code, 0)
  const pack = ['pack', next.folder, '--delta-from', at('old.tar.zst'), '-o', delta]
  const dry = await rel(...pack, '--dry-run')
  assert.equal([dry.result.changed_files, dry.result.dry_run], [2, true])
  const made = await rel(...pack)
  assert.is(made.code, 0, made.stderr)
  const {patched_files: patched, whole_files: whole, size, whole_size: all} = made.result
  assert.equal([patched, whole, size], [1, 1, readFileSync(delta).length])
  assert.ok(size < all / 50, `${size} of ${all} bytes`)
  assert.is((await rel(...pack)).error.code, 'file_exists')
  const again = ['pack', next.folder, '--delta-from', old.folder, '-o', delta, '--force']
  assert.is((await rel(...again)).result.sha256, made.result.sha256)
  const format = await rel(...again, '--format', 'tar')
  assert.is(format.error.code, 'usage_invalid')
  assert.equal(readdirSync(folder).sort(), ['app.from-1.0.0.delta.tar.zst', 'old.tar.zst'])
})

test('a node stages and applies it', async () => {
  const roles = [
    {role: 'root', keys: [testKey('root')], threshold: 1},
    {role: 'manifest', keys: [testKey('archive')], threshold: 1},
  ] as const
  const anchor = planFirst(roles, Math.floor(Date.now() / 1000) + 90 * 86_400)
  writeFileSync(at('trust.json'), await signedAnchor(anchor, 'root'))
  writeFileSync(at('device.json'), JSON.stringify(configJson))
  const root = at('node')
  const init = ['--config', at('device.json'), '--trust', at('trust.json'), '--bundle', old.folder]
  assert.is((await rel('device', 'init', root, ...init)).code, 0)
  assert.is((await rel('device', 'stage', root, delta, '--dry-run')).result.dry_run, true)
  const staged = await rel('device', 'stage', root, delta)
  assert.is(staged.result?.state, 'staged', staged.stderr)
  assert.is((await rel('device', 'apply', root)).result.floor, '1.1.0')
  assert.ok(readFileSync(join(root, 'current/app')).equals(edited))
  const twice = await rel('device', 'stage', root, delta)
  assert.is(twice.error.code, 'upgrade_not_newer')
})

test.run()
