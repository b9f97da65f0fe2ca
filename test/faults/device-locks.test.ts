import {createHash} from 'node:crypto'
import {existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../src/device/apply.ts'
import {type Device, whileFetching, whileLocked} from '../../src/device/device.ts'
import {awaitHealth, runProgram} from '../../src/device/health.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {openSource} from '../../src/device/open-source.ts'
import {runLoop} from '../../src/device/poll.ts'
import {stage} from '../../src/device/stage.ts'
import {look, stageOffer, turn} from '../../src/device/update.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {etagOf, hostilePanel, type Script, sendRange} from '../support/device/hostile-panel.ts'
import {plain} from '../support/device/node.ts'
import {
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelNode,
} from '../support/device/panel-node.ts'
import {loopbackServer} from '../support/http/loopback-server.ts'
import {rejectsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

const filler = createHash('shake256', {outputLength: 400_000}).update('locks').digest()
const [anchor, license] = [await nodeAnchor(), await licenseText()]

async function releaseOf(version: string) {
  return bundleRelease(version, await packedBundle({version, filler}))
}

const [next, later] = [await releaseOf('1.1.0'), await releaseOf('1.2.0')]

/** Half a download, and what lets the rest of it come. */
function heldDownload(bytes: Buffer) {
  let goOn = () => {}
  let begun = () => {}
  const isBegun = new Promise<void>((resolve) => {
    begun = resolve
  })
  const download: Script['download'] = (request, response) => {
    if (request.headers.range !== undefined) return sendRange(request, response, bytes)
    response.writeHead(200, {'content-length': bytes.length, etag: etagOf(bytes)})
    response.write(bytes.subarray(0, bytes.length / 2))
    begun()
    goOn = () => response.end(bytes.subarray(bytes.length / 2))
  }
  return {download, isBegun, goOn: () => goOn()}
}

function bytesOf({bytes}: typeof next): Buffer {
  return [...bytes.values()][0] ?? Buffer.alloc(0)
}

async function against(
  release: typeof next,
  script: Script,
  work: (
    node: Awaited<ReturnType<typeof panelNode>>,
    server: Awaited<ReturnType<typeof hostilePanel>>,
  ) => Promise<void>,
  upgrade = {},
): Promise<void> {
  const server = await hostilePanel(release, script)
  try {
    await work(await panelNode({url: server.url, anchor, license, upgrade}), server)
  } finally {
    await server.close()
  }
}

async function offered(node: Device) {
  const {offer} = (await look(node, await openSource(node), {isRetry: false})).answer
  if (offer === undefined) throw new Error('nothing is offered')
  return offer
}

test('a download under way keeps no operator from looking and going back', async () => {
  const held = heldDownload(bytesOf(later))
  await against(next, {}, async (node) => {
    await stageOffer(node, await offered(node), plain)
    await apply(node, plain)
    const server = await hostilePanel(later, {download: held.download})
    try {
      const other = {...node, config: {...node.config, source: {...source(node), url: server.url}}}
      const staged = stageOffer(other, await offered(other), plain)
      await held.isBegun
      assert.is((await look(other, await openSource(other), {isRetry: false})).running, '1.1.0')
      const again = await offered(other)
      await rejectsCode(() => stageOffer(other, again, plain), 'upgrade_busy')
      await whileLocked(node.root, () => rollback(node))
      assert.is(readlinkSync(join(node.root, 'current')), 'versions/1.0.0')
      held.goOn()
      await staged
      const {record, floor} = loadRecords(node.root)
      assert.equal(
        [record.state, record.running.version, record.candidate?.version, floor],
        ['staged', '1.0.0', '1.2.0', '1.1.0'],
      )
    } finally {
      await server.close()
    }
  })
})

function source({config}: Device) {
  if (config.source?.kind !== 'panel') throw new Error('no panel')
  return config.source
}

test('what was taken back while it was fetched is not staged', async () => {
  const held = heldDownload(bytesOf(next))
  await against(next, {download: held.download}, async (node) => {
    const offer = await offered(node)
    const staged = stageOffer(node, offer, plain)
    await held.isBegun
    // the same version by hand, and back: the gates are asked again once the bytes are there
    const bundle = join(temporaryFolder(), '1.1.0.tar.gz')
    writeFileSync(bundle, bytesOf(next))
    await whileLocked(node.root, async () => {
      await stage(node, bundle, plain)
      await apply(node, plain)
      await rollback(node)
    })
    held.goOn()
    await rejectsCode(() => staged, 'upgrade_blocked')
    assert.is(loadRecords(node.root).record.state, 'rolled_back')
  })
})

test('what was fetched while another process acted is there for the next run', async () => {
  await against(next, {}, async (node, server) => {
    const offer = await offered(node)
    await whileLocked(node.root, async () => {
      await rejectsCode(() => stageOffer(node, offer, plain), 'upgrade_busy')
    })
    assert.is(readdirSync(join(node.root, '.rel/downloads')).length, 1)
    const before = server.seen.filter(({path}) => path.startsWith('/download')).length
    await stageOffer(node, offer, plain)
    assert.is(server.seen.filter(({path}) => path.startsWith('/download')).length, before)
    assert.equal(readdirSync(join(node.root, '.rel/downloads')), [])
  })
})

test('an answer that comes while another process acts is no news, and no failure', async () => {
  await against(next, {}, async (node) => {
    await whileLocked(node.root, async () => {
      assert.is((await offered(node)).version, '1.1.0')
    })
    for (const name of ['seen.json', 'clock.json'])
      assert.not.ok(existsSync(join(node.root, '.rel', name)), name)
    await offered(node)
    for (const name of ['seen.json', 'clock.json'])
      assert.ok(existsSync(join(node.root, '.rel', name)), name)
  })
})

test('two locks: neither is the other', async () => {
  await against(next, {}, async ({root}) => {
    await whileFetching(root, async () => {
      await rejectsCode(() => whileFetching(root, async () => {}), 'upgrade_busy')
      await whileLocked(root, async () => {})
    })
  })
})

test('a delta that fails is told as that, and the update as what it becomes', async () => {
  const patch = Buffer.from('no delta at all')
  await against(next, {}, async (node) => {
    const offer = await offered(node)
    const path = join(temporaryFolder(), 'bad.delta')
    writeFileSync(path, patch)
    const fetch = async () => path
    const sha256 = sha256Hex(patch)
    const withDelta = {...offer, deltas: [{from: '1.0.0', size: patch.length, sha256, fetch}]}
    node.events.length = 0
    await stageOffer(node, withDelta, plain)
    assert.equal(
      node.events.map(({event, severity}) => [event, severity]),
      [
        ['upgrade_started', 'info'],
        ['upgrade_delta_failed', 'info'],
        ['upgrade_downloaded', 'info'],
        ['upgrade_staged', 'info'],
      ],
    )
  })
})

test('an update that fails is told once', async () => {
  await against(next, {}, async (node) => {
    const offer = {...(await offered(node)), version: '9.9.9'}
    node.events.length = 0
    await rejectsCode(() => stageOffer(node, offer, plain), 'version_mismatch')
    assert.equal(
      node.events.map(({event}) => event),
      ['upgrade_started', 'upgrade_stage_failed'],
    )
  })
})

/** A node that is told to stop once something has happened. */
function stoppable(node: Device): {readonly device: Device; stop(): void} {
  const stopping = new AbortController()
  const device = {...node, world: {...node.world, stop: stopping.signal}}
  return {device, stop: () => stopping.abort()}
}

test('stopped while it waits for the head of an answer, a node ends and has changed nothing', async () => {
  let asked = () => {}
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve
  })
  await against(next, {manifest: () => asked()}, async (node) => {
    const before = readFileSync(join(node.root, '.rel/state.json'))
    const {device, stop} = stoppable(node)
    const polled = runLoop(
      device,
      await openSource(device),
      {
        random: () => 0,
        sleep: async () => {},
        isStopping: () => device.world.stop?.aborted === true,
      },
      {isOnce: false, report: async () => {}},
    )
    await isAsked
    stop()
    const end = await polled
    assert.equal([end.polls, end.failed], [1, 0])
    assert.equal(readFileSync(join(node.root, '.rel/state.json')), before)
  })
})

test('stopped within a download, a node goes on with it later', async () => {
  const held = heldDownload(bytesOf(next))
  await against(
    next,
    {download: held.download},
    async (node, server) => {
      const {device, stop} = stoppable(node)
      // the first bytes are on disk when it is asked whether to go on
      const turned = turn(device, await openSource(device), () => stop())
      await rejectsCode(() => turned, 'interrupted')
      assert.not.ok(node.events.some(({event}) => event.endsWith('_failed')))
      assert.is((await turn(node, await openSource(node))).did, 'applied')
      const ranges = server.seen
        .filter(({path}) => path.startsWith('/download'))
        .map(({headers}) => headers.range)
      assert.is(ranges.length, 2)
      assert.match(String(ranges[1]), /^bytes=\d+-$/)
    },
    {policy: 'auto'},
  )
})

test('stopped while it waits for health, a trial stays one, and the next run ends it', async () => {
  await against(next, {}, async (node) => {
    await stageOffer(node, await offered(node), plain)
    const {device, stop} = stoppable(node)
    const silent = await loopbackServer(() => stop())
    try {
      const waiting = {secs: 60, isTakenBack: () => false, stop: device.world.stop}
      const health = () => awaitHealth({kind: 'url', url: `${silent.url}/health`}, '1.1.0', waiting)
      const asked = {...device, world: {...device.world, health}}
      await rejectsCode(() => apply(asked, plain), 'interrupted')
    } finally {
      await silent.close()
    }
    assert.not.ok(node.events.some(({event}) => event.endsWith('_failed')))
    assert.is(loadRecords(node.root).record.state, 'trial')
    await apply(node, plain)
    assert.equal(loadRecords(node.root).record.state, 'committed')
  })
})

test('stopped while a program of the node runs, it is killed and has said nothing', async () => {
  const stopping = new AbortController()
  const run = runProgram(['sleep', '600'], 600, {stop: stopping.signal})
  stopping.abort()
  await rejectsCode(() => run, 'interrupted')
})

test.run()
