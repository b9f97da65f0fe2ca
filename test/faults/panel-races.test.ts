import {type ChildProcess, spawn} from 'node:child_process'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {openPostgresStore} from '../../src/panel/store/postgres.ts'
import {openSqliteStore} from '../../src/panel/store/sqlite.ts'
import type {PanelStore} from '../../src/panel/store/store.ts'
import {needsThat} from '../support/needs.ts'
import type {RaceResult} from '../support/panel-children/racing-publisher.ts'
import {type Postgres, startPostgres} from '../support/postgres.ts'
import {temporaryFolder} from '../support/tmp.ts'
import {draftOf} from '../unit/panel/store-conformance.ts'

const PUBLISHER = join(import.meta.dirname, '../support/panel-children/racing-publisher.ts')
/** `npm run test:long`: as many as were promised. */
const VERSIONS = process.env.REL_TEST_LONG === '1' ? 300 : 100
const names = ['anna', 'berta', 'clara']

function start(address: string, name: string): {child: ChildProcess; lines: AsyncIterator<string>} {
  const child = spawn(process.execPath, [PUBLISHER, address, name, String(VERSIONS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const {stdout} = child
  if (stdout === null) throw new Error('no output')
  return {child, lines: createInterface({input: stdout})[Symbol.asyncIterator]()}
}

/** Three processes that all want to be the ones who publish the same hundred versions. */
async function race(address: string): Promise<readonly RaceResult[]> {
  const publishers = names.map((name) => start(address, name))
  try {
    for (const {lines} of publishers) assert.is((await lines.next()).value, 'ready')
    for (const {child} of publishers) child.stdin?.end('go\n')
    const results = publishers.map(async ({lines}) => {
      const {value} = await lines.next()
      return JSON.parse(value ?? '{}') as RaceResult
    })
    return await Promise.all(results)
  } finally {
    for (const {child} of publishers) child.kill('SIGKILL')
  }
}

async function checkRace(results: readonly RaceResult[], store: PanelStore): Promise<void> {
  assert.equal(
    results.flatMap(({others}) => others),
    [],
    'no publisher is refused with anything but the conflict',
  )
  const winners = new Map<string, string>()
  for (const [at, {won, lost}] of results.entries()) {
    assert.is(won.length + lost.length, VERSIONS)
    for (const version of won) {
      assert.not.ok(winners.has(version), `${version} was won twice`)
      winners.set(version, names[at] ?? '')
    }
  }
  assert.is(winners.size, VERSIONS)
  const releases = await store.releases('edge-agent', {limit: VERSIONS + 1})
  assert.is(releases.length, VERSIONS)
  for (const {version, digest, artifacts, state} of releases) {
    const draft = draftOf(version, winners.get(version))
    assert.equal([digest, artifacts, state], [draft.digest, draft.artifacts, 'published'])
  }
  const sequences = releases.map(({sequence}) => sequence ?? 0).sort((a, b) => a - b)
  assert.equal(
    sequences,
    Array.from({length: VERSIONS}, (_, at) => at + 1),
  )
  assert.is((await store.logHead('edge-agent')).size, VERSIONS)
  const {rows, broken} = await store.verifyAudit()
  assert.equal([rows, broken], [1 + 2 * VERSIONS, undefined])
}

test('three processes race for a hundred versions on SQLite: one winner each', async () => {
  const path = join(temporaryFolder(), 'panel.db')
  const results = await race(path)
  const store = await openSqliteStore({path})
  try {
    await checkRace(results, store)
  } finally {
    await store.close()
  }
})

const started = await startPostgres()
if (needsThat('PostgreSQL', typeof started !== 'string', String(started))) {
  const server = started as Postgres
  test('three processes race for a hundred versions on PostgreSQL: one winner each', async () => {
    const url = await server.createDatabase()
    const results = await race(url)
    const store = await openPostgresStore({url})
    try {
      await checkRace(results, store)
    } finally {
      await store.close()
    }
  })
  test.after(() => server.stop())
}

test.run()
