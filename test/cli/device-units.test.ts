import {mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseConfig} from '../../src/device/config.ts'
import {planUnits} from '../../src/device/units.ts'
import {configJson, makeNode, makeSources} from '../support/device/node.ts'
import {needs} from '../support/needs.ts'
import {throwsCode} from '../support/rejects.ts'
import {run, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const sources = await makeSources('1.0.0')
const config = parseConfig(Buffer.from(JSON.stringify(configJson)))
const binary = parseConfig(
  Buffer.from(
    JSON.stringify({...configJson, binary: {path: '/usr/lib/agent/agent', component: 'x'}}),
  ),
)
const good = {
  root: '/opt/app',
  service: 'app',
  rel: '/usr/local/bin/rel',
  out: '/etc/systemd/system',
  verifyAtStart: false,
}

async function installUnit(...args: readonly string[]) {
  const {stdout, code} = await runRel(['device', 'install-unit', ...args, '--json'])
  return {code, ...JSON.parse(stdout)}
}

/** A node in a folder that fits into a unit. */
async function nodeRoot(): Promise<string> {
  const {root} = await makeNode(sources)
  const plain = join(temporaryFolder(), 'app')
  assert.is((await run('mv', [root, plain])).code, 0)
  return plain
}

test('the guard and the units are written, again without harm, and systemd takes them', async () => {
  const root = await nodeRoot()
  const out = join(temporaryFolder(), 'units')
  const args = [root, '--service', 'app.service', '--out', out, '--rel', '/bin/true']
  const dry = await installUnit(...args, '--dry-run')
  assert.is(dry.result.files.length, 6)
  assert.throws(() => statSync(out))
  for (const _ of [1, 2]) assert.is((await installUnit(...args)).code, 0)
  const guard = join(root, '.rel/guard')
  assert.is(statSync(guard).mode & 0o777, 0o755)
  assert.is((await run('/bin/dash', ['-n', guard])).code, 0)
  assert.equal(readdirSync(out).sort(), [
    'app.service.d',
    'rel-device-app.service',
    'rel-device-app.timer',
    'rel-guard-app.path',
    'rel-guard-app.service',
  ])
  const dropIn = readFileSync(join(out, 'app.service.d/50-rel-guard.conf'), 'utf8')
  assert.match(dropIn, `ExecStartPre=-+/bin/sh ${root}/.rel/guard ${root}\n`)
  assert.not.match(dropIn, /@[A-Z]+@/)
})

test('a unit of somebody else is not replaced', async () => {
  const root = await nodeRoot()
  const out = temporaryFolder()
  writeFileSync(join(out, 'rel-device-app.timer'), '# Written by hand\n[Timer]\n')
  const {error} = await installUnit(root, '--service', 'app', '--out', out)
  assert.is(error.code, 'file_exists')
  assert.equal(readdirSync(out), ['rel-device-app.timer'])
})

const hostile: readonly [string, object][] = [
  ['a service that is a path', {service: '../app'}],
  ['a service that is an option', {service: '-app'}],
  ['no service', {service: '.service'}],
  ['a specifier', {root: '/opt/%n'}],
  ['a blank', {root: '/opt/my app'}],
  ['a line break', {root: '/opt/app\nExecStart=/bin/sh'}],
  ['a way up', {root: '/opt/../etc'}],
  ['rel by its name', {rel: 'rel'}],
  ['a quote', {rel: '/opt/"rel'}],
]

for (const [name, change] of hostile)
  test(`what systemd would read otherwise is refused: ${name}`, () => {
    throwsCode(() => planUnits({...good, ...change, config}), 'usage_invalid')
  })

test('what is installed is verified at each start where that was asked for', () => {
  const dropIn = (verifyAtStart: boolean) =>
    planUnits({...good, verifyAtStart, config}).units[0]?.text ?? ''
  const guard = '/bin/sh /opt/app/.rel/guard /opt/app'
  const counts = `ExecStartPre=-+${guard}\n`
  // after the guard has counted the start, and led back what has failed
  assert.match(dropIn(true), `${counts}ExecStartPre=+${guard} verify /usr/local/bin/rel\n`)
  assert.not.match(dropIn(false), 'verify')
})

test('only for the health of a process the updater may look at processes of others', () => {
  const health = {kind: 'process', unit: 'app.service'} as const
  const allowed = (it: typeof config) =>
    planUnits({...good, config: it}).units.some(({text}) => text.includes('CAP_SYS_PTRACE'))
  assert.ok(allowed({...config, health}))
  assert.not(allowed(config))
})

test('the folder of a program can be written by the guard and the updater', () => {
  const {units} = planUnits({...good, config: binary})
  const writable = units.filter(({text}) =>
    text.includes('\nReadWritePaths=/opt/app /usr/lib/agent\n'),
  )
  assert.is(writable.length, 2)
})

if (needs('systemd-analyze'))
  test('systemd-analyze finds nothing in the units, and something in a broken one', async () => {
    const root = await nodeRoot()
    const out = join(temporaryFolder(), 'units')
    const args = ['--service', 'app', '--out', out, '--rel', '/bin/true']
    await installUnit(root, ...args, '--verify-at-start')
    mkdirSync(join(root, 'bin'), {recursive: true})
    const example = readFileSync(
      join(import.meta.dirname, '../../templates/systemd/example.service'),
      'utf8',
    )
    const service = example
      .replaceAll('@DIR@/current/bin/@NAME@', '/bin/true')
      .replaceAll('@NAME@', 'app')
    writeFileSync(join(out, 'app.service'), service)
    const names = ['app.service', 'rel-device-app.service', 'rel-device-app.timer']
    const guards = ['rel-guard-app.service', 'rel-guard-app.path']
    const units = [...names, ...guards].map((name) => join(out, name))
    const verified = await run('systemd-analyze', ['verify', '--man=no', ...units])
    assert.equal(
      [verified.code, verified.stderr.replaceAll(/^.*(?:\/etc|\/lib)\/.*\n/gm, '')],
      [0, ''],
    )
    const dropIn = join(out, 'app.service.d/50-rel-guard.conf')
    writeFileSync(dropIn, readFileSync(dropIn, 'utf8').replace('RestartSec=', 'RestartSecs='))
    const broken = await run('systemd-analyze', ['verify', '--man=no', ...units])
    assert.match(broken.stderr, 'RestartSecs')
  })

test.run()
