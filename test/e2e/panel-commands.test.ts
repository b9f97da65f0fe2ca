import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {testNow} from '../support/anchors.ts'
import {builtPackage} from '../support/built.ts'
import {addProduct, agentSlot, clientOf, makeRelease, publish} from '../support/panel.ts'
import {cleanEnv, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

type Served = {
  readonly child: ChildProcess
  readonly url: string
  readonly stdout: () => string
  readonly stderr: () => string
  /** Exit code after a signal. */
  stop(signal: NodeJS.Signals): Promise<number | null>
}

/** `rel panel serve` as its own process, once it says that it listens. */
async function serve(data: string, ...flags: readonly string[]): Promise<Served> {
  const rel = join(await builtPackage(), 'bin', 'rel')
  const args = ['panel', 'serve', '--data', data, '--listen', '127.0.0.1:0', ...flags]
  const child = spawn(rel, args, {env: cleanEnv(), stdio: ['ignore', 'pipe', 'pipe']})
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk
  })
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({input: child.stderr}).on('line', (line) => {
      stderr += `${line}\n`
      const [, address] = /"event":"panel\.started","address":"([^"]+)"/.exec(line) ?? []
      if (address !== undefined) resolve(address)
    })
    child.once('close', (code) => reject(new Error(`it ended with ${code}: ${stderr}`)))
  })
  const stop = async (signal: NodeJS.Signals) => {
    const closed = once(child, 'close')
    child.kill(signal)
    const [code] = (await closed) as [number | null]
    return code
  }
  return {child, url, stdout: () => stdout, stderr: () => stderr, stop}
}

const folder = join(temporaryFolder(), 'a panel')
mkdirSync(folder)
const data = join(folder, 'data')

test('the first start makes all that is needed and says what to do next', async () => {
  const served = await serve(data)
  try {
    assert.match(served.stderr(), /"new":true/)
    const token = readFileSync(join(data, 'admin-token'), 'utf8').trim()
    assert.is(statSync(join(data, 'admin-token')).mode & 0o777, 0o600)
    assert.is(statSync(join(data, 'keys', 'license.key')).mode & 0o777, 0o600)
    assert.is(statSync(data).mode & 0o777, 0o700)
    const client = clientOf(served.url, token)
    await addProduct(client, 'agent', [agentSlot])
    await publish(client, await makeRelease({version: '1.4.1'}))

    const second = await runRel(['panel', 'serve', '--data', data, '--json'])
    assert.is(second.code, 24)
    assert.is(JSON.parse(second.stdout).error.code, 'panel_locked')
  } finally {
    assert.is(await served.stop('SIGTERM'), 0)
  }
  const token = readFileSync(join(data, 'admin-token'), 'utf8').trim()
  assert.match(served.stderr(), /The token of its administrator is in .*admin-token/)
  assert.not.match(served.stderr() + served.stdout(), new RegExp(token))
})

test('with --json it is one document at the end', async () => {
  const served = await serve(data, '--json')
  assert.is(await served.stop('SIGINT'), 0)
  const {ok, result} = JSON.parse(served.stdout()) as {ok: boolean; result: {signal: string}}
  assert.equal([ok, result.signal], [true, 'SIGINT'])
})

test('tokens are made, listed and revoked beside a running panel', async () => {
  const served = await serve(data)
  try {
    const place = ['--data', data, '--json']
    const made = await runRel(['panel', 'token', 'new', 'ci', '--verb', 'audit', ...place])
    const {id, token} = JSON.parse(made.stdout).result as {id: string; token: string}
    const client = clientOf(served.url, token)
    assert.is((await client.ask('GET', '/v1/whoami')).status, 200)
    const listed = await runRel(['panel', 'token', 'list', ...place])
    assert.match(listed.stdout, new RegExp(id))
    assert.not.match(listed.stdout, new RegExp(token))
    assert.is((await runRel(['panel', 'token', 'revoke', id, ...place])).code, 0)
    assert.is((await client.ask('GET', '/v1/whoami')).status, 401)
  } finally {
    await served.stop('SIGTERM')
  }
})

test('backup, verify, restore, gc', async () => {
  const backup = join(folder, 'backup')
  const made = await runRel(['panel', 'backup', backup, '--data', data, '--json'])
  assert.is(made.code, 0, made.stdout)
  const restored = join(folder, 'restored')
  const back = await runRel(['panel', 'restore', backup, '--to', restored, '--json'])
  assert.is(back.code, 0, back.stdout)
  for (const name of ['license.key', 'freshness.key'])
    assert.equal(readFileSync(join(restored, 'keys', name)), readFileSync(join(data, 'keys', name)))
  const served = await serve(restored)
  const token = readFileSync(join(data, 'admin-token'), 'utf8').trim()
  const client = clientOf(served.url, token)
  const release = await client.ask('GET', '/v1/products/agent/releases/1.4.1')
  assert.is(release.json.state, 'published')
  await served.stop('SIGTERM')
  assert.is((await runRel(['panel', 'verify', '--data', restored])).code, 0)
  const collected = await runRel(['panel', 'gc', '--data', restored, '--json'])
  assert.is(JSON.parse(collected.stdout).result.blobs, 0)

  const [path = ''] = readdirSync(join(restored, 'blobs'), {recursive: true, encoding: 'utf8'})
    .map((name) => join(restored, 'blobs', name))
    .filter((name) => statSync(name).isFile())
  writeFileSync(path, 'swapped', {mode: 0o600})
  const damaged = await runRel(['panel', 'verify', '--data', restored, '--json'])
  assert.equal([damaged.code, JSON.parse(damaged.stdout).error.code], [20, 'panel_damaged'])
})

test('export, and import by a panel that trusts the key', async () => {
  const mirror = join(folder, 'mirror')
  assert.is((await runRel(['panel', 'export', mirror, '--data', data])).code, 0)
  const other = join(folder, 'other')
  await (await serve(other)).stop('SIGTERM')
  const wrong = join(other, 'keys', 'freshness.pub')
  const args = ['panel', 'import', mirror, '--data', other, '--json', '--key']
  assert.is.not((await runRel([...args, wrong])).code, 0)
  const taken = await runRel([...args, join(data, 'keys', 'freshness.pub')])
  assert.is(JSON.parse(taken.stdout).result?.releases, 1, taken.stdout)
})

const wrong: readonly [string, readonly string[], number, string][] = [
  ['no address', ['serve', '--data', join(folder, 'x'), '--listen', '8420'], 2, 'usage_invalid'],
  [
    'a port too high',
    ['serve', '--data', join(folder, 'x'), '--listen', 'a:70000'],
    2,
    'usage_invalid',
  ],
  [
    'an accel that is no path',
    ['serve', '--data', join(folder, 'x'), '--accel', '../x'],
    2,
    'usage_invalid',
  ],
  [
    'a public address with a query',
    ['serve', '--data', join(folder, 'x'), '--public-url', 'https://a?b'],
    2,
    'usage_invalid',
  ],
  [
    'an address of another machine',
    ['serve', '--data', join(folder, 'y'), '--listen', '192.0.2.1:80'],
    28,
    'listen_failed',
  ],
  ['no panel', ['verify', '--data', join(folder, 'nothing')], 2, 'file_missing'],
]

for (const [name, args, exit, code] of wrong) {
  test(`refused: ${name}`, async () => {
    const ran = await runRel(['panel', ...args, '--json'])
    assert.equal([ran.code, JSON.parse(ran.stdout).error.code], [exit, code])
  })
}

test('the licences of a panel outlive its restarts', async () => {
  const token = readFileSync(join(data, 'admin-token'), 'utf8').trim()
  const first = await serve(data)
  const body = {product: 'agent', customer: 'A', track: 'stable', expires: testNow + 4e9}
  const issued = await clientOf(first.url, token).ask('POST', '/v1/licenses', {body})
  await first.stop('SIGTERM')
  const second = await serve(data)
  const path = `/v1/licenses/${issued.json.id}`
  const {json} = await clientOf(second.url, token).ask('GET', path)
  assert.equal([json.state, json.file], ['active', issued.json.file])
  await second.stop('SIGTERM')
})

test.run()
