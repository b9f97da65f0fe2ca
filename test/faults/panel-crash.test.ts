import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {CrashingPanels, chosenOf, crashTemplate} from '../support/panel-crash.ts'
import {inPairs} from '../support/rel.ts'

/** `npm run test:long`: every step there is, and more moments. */
const isLong = process.env.REL_TEST_LONG === '1'
const STEPS = isLong ? Number.POSITIVE_INFINITY : 16
const MOMENTS = isLong ? 200 : 20

const panels = new CrashingPanels(await crashTemplate({}))
const {steps, ms} = await panels.countSteps()

test('the steps of a publication are files, folders and statements', () => {
  assert.ok(steps.length > 60, `${steps.length}`)
  for (const name of [
    'mkdir',
    'rename',
    'write',
    'sync',
    'link',
    'rm',
    'begin',
    'insert',
    'update',
    'delete',
    'commit',
  ])
    assert.ok(steps.includes(name), name)
})

test(`a panel that is killed at a step has lost nothing, shows nothing half, and goes on`, async () => {
  await inPairs(chosenOf(steps, STEPS), (dieAt) =>
    panels.dieAt(dieAt, `killed at step ${dieAt} of ${steps.length}, ${steps[dieAt]}`),
  )
})

test(`a panel that is killed at any moment has lost nothing, shows nothing half, and goes on`, async () => {
  await inPairs([...Array(MOMENTS).keys()], () => panels.dieAfter(Math.random() * ms))
})

test.run()
