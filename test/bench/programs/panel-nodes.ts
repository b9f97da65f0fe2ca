import {fork} from 'node:child_process'
import {once} from 'node:events'
import {join} from 'node:path'
import {setTimeout as wait} from 'node:timers/promises'
import {addProduct, agentSlot, makeRelease, publish, type TestRelease} from '../../support/panel.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {
  openBlobs,
  type PanelProcess,
  peakMib,
  startInstalledPanel,
  startPanelProcess,
} from '../panel-process.ts'
import type {Fleet, FleetReport} from './panel-fleet.ts'

/**
 * panel-nodes.ts NODES SECS: a fleet on loopback polls a panel with the default limits; half-way a
 * release is published, from its draft to its flip. Fleet, publisher and panel have a process each.
 */
const [nodes = 5000, secs = 60] = process.argv.slice(2).map(Number)
const folder = temporaryFolder('rel panel-nodes-')

async function prepared(release: TestRelease): Promise<PanelProcess> {
  const data = `${folder}/data`
  const first = await startPanelProcess({data, licenses: nodes})
  await addProduct(first, 'agent', [agentSlot])
  await publish(first, release)
  await first.stop()
  // what is measured has done nothing before
  const again = await startInstalledPanel(data)
  return {...again, licenses: first.licenses}
}

async function main(): Promise<object> {
  const [old, next] = [
    await makeRelease({version: '1.4.1', size: 50_000_000}),
    await makeRelease({version: '1.4.2', size: 1_000_000}),
  ]
  const {url, licenses, ...panel} = await prepared(old)
  const idleMib = peakMib(panel.pid)
  const download = `/download/agent/1.4.1/${[...old.bytes.keys()][0]}`
  const child = fork(join(import.meta.dirname, 'panel-fleet.ts'))
  child.send({url, licenses, download, secs, newest: '1.4.2'} satisfies Fleet)
  const reported = once(child, 'message')
  await wait((secs * 1000) / 2)
  const began = performance.now()
  await publish(panel, next)
  const publishMs = performance.now() - began
  const [{seen, errors}] = (await reported) as [FleetReport]
  const failures = Object.entries(errors)
  if ((seen.newest ?? 0) < nodes) failures.push(['the release was not seen', nodes])
  const metrics = String((await panel.ask('GET', '/metrics')).bytes)
  const loop = /^rel_panel_event_loop_p99_seconds (\S+)$/m.exec(metrics)?.[1]
  for (let tries = 0; tries < 500 && openBlobs(panel.pid) > 0; tries++) await wait(20)
  if (openBlobs(panel.pid) > 0) failures.push(['blobs stay open', openBlobs(panel.pid)])
  const figures = {
    errors: failures.reduce((sum, [, count]) => sum + count, 0),
    peakMib: peakMib(panel.pid),
    idleMib,
    loopP99Ms: Number(loop) * 1000,
    publishMs,
    ...seen,
    why: errors,
    logged: panel.logged,
  }
  child.kill()
  await panel.stop()
  return figures
}

process.stdout.write(`${JSON.stringify(await main())}\n`)
process.exit(0)
