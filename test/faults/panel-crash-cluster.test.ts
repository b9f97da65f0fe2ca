import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {needsThat} from '../support/needs.ts'
import {CrashingPanels, chosenOf, crashTemplate} from '../support/panel-crash.ts'
import {type Postgres, startPostgres} from '../support/postgres.ts'
import {inPairs} from '../support/rel.ts'
import {type Swift, startSwift} from '../support/swift/swift.ts'

/** `npm run test:long`: a spread over all steps, as many as fit in a quarter of an hour (docs/decisions/tests.md). */
const isLong = process.env.REL_TEST_LONG === '1'
const STEPS = isLong ? 40 : 4

const [postgres, swift] = await Promise.all([startPostgres(), startSwift()])
const hasDatabase = needsThat('PostgreSQL', typeof postgres !== 'string', String(postgres))
const hasBucket = needsThat('OpenStack Swift', typeof swift !== 'string', String(swift))

/** Kills at steps of a publication, gc and backup, and knows what such steps are. */
async function everyStep(
  places: {readonly postgres?: Postgres; readonly swift?: Swift},
  wanted: readonly string[],
): Promise<void> {
  const panels = new CrashingPanels(await crashTemplate(places))
  const {steps} = await panels.countSteps()
  for (const name of wanted) assert.ok(steps.includes(name), `${name}: ${steps}`)
  await inPairs(chosenOf(steps, STEPS), (at) =>
    panels.dieAt(at, `killed at step ${at} of ${steps.length}, ${steps[at]}`),
  )
}

const statements = ['begin', 'insert', 'update', 'delete', 'commit', 'commit answered']
const objects = ['s3 put', 's3 put answered', 's3 delete', 's3 delete answered']

if (hasDatabase)
  test('on PostgreSQL and files: killed at a step, nothing is lost, half, or left', () =>
    everyStep({postgres: postgres as Postgres}, [...statements, 'link', 'rename', 'sync']))

if (hasBucket)
  test('on SQLite and S3: killed at a step, nothing is lost, half, or left', () =>
    everyStep({swift: swift as Swift}, [...objects, 'commit', 'link', 'sync']))

if (hasDatabase && hasBucket) {
  const places = {postgres: postgres as Postgres, swift: swift as Swift}
  test('on PostgreSQL and S3: killed at a step, nothing is lost, half, or left', () =>
    everyStep(places, [...statements, ...objects]))

  test('two panels on PostgreSQL and S3: one dies, the other goes on at once', async () => {
    const panels = new CrashingPanels(await crashTemplate(places))
    const {steps} = await panels.countSteps()
    await inPairs(chosenOf(steps, STEPS), (at) =>
      panels.dieBesideAnother(at, `killed at step ${at} of ${steps.length}, ${steps[at]}`),
    )
  })
}

test.after(async () => {
  if (hasDatabase) await (postgres as Postgres).stop()
  if (hasBucket) await (swift as Swift).stop()
})

test.run()
