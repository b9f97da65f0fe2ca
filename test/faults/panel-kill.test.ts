import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {setTimeout} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {openFileBlobs} from '../../src/panel/blobs/files.ts'
import {collectGarbage} from '../../src/panel/maintenance/gc.ts'
import {verifyPanel} from '../../src/panel/maintenance/verify.ts'
import {openSqliteStore} from '../../src/panel/store/sqlite.ts'
import {temporaryFolder} from '../support/tmp.ts'

const PANEL = join(import.meta.dirname, '../support/panel-children/killed-panel.ts')
const KILLS = 20

/** Lets a panel publish a while, kills it, and returns the versions that it had confirmed. */
async function killedRun(folder: string, major: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [PANEL, folder, String(major)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const confirmed: string[] = []
  const ended = once(child, 'exit')
  const stopAfter = major % 4
  for await (const line of createInterface({input: child.stdout})) {
    if (line !== 'ready') confirmed.push(line)
    if (confirmed.length === stopAfter) {
      await setTimeout(Math.random() * 25) // somewhere in the next publication
      child.kill('SIGKILL')
    }
  }
  const [, signal] = await ended
  assert.is(signal, 'SIGKILL')
  return confirmed
}

test('a panel that is killed at any moment has lost nothing and shows nothing half', async () => {
  const folder = temporaryFolder('rel killed-')
  const confirmed: string[] = []
  for (let major = 1; major <= KILLS; major++) {
    confirmed.push(...(await killedRun(folder, major)))
    const store = await openSqliteStore({path: join(folder, 'panel.db')})
    try {
      const {blobs} = await openFileBlobs({folder})
      const {findings} = await verifyPanel({store, blobs})
      // the drafts of this test are not signed, which verify says as well
      assert.equal(
        findings.filter(({code}) => !code.startsWith('json_') && code !== 'release_malformed'),
        [],
      )
      for (const version of confirmed)
        assert.is((await store.release('edge-agent', version))?.state, 'published', version)
    } finally {
      await store.close()
    }
  }
  assert.ok(confirmed.length >= KILLS)
  await nothingIsLeft(folder)
})

/** What was left in the middle goes with the garbage. */
async function nothingIsLeft(folder: string): Promise<void> {
  const store = await openSqliteStore({path: join(folder, 'panel.db')})
  try {
    const stores = {store, ...(await openFileBlobs({folder}))}
    const now = Math.floor(Date.now() / 1000) + 10
    await collectGarbage(stores, {graceSecs: 0, now})
    assert.equal(readdirSync(join(folder, 'blobs', 'tmp')), [])
    assert.equal(readdirSync(join(folder, 'uploads')), [])
    const live = new Set<string>()
    for await (const sha256 of store.liveBlobs()) live.add(sha256)
    for await (const sha256 of stores.blobs.list()) assert.ok(live.has(sha256))
  } finally {
    await store.close()
  }
}

test.run()
