import {cpSync, readlinkSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {rollback} from '../../src/device/apply.ts'
import {type Device, recordsOf} from '../../src/device/device.ts'
import {install, makeRoot} from '../../src/device/init.ts'
import {openSource} from '../../src/device/open-source.ts'
import {flushResults, queueFailure, queueResults, waitingResults} from '../../src/device/outbox.ts'
import {look, turn} from '../../src/device/update.ts'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import {
  licenseText,
  nodeAnchor,
  packedBundle,
  panelConfig,
  panelLicense,
  panelNode,
  publishBundle,
  startAppPanel,
} from '../support/device/panel-node.ts'
import {loopbackServer} from '../support/http/loopback-server.ts'
import {type TestPanel, wanted} from '../support/panel.ts'
import {temporaryFolder} from '../support/tmp.ts'

type Protocol = 'd0' | 'd2'

/** A node of a panel, what it was made from, and its licence. */
async function nodeOf(panel: TestPanel, protocol: Protocol = 'd0') {
  const license = await panelLicense(panel)
  const terms = {
    url: panel.url,
    protocol,
    anchor: await nodeAnchor(panel),
    license: license.file,
    upgrade: {policy: 'auto'},
  }
  return {node: await panelNode(terms), terms, licenseId: license.id}
}

/** What `rel device run --once` does. */
async function poll(node: Device): Promise<string> {
  const {did} = await turn(node, await openSource(node))
  queueResults(node)
  await flushResults(node)
  assert.is(waitingResults(node.root), 0, 'all is told')
  return did
}

/** Whose nodes the panel was told were set back: in the audit log, and how many are counted. */
async function rolledBack({panel, ask}: TestPanel): Promise<readonly unknown[]> {
  const rows = (await panel.store.audit(0, 1000)).filter(
    ({event}) => event === 'device.rolled_back',
  )
  const {json} = await wanted(200, ask('GET', '/v1/products/app/reports'))
  const counts = json.counts as readonly {readonly code: string; readonly reports: number}[]
  const told = counts.filter(({code}) => code === 'device_rolled_back')
  return [rows.map(({subject}) => subject), told.map(({reports}) => reports)]
}

/** Copies a folder; what it returns puts the copy in its place. */
function snapshot(root: string): () => void {
  const copy = join(temporaryFolder(), 'copy')
  const options = {recursive: true, verbatimSymlinks: true, preserveTimestamps: true}
  cpSync(root, copy, options)
  return () => {
    rmSync(root, {recursive: true})
    cpSync(copy, root, options)
  }
}

const floorOf = (node: Device) => recordsOf(node).floor

for (const protocol of ['d0', 'd2'] as const)
  test(`${protocol}: a node set back to a copy of its disk is seen by its panel, once`, async () => {
    const panel = await startAppPanel()
    try {
      const {node, licenseId} = await nodeOf(panel, protocol)
      await publishBundle(panel, '1.0.0')
      assert.is(await poll(node), 'nothing')
      const restore = snapshot(node.root)
      await publishBundle(panel, '1.1.0')
      assert.is(await poll(node), 'applied')
      assert.is(await poll(node), 'nothing')
      assert.is(floorOf(node), '1.1.0')
      assert.equal(await rolledBack(panel), [[], []])

      restore()
      assert.is(floorOf(node), '1.0.0', 'the floor of the copy')
      const options = {isRetry: false, isUnattended: true}
      for (let at = 0; at < 2; at++) {
        await look(node, await openSource(node), options)
        assert.equal(await rolledBack(panel), [[licenseId], [1]], 'told at the first poll')
      }
      assert.is(await poll(node), 'applied', 'it updates again')
      assert.is(readlinkSync(join(node.root, 'current')), 'versions/1.1.0')
      assert.is(floorOf(node), '1.1.0')
      for (let at = 0; at < 3; at++) assert.is(await poll(node), 'nothing')
      assert.equal(await rolledBack(panel), [[licenseId], [1]])
      const seen = (await panel.panel.store.audit(0, 1000)).at(-1)?.details
      const {seq: _, seq_before: before, ...details} = seen ?? {}
      assert.equal(details, {node: 'n1', version: '1.0.0', version_before: '1.1.0'})
      assert.is(before, recordsOf(node).record.seq, 'as far as it is again')
    } finally {
      await panel.stop()
    }
  })

test('a report alone shows it too, where nothing is polled', async () => {
  const panel = await startAppPanel()
  try {
    const {node, licenseId} = await nodeOf(panel)
    const restore = snapshot(node.root)
    await publishBundle(panel, '1.1.0')
    await poll(node)
    restore()
    queueFailure(node, {code: 'upgrade_disk_full', version: '1.1.0', phase: 'stage'})
    await flushResults(node)
    assert.equal(await rolledBack(panel), [[licenseId], [1]])
  } finally {
    await panel.stop()
  }
})

test("a node's own way back, and a version that failed, are nothing of the kind", async () => {
  const panel = await startAppPanel()
  try {
    const {node} = await nodeOf(panel)
    await publishBundle(panel, '1.1.0')
    await poll(node)
    await rollback(node)
    await poll(node)
    assert.is(readlinkSync(join(node.root, 'current')), 'versions/1.0.0')
    assert.equal(await rolledBack(panel), [[], []])
  } finally {
    await panel.stop()
  }
})

test('a node that is installed anew under its name has forgotten as much, and is told once', async () => {
  const panel = await startAppPanel()
  try {
    const {node, terms, licenseId} = await nodeOf(panel)
    await publishBundle(panel, '1.1.0')
    await poll(node)
    await poll(node)

    rmSync(node.root, {recursive: true})
    const folder = temporaryFolder()
    const [anchorPath, source] = [join(folder, 'trust.json'), join(folder, '1.0.0.tar.gz')]
    writeFileSync(anchorPath, terms.anchor)
    writeFileSync(source, await packedBundle({version: '1.0.0'}))
    makeRoot(node.root)
    const configText = JSON.stringify(panelConfig(terms))
    await install(node, {configText, anchorPath, source})
    writeFileSync(join(node.root, 'license'), terms.license)
    assert.equal([recordsOf(node).record.seq, floorOf(node)], [0, '1.0.0'])
    for (const did of ['applied', 'nothing', 'nothing']) assert.is(await poll(node), did)
    assert.equal(await rolledBack(panel), [[licenseId], [1]])
  } finally {
    await panel.stop()
  }
})

test("somebody else's licence says nothing of a node, whatever name it gives", async () => {
  const panel = await startAppPanel()
  try {
    const {node, licenseId} = await nodeOf(panel)
    const stranger = licenseHeader(parseLicense((await panelLicense(panel)).file))
    const claim = async (seq: number, at: number) => {
      const headers = {authorization: `Bearer ${stranger}`}
      const stated = {...headers, 'rel-node': 'n1', 'rel-seq': String(seq)}
      const path = '/update/manifest.json?current=1.0.0'
      await wanted(200, panel.ask('GET', path, {token: null, headers: stated}))
      const body = {code: 'upgrade_completed', version: '1.1.0', phase: 'apply', node: 'n1', seq}
      const once = {...headers, 'idempotency-key': String(at)}
      await wanted(202, panel.ask('POST', '/v1/report', {token: null, headers: once, body}))
    }
    const restore = snapshot(node.root)
    await publishBundle(panel, '1.1.0')
    for (const [at, seq] of [0, 1000].entries()) {
      await poll(node)
      await claim(seq, at)
    }
    await poll(node)
    assert.equal(await rolledBack(panel), [[], []])
    restore()
    await poll(node)
    assert.equal(await rolledBack(panel), [[licenseId], [1]], 'and hides nothing of it')
  } finally {
    await panel.stop()
  }
})

test('what a node is called goes to its panel, and not where that leads it', async () => {
  const other = await loopbackServer((_request, response) => response.writeHead(404).end())
  const server = await loopbackServer((_request, response) =>
    response.writeHead(307, {location: `${other.url}/elsewhere`}).end(),
  )
  try {
    for (const protocol of ['d0', 'd2'] as const) {
      const terms = {url: server.url, protocol, license: await licenseText()}
      const node = await panelNode({...terms, anchor: await nodeAnchor(undefined, false)})
      const source = await openSource(node)
      await source.find({running: '1.0.0', floor: '1.0.0', channels: ['stable']})
      const stated = [server, other].map(({seen}) => {
        const {headers} = seen.at(-1) ?? {}
        return [headers?.['rel-node'], headers?.['rel-seq']]
      })
      assert.equal(
        stated,
        [
          ['n1', '0'],
          [undefined, undefined],
        ],
        protocol,
      )
    }
    assert.is(other.seen.length, 2)
  } finally {
    await server.close()
    await other.close()
  }
})

test('a node without a name, and one that states nothing, are welcome', async () => {
  const panel = await startAppPanel()
  try {
    const {node} = await nodeOf(panel)
    const {node: _, ...config} = node.config
    const nameless = {...node, config}
    const restore = snapshot(node.root)
    await publishBundle(panel, '1.1.0')
    for (const did of ['applied', 'nothing']) assert.is(await poll(nameless), did)
    restore()
    assert.is(await poll(nameless), 'applied')
    assert.equal(await rolledBack(panel), [[], []])
  } finally {
    await panel.stop()
  }
})

test.run()
