import {type ChildProcess, spawn} from 'node:child_process'
import {createHash} from 'node:crypto'
import {existsSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as after} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {builtPackage} from '../support/built.ts'
import {etagOf, hostilePanel, sendRange} from '../support/device/hostile-panel.ts'
import {
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelLicense,
  panelNode,
  publishBundle,
  startAppPanel,
} from '../support/device/panel-node.ts'
import {type TestPanel, wanted} from '../support/panel.ts'
import {cleanEnv, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

type Doc = {
  readonly ok: boolean
  readonly result: Record<string, unknown>
  readonly error: {readonly code: string; readonly details: Record<string, unknown>}
}

async function rel(
  ...args: readonly string[]
): Promise<Doc & {code: number | null; stderr: string}> {
  const {stdout, stderr, code} = await runRel(['device', ...args, '--json'])
  return {...(JSON.parse(stdout) as Doc), stderr, code}
}

async function nodeOf(panel: TestPanel, change: object = {}) {
  const {file, id} = await panelLicense(panel)
  const anchor = await nodeAnchor(panel)
  const node = await panelNode({url: panel.url, anchor, license: file, ...change})
  return {...node, licenseId: id}
}

/** Looks until it is so, for 30 s at most. */
async function eventually(holds: () => boolean): Promise<void> {
  const end = performance.now() + 30_000
  while (!holds() && performance.now() < end) await after(10)
  assert.ok(holds(), 'it did not come to be so')
}

/** A panel with the clock of this machine, as the built command has. */
const realTime = {clock: () => Math.floor(Date.now() / 1000)}

for (const protocol of ['d0', 'd2'] as const)
  test(`${protocol}: a node checks, stages and applies what its panel published`, async () => {
    const panel = await startAppPanel(realTime)
    try {
      const {root} = await nodeOf(panel, {protocol})
      const none = await rel('check', root, '--exit-code')
      assert.equal([none.code, none.result.offer], [0, undefined])
      await publishBundle(panel, '1.1.0')
      await publishBundle(panel, '1.2.0-beta.1')
      const some = await rel('check', root, '--exit-code')
      assert.equal([some.code, some.result.closed], [10, []])
      assert.is((some.result.offer as {version: string}).version, '1.1.0')
      assert.is((await rel('stage', root, '--dry-run')).code, 0)
      assert.is((await rel('stage', root)).result.state, 'staged')
      assert.equal(readdirSync(join(root, '.rel/downloads')), [])
      assert.is((await rel('apply', root)).result.floor, '1.1.0')
      assert.is(readlinkSync(join(root, 'current')), 'versions/1.1.0')
      assert.is((await rel('verify', root)).code, 0)
      assert.is((await rel('stage', root)).error.code, 'upgrade_not_newer')
      // the log has grown, and for D0 that is proven; one of its leaves is of another track
      await publishBundle(panel, '1.3.0')
      const grown = await rel('check', root)
      assert.is((grown.result.offer as {version: string} | undefined)?.version, '1.3.0')
    } finally {
      await panel.stop()
    }
  })

const filler = createHash('shake256', {outputLength: 4_000_000}).update('filler').digest()

test('killed in the middle of a download, rel goes on where it was', async () => {
  const bytes = await packedBundle({version: '1.1.0', filler})
  const release = await bundleRelease('1.1.0', bytes)
  const sent = Math.floor(bytes.length * 0.9)
  let child: ChildProcess | undefined
  const server = await hostilePanel(release, {
    download: (request, response, count) => {
      if (count > 0) return sendRange(request, response, bytes)
      response.writeHead(200, {etag: etagOf(bytes), 'content-length': bytes.length})
      response.write(bytes.subarray(0, sent))
    },
  })
  try {
    const node = await panelNode({
      url: server.url,
      anchor: await nodeAnchor(),
      license: await licenseText(),
    })
    const {root} = node
    const bin = join(await builtPackage(), 'bin', 'rel')
    child = spawn(bin, ['device', 'stage', root], {env: cleanEnv(), stdio: 'ignore'})
    const ended = new Promise((resolve) => child?.once('close', resolve))
    const part = join(root, '.rel/downloads', `${release.file.release.artifacts[0]?.sha256}.part`)
    await eventually(() => (statSync(part, {throwIfNoEntry: false})?.size ?? 0) >= sent)
    child.kill('SIGKILL')
    await ended
    assert.is((await rel('stage', root)).result.state, 'staged')
    const ranges = server.seen.filter(({path}) => path.startsWith('/download'))
    assert.equal(
      ranges.map(({headers}) => headers.range),
      [undefined, `bytes=${sent}-`],
    )
  } finally {
    child?.kill('SIGKILL')
    await server.close()
  }
})

test('run polls, updates, reports and ends cleanly on SIGTERM', async () => {
  const panel = await startAppPanel(realTime)
  const upgrade = {policy: 'auto', poll_interval_secs: 1}
  let child: ChildProcess | undefined
  try {
    const {root} = await nodeOf(panel, {upgrade})
    const bin = join(await builtPackage(), 'bin', 'rel')
    child = spawn(bin, ['device', 'run', root, '--json'], {
      env: cleanEnv(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr] = ['', '']
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    const completed = new Promise<void>((resolve) => {
      child?.stderr?.on('data', (chunk: Buffer) => {
        stderr += chunk.toString()
        if (stderr.includes('"upgrade_completed"')) resolve()
      })
    })
    const ended = new Promise((resolve) => child?.once('close', resolve))
    await publishBundle(panel, '1.1.0')
    await Promise.race([completed, ended])
    const outbox = join(root, '.rel/outbox')
    await eventually(() => existsSync(outbox) && readdirSync(outbox).length === 0)
    child.kill('SIGTERM')
    assert.is(await ended, 0)
    const {result} = JSON.parse(stdout) as Doc
    assert.equal([result.floor, result.signal], ['1.1.0', 'SIGTERM'])
    assert.equal([result.failed, typeof result.failed_polls], [[], 'number'])
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as {event: string; time: string})
    const told = lines.map(({event}) => event)
    assert.ok(told.includes('upgrade_staged'))
    assert.not.ok(told.includes('upgrade_report_failed'))
    assert.is(readlinkSync(join(root, 'current')), 'versions/1.1.0')
  } finally {
    child?.kill('SIGKILL')
    await panel.stop()
  }
})

test('frozen by its panel, a node keeps what runs; renewed, it goes on with its old file', async () => {
  let now = Math.floor(Date.now() / 1000)
  const panel = await startAppPanel({clock: () => now})
  try {
    const {root, licenseId} = await nodeOf(panel)
    await publishBundle(panel, '1.1.0')
    const reason = {reason: 'not paid'}
    await wanted(200, panel.ask('POST', `/v1/licenses/${licenseId}/freeze`, {body: reason}))
    const frozen = await rel('check', root)
    assert.is(frozen.error.code, 'upgrade_license_frozen')
    assert.is((await rel('verify', root)).code, 0)
    const renewal = {expires: now + 365 * 86_400}
    await wanted(200, panel.ask('POST', `/v1/licenses/${licenseId}/renew`, {body: renewal}))
    now += 2
    assert.is((await rel('stage', root)).result.state, 'staged')
  } finally {
    await panel.stop()
  }
})

test('a licence of the other track: nothing is staged by hand, and what runs is told to be wrong', async () => {
  const anchor = await nodeAnchor()
  const {root} = await panelNode({
    url: 'http://127.0.0.1:9',
    anchor,
    license: await licenseText({track: 'prerelease'}),
  })
  const bundle = join(temporaryFolder(), '1.1.0.tar.gz')
  writeFileSync(bundle, await packedBundle({version: '1.1.0'}))
  for (const args of [
    ['stage', root, bundle],
    ['stage', root, bundle, '--dry-run'],
    ['verify', root],
  ])
    assert.is((await rel(...args)).error.code, 'upgrade_license_invalid')
  rmSync(join(root, 'license'))
  assert.is((await rel('stage', root, bundle)).error.code, 'upgrade_license_invalid')
  writeFileSync(join(root, 'license'), await licenseText())
  assert.is((await rel('stage', root, bundle)).result.state, 'staged')
  assert.is((await rel('check', root)).error.code, 'upgrade_source_unreachable')
})

test('an older version by name, through the gates alone', async () => {
  const panel = await startAppPanel(realTime)
  try {
    const {root} = await nodeOf(panel)
    for (const version of ['0.9.0', '1.1.0', '1.2.0']) await publishBundle(panel, version)
    assert.is((await rel('stage', root, '--to', '0.9.0')).error.code, 'upgrade_version_too_old')
    assert.is((await rel('stage', root, '--to', '7.0.0')).error.code, 'upgrade_not_newer')
    const {result} = await rel('stage', root, '--to', '1.1.0')
    assert.is((result.candidate as {version: string}).version, '1.1.0')
  } finally {
    await panel.stop()
  }
})

test.run()
