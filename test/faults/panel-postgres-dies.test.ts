import {join} from 'node:path'
import {setTimeout} from 'node:timers/promises'
import pg from 'pg'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {verifyPanel} from '../../src/panel/maintenance/verify.ts'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import {isTransient} from '../../src/release/publish/persist.ts'
import {testNow} from '../support/anchors.ts'
import {needsThat} from '../support/needs.ts'
import {
  type Answer,
  addProduct,
  agentSlot,
  makeRelease,
  publish,
  startPanel,
  type TestPanel,
  wanted,
} from '../support/panel.ts'
import {type Postgres, startPostgres} from '../support/postgres.ts'
import {publication, type ReleaseFolder, releaseFolder} from '../support/publish/publication.ts'

const unlimited = {perSec: 1e6, burst: 1e6}
const limits = {perCredential: unlimited, perAddress: unlimited}
const server = await startPostgres()

/** Something that happens to the server while a release is published. */
type Accident = {
  readonly begin: (url: string) => Promise<void>
  /** The server is as it was. */
  readonly mend: (url: string) => Promise<void>
}

function accidents(postgres: Postgres): Readonly<Record<string, Accident>> {
  return {
    'the server dies and is started again': {
      begin: () => postgres.kill(),
      mend: () => postgres.up(),
    },
    'a process of the server is killed, and it recovers by itself': {
      begin: killBackends,
      mend: answers,
    },
  }
}

/** SIGKILL to those who work for the panel, as the kernel does when memory is short. */
async function killBackends(url: string): Promise<void> {
  const client = new pg.Client({connectionString: url})
  client.on('error', () => undefined) // it is thrown out with all others
  await client.connect()
  const {rows} = await client.query<{pid: number}>(
    `select pid from pg_stat_activity where application_name = 'rel-panel'
     and datname = current_database()`,
  )
  assert.ok(rows.length > 0)
  for (const {pid} of rows) killIfThere(pid)
  await client.end().catch(() => undefined)
}

/** The server ends all of its processes once one of them was killed. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as {code?: string}).code !== 'ESRCH') throw error
  }
}

async function answers(url: string): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    const client = new pg.Client({connectionString: url})
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.query('select 1')
      return
    } catch {
      await setTimeout(50)
    } finally {
      await client.end().catch(() => undefined)
    }
  }
  throw new Error('the server did not come back')
}

/** Names of the steps of a publication that nobody disturbs. */
async function stepsOf(panel: TestPanel): Promise<readonly string[]> {
  const steps: string[] = []
  const folder = await releaseFolder({version: '1.0.0', size: 2000})
  const {run} = await publication(folder, {panel}, {onStep: (_, step) => steps.push(step)})
  await run()
  return [...new Set(steps)]
}

/** What was answered is right, or says that the database is away. */
function checkAnswer({status, json, headers}: Answer, name: string): void {
  if (status === 200) return
  assert.equal([status, json.code], [503, 'store_unavailable'], name)
  assert.match(headers.get('content-type') ?? '', /^application\/problem\+json/)
  assert.ok(String(json.hint).length > 0 && String(json.request_id).length > 0)
}

async function survives(panel: TestPanel, url: string, {begin, mend}: Accident): Promise<void> {
  const {ask} = panel
  const body = {product: 'agent', customer: 'A', track: 'stable', expires: testNow + 86_400}
  const {json} = await wanted(201, ask('POST', '/v1/licenses', {body}))
  const token = licenseHeader(parseLicense(String(json.file)))
  const manifest = () => ask('GET', '/update/manifest.json', {token})
  const steps = await stepsOf(panel)
  assert.ok(steps.length >= 7, steps.join(', '))
  let published = '1.0.0'
  let interrupted = 0
  for (const [at, step] of steps.entries()) {
    const version = `1.${at + 1}.0`
    const name = `${step} of ${version}`
    const folder = await releaseFolder({version, size: 2000})
    let happened: Promise<void> | undefined
    const journal = join(folder.folder, 'journal.json')
    const onStep = (phase: string, begun: string) => {
      const own = begun.replace(version, '1.0.0')
      if (phase === 'begin' && own === step) happened ??= begin(url)
    }
    const first = await outcome(folder, panel, {journal, onStep})
    assert.ok(happened, name)
    await happened
    checkAnswer(await manifest(), name)
    await mend(url)
    if (first === 'published') published = version
    else interrupted++

    const shown = (await answered(manifest, name)).release as {version: string}
    assert.ok([published, version].includes(shown.version), `${name}: ${shown.version}`)
    assert.is(await outcome(folder, panel, {journal}), 'published', name)
    published = version
    const ready = await until(() => ask('GET', '/readyz', {token: null}))
    assert.is(ready.json.status, 'ready', name)
    const {release} = await answered(manifest, name)
    assert.is((release as {version: string}).version, version, name)
  }
  assert.ok(interrupted > 0, 'no publication was interrupted')
  assert.equal((await verifyPanel(panel.panel)).findings, [])
  assert.is((await panel.panel.store.logHead('agent')).size, steps.length + 1)
}

/** Tries that fail with what passes are those of a pipeline, which runs the command again. */
async function outcome(
  folder: ReleaseFolder,
  panel: TestPanel,
  options: Parameters<typeof publication>[2],
): Promise<'published' | 'interrupted'> {
  const {run} = await publication(folder, {panel}, options)
  return run().then(
    () => 'published',
    (error: unknown) => {
      assert.ok(isTransient(error), String(error))
      return 'interrupted'
    },
  )
}

async function answered(ask: () => Promise<Answer>, name: string) {
  const answer = await until(async () => {
    const said = await ask()
    checkAnswer(said, name)
    return said
  })
  return answer.json
}

/** The first answer that is a success. */
async function until(ask: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 0; tries < 1200; tries++) {
    const answer = await ask()
    if (answer.status === 200) return answer
    await setTimeout(50)
  }
  throw new Error('no success in a minute')
}

if (needsThat('PostgreSQL', typeof server !== 'string', String(server))) {
  const postgres = server as Postgres
  for (const [what, accident] of Object.entries(accidents(postgres)))
    test(`${what}, at every step of a publication: the panel goes on, nothing is lost`, async () => {
      const database = await postgres.createDatabase()
      const panel = await startPanel({limits, products: {}, open: {database}})
      try {
        await addProduct(panel, 'agent', [agentSlot])
        await survives(panel, database, accident)
      } finally {
        await panel.stop()
      }
    })

  test('a panel whose database is away says so, and why, wherever it is asked', async () => {
    const database = await postgres.createDatabase()
    const panel = await startPanel({limits, products: {}, open: {database}})
    try {
      await addProduct(panel, 'agent', [agentSlot])
      await publish(panel, await makeRelease({version: '1.0.0'}))
      await postgres.kill()
      for (const path of ['/v1/products/agent/releases/1.0.0', '/v1/audit'])
        assert.is((await panel.ask('GET', path)).json.code, 'store_unavailable', path)
      const ready = await panel.ask('GET', '/readyz', {token: null})
      assert.equal([ready.status, ready.json.failures], [503, ['store_unavailable']])
      assert.is((await panel.ask('GET', '/livez', {token: null})).status, 200)
      const problems = panel.logged.filter(({level}) => level === 'error')
      assert.ok(problems.length > 0, 'the log says so too')
      await postgres.up()
      await until(() => panel.ask('GET', '/readyz', {token: null}))
    } finally {
      await panel.stop()
    }
  })
  test.after(() => postgres.stop())
}

test.run()
