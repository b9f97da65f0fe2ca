import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {planFirst} from '../../src/trust/anchor-plan.ts'
import {signedAnchor, testKey} from '../support/anchors.ts'
import {bundleOf, configJson} from '../support/device/node.ts'
import {programBytes, programConfig, writeRelease} from '../support/device/program-node.ts'
import {runRel} from '../support/rel.ts'
import {writeTree} from '../support/signed-tree.ts'
import {temporaryFolder} from '../support/tmp.ts'

type Doc = {
  readonly result: Record<string, unknown>
  readonly error: {readonly code: string}
  readonly undo?: string
}

async function device(...args: readonly string[]): Promise<Doc & {readonly code: number | null}> {
  const {stdout, code} = await runRel(['device', ...args, '--json'])
  return {...(JSON.parse(stdout) as Doc), code}
}

/** A folder with an anchor that is good at the time of the machine. */
async function place(): Promise<(name: string) => string> {
  const folder = join(temporaryFolder(), 'a place')
  mkdirSync(folder)
  const at = (name: string) => join(folder, name)
  const grants = [
    {role: 'root', keys: [testKey('root')], threshold: 1},
    {role: 'manifest', keys: [testKey('manifest'), testKey('archive')], threshold: 1},
    {role: 'artifact', keys: [testKey('artifact')], threshold: 1},
  ] as const
  const anchor = planFirst(grants, Math.floor(Date.now() / 1000) + 90 * 86_400)
  writeFileSync(at('trust.json'), await signedAnchor(anchor, 'root'))
  return at
}

test('one program, by commands: installed, updated, failed, taken back', async () => {
  const at = await place()
  mkdirSync(at('bin'))
  chmodSync(at('bin'), 0o755)
  const health = {command: ['sh', '-c', 'test "$REL_VERSION" != 1.2.0']}
  const upgrade = {...configJson.upgrade, boot_health_window_secs: 1}
  writeFileSync(at('device.json'), JSON.stringify({...programConfig(at('')), upgrade, health}))
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) await writeRelease(at(version), version)
  const init = ['init', at('node'), '--config', at('device.json'), '--trust', at('trust.json')]
  const program = at('bin/agent')
  assert.is((await device(...init, '--bundle', at('1.0.0'), '--dry-run')).result.dry_run, true)
  assert.not.ok(existsSync(program))
  assert.is((await device(...init, '--bundle', at('1.0.0'))).code, 0)
  assert.is((await device('stage', at('node'), at('1.1.0'), '--dry-run')).result.dry_run, true)
  assert.is((await device('stage', at('node'), at('1.1.0'))).result.state, 'staged')
  assert.equal(readFileSync(program), programBytes('1.0.0'))
  const applied = await device('apply', at('node'))
  assert.equal([applied.result.state, applied.result.floor], ['committed', '1.1.0'])
  assert.equal(readFileSync(program), programBytes('1.1.0'))
  assert.equal(readFileSync(`${program}.rel-prev`), programBytes('1.0.0'))
  await device('stage', at('node'), at('1.2.0'))
  assert.is((await device('apply', at('node'))).error.code, 'upgrade_rolled_back')
  assert.equal(readFileSync(program), programBytes('1.1.0'))
  assert.is((await device('verify', at('node'))).code, 0)
  writeFileSync(program, 'somebody else')
  assert.is((await device('verify', at('node'))).error.code, 'upgrade_layout_invalid')
  assert.is((await device('init', at('node'), '--repair')).error.code, 'upgrade_layout_invalid')
})

test("a root of D2's, by commands: printed, taken over, and its undo", async () => {
  const at = await place()
  const root = at('edge')
  mkdirSync(join(root, 'versions'), {recursive: true})
  chmodSync(join(root, 'versions'), 0o755)
  writeTree(join(root, 'versions/v1.0.0'), await bundleOf('1.0.0'))
  symlinkSync('versions/v1.0.0/', join(root, 'current'))
  writeFileSync(at('device.json'), JSON.stringify(configJson))
  const adopt = [
    'init',
    root,
    '--adopt',
    '--config',
    at('device.json'),
    '--trust',
    at('trust.json'),
  ]
  const plan = await device(...adopt, '--dry-run')
  assert.is(plan.result.dry_run, true)
  assert.not.ok(existsSync(join(root, '.rel')))
  const taken = await device(...adopt)
  assert.equal([taken.code, taken.result.state, taken.result.floor], [0, 'committed', '1.0.0'])
  assert.is(readlinkSync(join(root, 'current')), 'versions/1.0.0')
  assert.match(taken.undo ?? '', /ln -sfn versions\/v1\.0\.0\/ /)
  // verify names what the operator still has to remove
  assert.is((await device('verify', root)).error.code, 'upgrade_layout_invalid')
  renameSync(join(root, 'versions/v1.0.0'), at('old'))
  assert.is((await device('verify', root)).code, 0)
  assert.is((await device(...adopt)).error.code, 'file_exists')
})

test.run()
