import {type ChildProcess, fork, spawn} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {sha256Hex} from '../../src/system/hash.ts'
import {clientOf, startPanel, wanted} from '../support/panel.ts'
import type {PanelPlace, Told} from '../support/panel-children/stepping-panel.ts'
import {cuttingProxy} from '../support/publish/cutting-proxy.ts'
import type {KilledPublisher} from '../support/publish/killed-publisher.ts'
import {releaseFolder} from '../support/publish/publication.ts'

const PANEL = join(import.meta.dirname, '../support/panel-children/stepping-panel.ts')
const PUBLISHER = join(import.meta.dirname, '../support/publish/killed-publisher.ts')

/** `npm run test:long`: 1 GB. */
const isLong = process.env.REL_TEST_LONG === '1'
const SIZE = isLong ? 1_000_000_000 : 100_000_000
const CUTS = 20
/** What each process may need, whatever the size of an artifact. */
const MEMORY_MIB = 300

/** The largest resident set of a process so far, in MiB; 0 when it is gone. */
function peakMiB({pid}: ChildProcess): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

/** How a process ended, and its peak. */
async function watched(child: ChildProcess): Promise<{code: number | null; peak: number}> {
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, peakMiB(child))
  }, 20)
  const [code] = (await once(child, 'exit')) as [number | null]
  clearInterval(timer)
  return {code, peak}
}

test(`${SIZE / 1e6} MB cut ${CUTS} times: hardly a byte is sent twice, memory stays flat`, async () => {
  const prepared = await startPanel({clock: () => Math.floor(Date.now() / 1000)})
  await prepared.stop()
  const {data, adminToken} = prepared
  const panel = fork(PANEL, [JSON.stringify({data} satisfies PanelPlace)])
  const [told] = (await once(panel, 'message')) as [Told]
  assert.ok('url' in told)
  const {folder, manifest, release} = await releaseFolder({version: '1.0.0', size: SIZE})
  const [[name = '', bytes = Buffer.alloc(0)] = []] = release.bytes
  const cuts = Array.from({length: CUTS}, (_, at) => Math.floor(((at + 0.7) * SIZE) / (CUTS + 1)))
  const proxy = await cuttingProxy(Number(new URL(told.url).port), cuts)
  try {
    const orders: KilledPublisher = {
      manifest,
      panel: {url: proxy.url, adminToken},
      journal: join(folder, 'journal.json'),
      receipt: join(folder, 'receipt.json'),
      waitMs: 200,
    }
    const began = performance.now()
    const publisher = spawn(process.execPath, [PUBLISHER, JSON.stringify(orders)], {
      stdio: 'inherit',
    })
    const {code, peak} = await watched(publisher)
    const secs = (performance.now() - began) / 1000
    assert.equal([code, proxy.cuts()], [0, CUTS])
    const ratio = proxy.bytes() / SIZE
    const panelPeak = peakMiB(panel)
    process.stdout.write(
      `${SIZE} bytes, ${CUTS} cuts: ${ratio.toFixed(4)} times the bytes, publisher ${peak.toFixed(0)} MiB, panel ${panelPeak.toFixed(0)} MiB, ${secs.toFixed(1)} s\n`,
    )
    assert.ok(ratio > 1 && ratio <= 1.02, `${ratio} times the bytes`)
    assert.ok(peak > 0 && peak < MEMORY_MIB, `the publisher needed ${peak} MiB`)
    assert.ok(panelPeak > 0 && panelPeak < MEMORY_MIB, `the panel needed ${panelPeak} MiB`)
    const {ask} = clientOf(told.url, adminToken)
    const {json} = await wanted(200, ask('GET', '/v1/products/agent/releases/1.0.0'))
    assert.is(json.state, 'published')
    const sha256 = sha256Hex(bytes)
    const stored = readFileSync(join(data, 'blobs', 'sha256', sha256.slice(0, 2), sha256))
    assert.ok(stored.equals(bytes), name)
  } finally {
    await proxy.close()
    panel.kill('SIGKILL')
    await once(panel, 'exit')
    rmSync(folder, {recursive: true, force: true})
  }
})

test.run()
