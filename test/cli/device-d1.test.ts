import {
  appendFileSync,
  cpSync,
  readFileSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {applyPack, planPack} from '../../src/bundle/archive/pack.ts'
import {grantText, signGrant} from '../../src/device/grant.ts'
import {planFirst} from '../../src/trust/anchor-plan.ts'
import {signedAnchor, testKey, testSigner} from '../support/anchors.ts'
import {bundleOf, configJson} from '../support/device/node.ts'
import {runRel} from '../support/rel.ts'
import {writeTree} from '../support/signed-tree.ts'
import {temporaryFolder} from '../support/tmp.ts'

const folder = temporaryFolder()
const at = (name: string) => join(folder, name)
const now = Math.floor(Date.now() / 1000)

type Event = {
  readonly event: string
  readonly category: string
  readonly severity: string
  readonly details: Readonly<Record<string, unknown>>
  readonly time: string
}

type Said = {
  readonly exit: number | null
  readonly code: string | undefined
  readonly result: Readonly<Record<string, unknown>>
  readonly events: readonly Event[]
}

/** The built command with its events: each line of standard error is one JSON object. */
async function rel(...args: readonly string[]): Promise<Said> {
  const {code: exit, stdout, stderr} = await runRel(['device', ...args, '--json'])
  const {error, result} = JSON.parse(stdout) as {
    error?: {code: string}
    result?: Record<string, unknown>
  }
  const lines = stderr.split('\n').filter((line) => line !== '')
  const events = lines.map((line) => JSON.parse(line) as Event)
  return {exit, code: error?.code, result: result ?? {}, events}
}

const names = ({events}: Said) => events.map(({event}) => event)

const upgrade = {...configJson.upgrade, boot_health_window_secs: 1}
const config = {
  ...configJson,
  node: 'berlin-7',
  upgrade,
  health: {command: ['sh', '-c', 'test "$REL_VERSION" != 1.2.0']},
}

/** What all cases begin with: bundles, and a node that runs 1.0.0. */
test.before(async () => {
  const role = (name: 'root' | 'manifest' | 'rollback', key: string) =>
    ({role: name, keys: [testKey(key)], threshold: 1}) as const
  const roles = [role('root', 'root'), role('manifest', 'archive'), role('rollback', 'rollback')]
  const anchor = planFirst(roles, now + 90 * 86_400)
  writeFileSync(at('trust.json'), await signedAnchor(anchor, 'root'))
  writeFileSync(at('device.json'), JSON.stringify(config))
  for (const version of ['0.9.0', '1.0.0', '1.1.0', '1.2.0'])
    writeTree(at(version), await bundleOf(version))
  const init = ['init', at('base'), '--config', at('device.json'), '--trust', at('trust.json')]
  assert.is((await rel(...init, '--bundle', at('1.0.0'))).exit, 0)
})

let count = 0

/** A copy of the node, its configuration changed. */
function node(change: object = {}): string {
  const root = at(`node-${count++}`)
  cpSync(at('base'), root, {recursive: true, verbatimSymlinks: true})
  writeFileSync(join(root, 'device.json'), JSON.stringify({...config, ...change}))
  return root
}

/** A copy of the bundle 1.1.0 that was spoilt. */
function spoilt(change: (path: string) => void): string {
  const path = at(`spoilt-${count++}`)
  cpSync(at('1.1.0'), path, {recursive: true})
  change(path)
  return path
}

/** An archive that says of its size that nothing could hold it three times; it takes up no space. */
async function hugeArchive(): Promise<string> {
  const output = at('huge.tar')
  await applyPack(planPack({directory: at('1.1.0'), output, format: 'tar', replace: false}))
  const {bavail, bsize} = statfsSync(folder)
  truncateSync(output, Math.ceil((bavail * bsize) / 2 / 512) * 512)
  return output
}

type Case = {
  readonly exit: number
  readonly change?: object
  readonly bundle: () => string | Promise<string>
}

/** The codes of D1's table that staging ends with. */
const refusals: Readonly<Record<string, Case>> = {
  upgrade_disabled: {exit: 22, change: {upgrade: {}}, bundle: () => at('1.1.0')},
  upgrade_channel_not_allowed: {
    exit: 22,
    change: {upgrade: {...upgrade, allowed_channels: ['beta']}},
    bundle: () => at('1.1.0'),
  },
  upgrade_version_too_old: {
    exit: 22,
    change: {upgrade: {...upgrade, min_version: '1.1.1'}},
    bundle: () => at('1.1.0'),
  },
  upgrade_signature_invalid: {
    exit: 20,
    bundle: () =>
      spoilt((path) => {
        const manifest = join(path, 'manifest.json')
        const text = readFileSync(manifest, 'utf8').replace(/"timestamp": ?\d+/, '"timestamp":7')
        writeFileSync(manifest, text)
      }),
  },
  upgrade_identity_not_allowed: {
    exit: 20,
    change: {identity: 'both'},
    bundle: () => at('1.1.0'),
  },
  upgrade_checksum_mismatch: {
    exit: 20,
    bundle: () => spoilt((path) => appendFileSync(join(path, 'data.txt'), 'more')),
  },
  upgrade_disk_full: {exit: 28, bundle: hugeArchive},
}

for (const [code, {exit, change, bundle}] of Object.entries(refusals))
  test(`D1: ${code}, as the code of the command and in one event`, async () => {
    const said = await rel('stage', node(change), await bundle(), '--events')
    assert.equal([said.code, said.exit], [code, exit])
    assert.equal(names(said), ['upgrade_started', 'upgrade_stage_failed'])
    const failed = said.events.at(-1)
    assert.equal([failed?.category, failed?.details.error_code], ['upgrade', code])
  })

test('D1: every event of an update, and upgrade_rolled_back with its code', async () => {
  const root = node()
  const staged = await rel('stage', root, at('1.1.0'), '--events')
  assert.equal(names(staged), ['upgrade_started', 'upgrade_downloaded', 'upgrade_staged'])
  const applied = await rel('apply', root, '--events')
  assert.equal(names(applied), ['upgrade_started', 'upgrade_completed'])
  assert.is(applied.events.at(-1)?.details.version, '1.1.0')
  await rel('stage', root, at('1.2.0'))
  const back = await rel('apply', root, '--events')
  assert.equal([back.exit, back.code], [25, 'upgrade_rolled_back'])
  assert.equal(names(back), ['upgrade_started', 'upgrade_rolled_back'])
  const event = back.events.at(-1)
  assert.equal([event?.severity, event?.details.error_code], ['critical', 'upgrade_rolled_back'])
  assert.match(event?.time ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('D1: an update that cannot be applied, and a rollback that cannot be made', async () => {
  const root = node()
  const nothing = await rel('apply', root, '--events')
  assert.is(nothing.code, 'upgrade_nothing_staged')
  assert.equal(names(nothing), ['upgrade_apply_failed'])
  await rel('stage', root, at('1.1.0'))
  await rel('apply', root)
  appendFileSync(join(root, 'versions/1.0.0/data.txt'), 'changed')
  const failed = await rel('rollback', root, '--events')
  assert.equal(
    [failed.code, names(failed)],
    ['upgrade_rollback_failed', ['upgrade_rollback_failed']],
  )
})

test('a node goes back by a grant that a command has made, and only by it', async () => {
  const root = node()
  await rel('stage', root, at('1.1.0'))
  await rel('apply', root)
  const grant = {product: 'app', from: '1.1.0', to: '1.0.0', nodes: ['berlin-7']}
  const terms = {...grant, notAfter: now + 3600, nonce: 'ab'.repeat(16)}
  const foreign = at('foreign.json')
  const unknown = await signGrant({...terms, nodes: ['paris-1']}, testSigner('rollback'))
  writeFileSync(foreign, grantText(unknown))
  const refused = await rel('rollback', root, '--grant', foreign)
  assert.equal([refused.code, refused.exit], ['upgrade_grant_invalid', 21])
  const own = at('own.json')
  writeFileSync(own, grantText(await signGrant(terms, testSigner('rollback'))))
  assert.is((await rel('rollback', root, '--grant', own, '--dry-run')).exit, 0)
  const {result} = await rel('rollback', root, '--grant', own)
  assert.equal([result.running_below_floor, result.below_floor_by], [true, 'grant'])
  assert.is((await rel('stage', root, at('1.1.0'), '--retry')).exit, 0)
  assert.is((await rel('apply', root, '--retry')).exit, 0)
  assert.is((await rel('rollback', root, '--grant', own)).code, 'upgrade_grant_invalid')
})

test('rel device grant makes a grant, shows it, and adds a second signature', async () => {
  const home = temporaryFolder()
  const keys = async (name: string) => {
    const args = ['keys', 'new', name, '--no-passphrase', '--json']
    const {stdout, code} = await runRel(args, {env: {HOME: home}})
    assert.is(code, 0, stdout)
  }
  await keys('first')
  await keys('second')
  const output = join(home, 'back.json')
  const grant = async (...args: readonly string[]) => {
    const {code, stdout} = await runRel(['device', 'grant', ...args, '--json'], {env: {HOME: home}})
    const doc = JSON.parse(stdout) as {error?: {code: string}; result?: {signatures?: string[]}}
    return {exit: code, code: doc.error?.code, signatures: doc.result?.signatures?.length}
  }
  const step = ['--product', 'app', '--from', '1.1.0', '--to', '1.0.0', '--expires', '12h']
  const all = [...step, '--node', 'b', '--node', 'a', '--key', 'first', '-o', output]
  assert.equal(await grant(...all, '--dry-run'), {exit: 0, code: undefined, signatures: undefined})
  assert.equal(await grant(...all), {exit: 0, code: undefined, signatures: 1})
  assert.is((await grant(...all)).code, 'file_exists')
  const second = await grant('--add', output, '--key', 'second', '-o', output)
  assert.equal(second, {exit: 0, code: undefined, signatures: 2})
  const up = ['--product', 'app', '--from', '1.0.0', '--to', '1.1.0', '--expires', '12h']
  const newer = await grant(...up, '--node', 'a', '--key', 'first', '-o', join(home, 'up.json'))
  assert.is(newer.code, 'upgrade_grant_invalid')
  assert.is((await grant('--key', 'first', '-o', output)).code, 'input_required')
})

test.run()
