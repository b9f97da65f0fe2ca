import {mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseConfig} from '../../src/device/config.ts'
import {awaitHealth} from '../../src/device/health.ts'
import {judgeHealth} from '../../src/device/health-rules.ts'
import {planFirst} from '../../src/trust/anchor-plan.ts'
import {signedAnchor, testKey} from '../support/anchors.ts'
import {bundleOf, configJson} from '../support/device/node.ts'
import {throwsCode} from '../support/rejects.ts'
import {runRel} from '../support/rel.ts'
import {writeTree} from '../support/signed-tree.ts'
import {temporaryFolder} from '../support/tmp.ts'

type Doc = {
  readonly ok: boolean
  readonly result: Record<string, unknown>
  readonly error: {readonly code: string; readonly details: Record<string, unknown>}
  readonly warnings: readonly string[]
}

/** A folder with bundles, configuration and an anchor that is good at the time of the machine. */
async function sources(health: object): Promise<(name: string) => string> {
  const folder = join(temporaryFolder(), 'a stick')
  mkdirSync(folder)
  const at = (name: string) => join(folder, name)
  const roles = [
    {role: 'root', keys: [testKey('root')], threshold: 1},
    {role: 'manifest', keys: [testKey('archive')], threshold: 1},
  ] as const
  const anchor = planFirst(roles, Math.floor(Date.now() / 1000) + 90 * 86_400)
  writeFileSync(at('trust.json'), await signedAnchor(anchor, 'root'))
  const upgrade = {...configJson.upgrade, boot_health_window_secs: 2}
  writeFileSync(at('device.json'), JSON.stringify({...configJson, upgrade, health}))
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) writeTree(at(version), await bundleOf(version))
  return at
}

async function device(
  ...args: readonly string[]
): Promise<Doc & {code: number | null; stderr: string}> {
  const {stdout, stderr, code} = await runRel(['device', ...args, '--json'])
  return {...(JSON.parse(stdout) as Doc), stderr, code}
}

test('a node from its first version to a failed update and back, by commands', async () => {
  const at = await sources({command: ['sh', '-c', 'test "$REL_VERSION" != 1.2.0']})
  const root = at('node')
  const init = ['init', root, '--config', at('device.json'), '--trust', at('trust.json')]
  const dry = await device(...init, '--bundle', at('1.0.0'), '--dry-run')
  assert.is(dry.code, 0)
  assert.is((await device(...init, '--bundle', at('1.0.0'))).code, 0)
  assert.is((await device(...init, '--bundle', at('1.0.0'))).error.code, 'file_exists')
  assert.is((await device('apply', root)).error.code, 'upgrade_nothing_staged')
  assert.is((await device('stage', root, at('1.1.0'), '--dry-run')).result.dry_run, true)
  assert.is((await device('stage', root, at('1.1.0'))).result.state, 'staged')
  const applied = await device('apply', root, '--events')
  assert.equal([applied.result.state, applied.result.floor], ['committed', '1.1.0'])
  const events = applied.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).event)
  assert.equal(events, ['upgrade_started', 'upgrade_completed'])
  await device('stage', root, at('1.2.0'))
  const failed = await device('apply', root)
  assert.equal([failed.code, failed.error.code], [25, 'upgrade_rolled_back'])
  assert.is(readlinkSync(join(root, 'current')), 'versions/1.1.0')
  assert.is((await device('stage', root, at('1.2.0'))).error.code, 'upgrade_blocked')
  assert.is((await device('rollback', root)).result.running_below_floor, true)
  assert.is((await device('verify', root)).code, 0)
  const status = await device('status', root, '--explain')
  assert.is(status.result.state, 'rolled_back')
  assert.ok((status.result.transitions as unknown[]).length > 10)
  assert.is((await device('init', root, '--repair')).result.floor, '1.1.0')
})

test('what a person has to do next, or know, is said', async () => {
  const at = await sources({command: ['true']})
  const [root, stuck] = [at('node'), at('stuck')]
  const config = JSON.parse(readFileSync(at('device.json'), 'utf8')) as object
  const restart = ['test', '!', '-e', stuck]
  writeFileSync(at('device.json'), JSON.stringify({...config, restart}))
  const given = ['--config', at('device.json'), '--trust', at('trust.json')]
  await device('init', root, ...given, '--bundle', at('1.0.0'))
  await device('stage', root, at('1.1.0'))
  assert.is((await device('apply', root)).code, 0)
  writeFileSync(stuck, '')
  const back = await device('rollback', root)
  assert.equal([back.code, back.warnings.length], [0, 1], 'the program does not run')
  await device('stage', root, at('1.2.0'))
  const failed = await device('apply', root)
  assert.is(failed.error.code, 'upgrade_rolled_back')
  assert.is(failed.error.details.problem, 'the restart command ended with 1')
  rmSync(stuck)
  const again = await runRel(['device', 'stage', root, at('1.2.0'), '--retry'])
  const [, next = ''] = /^Next: rel device apply (.*)$/m.exec(again.stderr) ?? []
  assert.match(next, / --retry$/)
  assert.is((await device('apply', root)).error.code, 'upgrade_blocked')
  assert.is((await device('apply', root, '--retry')).code, 0)
  assert.is((await device('init', root, '--repair')).warnings.length, 1)
  for (const name of ['state.json', 'state.json.1']) writeFileSync(join(root, '.rel', name), '')
  assert.is((await device('init', root, '--repair')).warnings.length, 2, 'failures are forgotten')
})

const healthy = {
  status: 'healthy',
  version: '2.0.0',
  agent: {running: true},
  metrics: {cpu_percent: 94.9, disk_percent: 10},
  cloud: {queue_depth: 0},
}

const sick: readonly [string, object][] = [
  ['status', {status: 'degraded'}],
  ['stopped', {agent: {running: false}}],
  ['busy', {metrics: {cpu_percent: 95, disk_percent: 10}}],
  ['full', {metrics: {cpu_percent: 1, disk_percent: 95}}],
  ['a backlog', {cloud: {queue_depth: 10_000}}],
  ['text for a number', {cloud: {queue_depth: '0'}}],
  ['less than nothing', {metrics: {cpu_percent: -1, disk_percent: 10}}],
  ['the old version', {version: '1.0.0'}],
]

test('a healthy answer is one by all conditions of D2', () => {
  assert.is(judgeHealth(healthy, '2.0.0', 'version'), undefined)
})

for (const [name, change] of sick)
  test(`an answer is not healthy: ${name}`, () => {
    assert.type(judgeHealth({...healthy, ...change}, '2.0.0', 'version'), 'string')
  })

test('health is asked over HTTP, and an endpoint that hangs or babbles is not healthy', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/health') response.end(JSON.stringify(healthy))
    else if (request.url === '/endless') response.end('x'.repeat(100_000))
  }).listen(0, '127.0.0.1')
  await new Promise((done) => server.once('listening', done))
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const ask = (path: string) =>
    awaitHealth({kind: 'url', url: base + path}, '2.0.0', {secs: 1, isTakenBack: () => false})
  try {
    assert.is(await ask('/health'), undefined)
    assert.type(await ask('/endless'), 'string')
    assert.type(await ask('/hangs'), 'string')
    const late = {secs: 1, isTakenBack: () => true}
    const url = `${base}/health`
    assert.type(await awaitHealth({kind: 'url', url}, '2.0.0', late), 'string', 'taken back')
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

const configs: readonly [string, object][] = [
  ['an unknown key', {updates: {}}],
  ['a gate misspelt', {upgrade: {enable: true}}],
  ['no health', {health: undefined}],
  ['two kinds of health', {health: {command: ['true'], url: 'http://127.0.0.1/'}}],
  ['a process and a command', {health: {command: ['true'], process: 'app'}}],
  ['a process that is an option', {health: {process: '--user'}}],
  ['a process that is a pattern', {health: {process: '*.service'}}],
  ['a version key for a process', {health: {process: 'app', version_key: 'version'}}],
  [
    'a window in which no service can settle',
    {health: {process: 'app'}, upgrade: {boot_health_window_secs: 9}},
  ],
  ["somebody else's health", {health: {url: 'http://example.com/health'}}],
  ['an unknown policy', {upgrade: {policy: 'always'}}],
  ['a version that is a path', {upgrade: {min_version: '../../1.0.0'}}],
  ['no window', {upgrade: {boot_health_window_secs: 0}}],
  ['two sources', {source: {panel: 'https://panel.test', github: 'acme/agent'}}],
  ['a source with a password', {source: {panel: 'https://user:secret@panel.test'}}],
  ['a source that is a file', {source: {panel: 'file:///etc/passwd'}}],
  ['an unknown protocol', {source: {panel: 'https://panel.test', protocol: 'd3'}}],
  ['a repository that is a path', {source: {github: '../agent'}}],
  ['a program with a relative path', {binary: {path: 'bin/agent', component: 'agent'}}],
  ['a program above its folder', {binary: {path: '/opt/../agent', component: 'agent'}}],
  ['an unknown identity mode', {identity: 'none'}],
  ['a later spec', {spec: 2}],
  [
    'an identity of one program',
    {identity: 'sigstore', binary: {path: '/opt/agent', component: 'agent'}},
  ],
  ['no interval', {upgrade: {poll_interval_secs: 0}}],
]

const sourcesRead: readonly [string, object, object][] = [
  [
    'a panel',
    {panel: 'https://panel.test/'},
    {kind: 'panel', url: 'https://panel.test', protocol: 'd0', component: 'bundle'},
  ],
  [
    'a repository',
    {github: 'acme/edge-agent', component: 'agent'},
    {
      kind: 'github',
      repository: 'acme/edge-agent',
      api: 'https://api.github.com',
      component: 'agent',
    },
  ],
  ['a folder', {directory: '/media/usb'}, {kind: 'directory', path: '/media/usb'}],
]

for (const [name, source, parsed] of sourcesRead)
  test(`a source is read: ${name}`, () => {
    const text = JSON.stringify({...configJson, source})
    assert.equal(parseConfig(Buffer.from(text)).source, parsed)
  })

test('what a configuration does not say is the careful thing', () => {
  const text = JSON.stringify({spec: 1, product: 'app', health: {command: ['true']}})
  const {enabled, policy, allowedChannels} = parseConfig(Buffer.from(text))
  assert.equal([enabled, policy, allowedChannels], [false, 'manual', ['stable']])
})

test('the health of a service is read', () => {
  const text = JSON.stringify({...configJson, health: {process: 'app'}})
  assert.equal(parseConfig(Buffer.from(text)).health, {kind: 'process', unit: 'app.service'})
})

for (const [name, change] of configs)
  test(`a configuration is refused: ${name}`, () => {
    const text = JSON.stringify({...configJson, ...change})
    throwsCode(() => parseConfig(Buffer.from(text)), 'upgrade_config_invalid')
  })

test.run()
