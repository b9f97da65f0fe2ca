import {setTimeout} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {verifyPanel} from '../../src/panel/maintenance/verify.ts'
import {RelError} from '../../src/system/error.ts'
import type {Http} from '../../src/system/http.ts'
import {needsThat} from '../support/needs.ts'
import {addProduct, agentSlot, startPanel, type TestPanel} from '../support/panel.ts'
import {type Postgres, startPostgres} from '../support/postgres.ts'
import {publication, type ReleaseFolder, releaseFolder} from '../support/publish/publication.ts'

const ROUNDS = 20
const unlimited = {perSec: 1e6, burst: 1e6}
const limits = {perCredential: unlimited, perAddress: unlimited}

/** Every request waits a while before it is sent, so that two runs meet in ever other ways. */
function pausing(http: Http): Http {
  return {
    download: (request) => http.download(request),
    send: async (request) => {
      await setTimeout(Math.random() * 25)
      return http.send(request)
    },
  }
}

async function codeOf(from: ReleaseFolder, panel: TestPanel): Promise<string> {
  const {run} = await publication(from, {panel}, {through: pausing})
  return run().then(
    ({changed}) => (changed ? 'won' : 'was there'),
    (error: unknown) => (error instanceof RelError ? error.code : String(error)),
  )
}

/** Two publishers of one version with other bytes: one wins at once, the other is told of it. */
async function race(panels: readonly [TestPanel, TestPanel]): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const version = `1.${round}.0`
    const folders = await Promise.all(
      ['anna', 'berta'].map((seed) => releaseFolder({version, seed, size: 2000})),
    )
    const [anna, berta] = folders as [ReleaseFolder, ReleaseFolder]
    const codes = await Promise.all([codeOf(anna, panels[0]), codeOf(berta, panels[1])])
    assert.equal(codes.toSorted(), ['release_conflict', 'won'], version)
    const winner = codes[0] === 'won' ? anna : berta
    for (const {panel} of panels) {
      const stored = await panel.store.release('agent', version)
      assert.equal(
        [stored?.state, stored?.digest, stored?.sequence],
        ['published', winner.release.file.digest, round + 1],
      )
    }
    assert.is(await codeOf(winner, panels[1]), 'was there')
  }
  for (const {panel} of panels) {
    assert.equal((await verifyPanel(panel)).findings, [])
    assert.is((await panel.store.logHead('agent')).size, ROUNDS)
    assert.is((await panel.store.verifyAudit()).broken, undefined)
  }
}

test('two publishers race twenty times on SQLite: one wins, one gets the conflict', async () => {
  const panel = await startPanel({limits})
  try {
    await race([panel, panel])
  } finally {
    await panel.stop()
  }
})

const started = await startPostgres()
if (needsThat('PostgreSQL', typeof started !== 'string', String(started))) {
  const server = started as Postgres
  test('two publishers race twenty times over two panels on PostgreSQL: one wins, one gets the conflict', async () => {
    const open = {database: await server.createDatabase()}
    const one = await startPanel({limits, products: {}, open})
    const second = {limits, data: one.data, products: {}, open: {...open, lock: false}}
    const other = await startPanel(second)
    try {
      await addProduct(one, 'agent', [agentSlot])
      await race([one, other])
    } finally {
      await other.stop()
      await one.stop()
    }
  })
  test.after(() => server.stop())
}

test.run()
