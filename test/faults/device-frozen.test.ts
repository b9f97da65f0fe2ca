import {createHash} from 'node:crypto'
import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../src/device/apply.ts'
import type {Device} from '../../src/device/device.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {openSource} from '../../src/device/open-source.ts'
import {flushResults, queueResults, waitingResults} from '../../src/device/outbox.ts'
import {resume} from '../../src/device/resume.ts'
import {look, stageOffer, turn} from '../../src/device/update.ts'
import {beforeOf, checkStands, fillFolders} from '../support/device/after-each.ts'
import {cutAfter, hostilePanel, sendRange, sendStatus} from '../support/device/hostile-panel.ts'
import {plain} from '../support/device/node.ts'
import {
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelNode,
} from '../support/device/panel-node.ts'
import {rejectsCode} from '../support/rejects.ts'

// A panel that is honest until it freezes the licence: from then on every route says 403. What was
// begun is ended or left as it was; what runs is not touched, and nothing is taken back for it.

const filler = createHash('shake256', {outputLength: 200_000}).update('filler').digest()
const bytes = await packedBundle({version: '1.1.0', filler})
const good = await bundleRelease('1.1.0', bytes)
const [anchor, license] = [await nodeAnchor(), await licenseText()]

type Node = Awaited<ReturnType<typeof panelNode>>
type Panel = Awaited<ReturnType<typeof hostilePanel>> & {freeze(): void; thaw(): void}

async function withNode(
  fake: {readonly broken?: readonly string[]},
  work: (node: Node, panel: Panel, check: (what: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const server = await hostilePanel(good)
  const freeze = () => {
    server.script.any = (_request, response) => sendStatus(response, 403, 'license_frozen')
  }
  const thaw = () => {
    delete server.script.any
  }
  try {
    const node = await panelNode({
      url: server.url,
      anchor,
      license,
      fake,
      upgrade: {policy: 'auto'},
    })
    fillFolders(node.root)
    const before = beforeOf(node.root)
    const floor = () => loadRecords(node.root).floor
    assert.is(floor(), '1.0.0')
    await work(node, {...server, freeze, thaw}, (what) => checkStands(node, before, what))
  } finally {
    await server.close()
  }
}

const running = ({root}: Device) => loadRecords(root).record.running.version
const offerOf = async (node: Device) => {
  const {offer} = (await look(node, await openSource(node), {isRetry: false})).answer
  if (offer === undefined) throw new Error('nothing is offered')
  return offer
}

test('frozen at the check: told as that, nothing changes, thawed it goes on', async () => {
  await withNode({}, async (node, panel, check) => {
    const before = readFileSync(join(node.root, '.rel/state.json'), 'utf8')
    panel.freeze()
    await rejectsCode(() => offerOf(node), 'upgrade_license_frozen')
    await openSource(node).then((source) =>
      rejectsCode(() => turn(node, source), 'upgrade_license_frozen'),
    )
    assert.is(readFileSync(join(node.root, '.rel/state.json'), 'utf8'), before)
    await check('check')
    panel.thaw()
    await turn(node, await openSource(node))
    assert.is(running(node), '1.1.0')
  })
})

test('frozen before the first byte of a download: nothing is left of it', async () => {
  await withNode({}, async (node, panel, check) => {
    const offer = await offerOf(node)
    panel.freeze()
    await rejectsCode(() => stageOffer(node, offer, plain), 'upgrade_license_frozen')
    assert.is(loadRecords(node.root).record.state, 'committed')
    assert.equal(readdirSync(join(node.root, 'versions')), ['1.0.0'])
    await check('download')
  })
})

test('frozen within a download that breaks off: it stops, and goes on with what it has once thawed', async () => {
  await withNode({}, async (node, panel, check) => {
    const half = Math.floor(bytes.length / 2)
    panel.script.download = (_request, response) => {
      panel.freeze()
      cutAfter(response, bytes, half)
    }
    const offer = await offerOf(node)
    await rejectsCode(() => stageOffer(node, offer, plain), 'upgrade_license_frozen')
    assert.is(loadRecords(node.root).record.state, 'committed')
    await check('download')
    panel.thaw()
    delete panel.script.download
    const before = panel.seen.length
    await turn(node, await openSource(node))
    assert.is(running(node), '1.1.0')
    const ranges = panel.seen
      .slice(before)
      .filter(({path}) => path.startsWith('/download'))
      .map(({headers}) => headers.range)
    assert.equal(ranges, [`bytes=${half}-`])
  })
})

test('frozen within a download that goes on: it is finished', async () => {
  await withNode({}, async (node, panel, check) => {
    panel.script.download = (request, response) => {
      panel.freeze()
      sendRange(request, response, bytes)
    }
    await stageOffer(node, await offerOf(node), plain)
    assert.is(loadRecords(node.root).record.state, 'staged')
    await check('download')
  })
})

test('frozen once it is staged: what is there may be applied', async () => {
  await withNode({}, async (node, panel, check) => {
    await stageOffer(node, await offerOf(node), plain)
    panel.freeze()
    await apply(node, {...plain, isUnattended: true})
    assert.is(running(node), '1.1.0')
    await check('staged')
    await rejectsCode(() => offerOf(node), 'upgrade_license_frozen')
    assert.is(running(node), '1.1.0')
  })
})

for (const [name, broken, runs] of [
  ['healthy', [], '1.1.0'],
  ['not healthy', ['1.1.0'], '1.0.0'],
] as const)
  test(`frozen within a trial: its health alone decides, and it is ${name}`, async () => {
    await withNode({broken}, async (node, panel, check) => {
      queueResults(node)
      await stageOffer(node, await offerOf(node), plain)
      const gone = async () => Promise.reject(new Error('killed'))
      await apply({...node, world: {...node.world, restart: gone}}, plain).catch(() => undefined)
      assert.is(loadRecords(node.root).record.state, 'trial')
      panel.freeze()
      if (runs === '1.1.0') await resume(node)
      else await rejectsCode(() => resume(node), 'upgrade_rolled_back')
      assert.is(running(node), runs)
      await check('trial')
      // what came of it waits for the panel, and changes nothing
      queueResults(node)
      const before = readFileSync(join(node.root, '.rel/state.json'), 'utf8')
      await flushResults(node)
      assert.is(waitingResults(node.root), 1)
      assert.is(readFileSync(join(node.root, '.rel/state.json'), 'utf8'), before)
      assert.ok(existsSync(join(node.root, 'license')))
      panel.thaw()
      await flushResults(node)
      assert.is(waitingResults(node.root), 0)
    })
  })

test.run()
