import {readdirSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../../src/device/apply.ts'
import {
  flushResults,
  queueFailure,
  queueResults,
  waitingResults,
} from '../../../src/device/outbox.ts'
import {stage} from '../../../src/device/stage.ts'
import {testNow} from '../../support/anchors.ts'
import {makeNode, makeSources, plain} from '../../support/device/node.ts'
import {licenseText, nodeAnchor, panelNode} from '../../support/device/panel-node.ts'
import {loopbackServer} from '../../support/http/loopback-server.ts'

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')
const failure = (version: string) => ({code: 'upgrade_disk_full', version, phase: 'stage'})

test('the newest 64 results wait, and what is dropped is told', async () => {
  const device = await makeNode(sources)
  for (let n = 0; n < 66; n++) queueFailure(device, failure(`1.${n}.0`))
  assert.is(waitingResults(device.root), 64)
  assert.is(readdirSync(join(device.root, '.rel/outbox')).length, 64)
  const told = device.events.map(({event, details}) => [event, details.error_code])
  const dropped = ['upgrade_report_failed', 'upgrade_source_unreachable']
  assert.equal(told.slice(-2), [dropped, dropped])
})

test('a way back is told as that, and as no update', async () => {
  const device = await makeNode(sources)
  queueResults(device)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  queueResults(device)
  assert.is(waitingResults(device.root), 1, 'the update')
  await rollback(device)
  queueResults(device)
  assert.is(waitingResults(device.root), 2, 'and the way back')
  queueResults(device)
  assert.is(waitingResults(device.root), 2)
})

test('what was told is not told again, and the same failure once a day', async () => {
  const device = await makeNode(sources)
  const told = () => rmSync(join(device.root, '.rel/outbox'), {recursive: true})
  queueResults(device)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  await rollback(device)
  queueResults(device)
  assert.ok(waitingResults(device.root) > 0)
  told()
  queueResults(device)
  assert.is(waitingResults(device.root), 0)
  const at = (time: number) => ({...device, world: {...device.world, now: () => time}})
  const day = Math.floor(testNow / 86_400) * 86_400
  for (const time of [day, day + 3600, day + 86_399]) queueFailure(at(time), failure('1.2.0'))
  assert.is(waitingResults(device.root), 1)
  queueFailure(at(day + 86_400), failure('1.2.0'))
  assert.is(waitingResults(device.root), 2)
})

test('a failure that was told is not told again with the next update', async () => {
  const device = await makeNode(sources)
  queueResults(device)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  await rollback(device)
  queueResults(device)
  rmSync(join(device.root, '.rel/outbox'), {recursive: true})
  await stage(device, sources.of('1.2.0'), plain)
  await apply(device, plain)
  queueResults(device)
  assert.is(waitingResults(device.root), 1)
})

test('two nodes of one licence do not send the same report', async () => {
  const ids = []
  for (const device of [await makeNode(sources), await makeNode(sources)]) {
    queueResults(device)
    queueFailure(device, failure('1.2.0'))
    ids.push(...readdirSync(join(device.root, '.rel/outbox')))
  }
  assert.is(new Set(ids).size, 2)
})

for (const [status, left] of [
  [202, 0],
  [400, 0],
  [404, 0],
  [422, 0],
  [302, 1],
  [401, 1],
  [403, 1],
  [429, 1],
  [500, 1],
] as const)
  test(`a panel answers a report with ${status}: ${left === 0 ? 'it is gone' : 'it waits'}`, async () => {
    const server = await loopbackServer((_request, response) => {
      response.statusCode = status
      response.end('{}')
    })
    try {
      const terms = {url: server.url, anchor: await nodeAnchor(), license: await licenseText()}
      const node = await panelNode(terms)
      queueFailure(node, failure('1.1.0'))
      await flushResults(node)
      assert.is(waitingResults(node.root), left)
    } finally {
      await server.close()
    }
  })

test.run()
