import {test} from 'uvu'
import {checkAborted, checkResumed} from '../support/bump/kill-exits.ts'
import {inPairs} from '../support/rel.ts'

// The way back is a bump as well: killed, it is resumed or aborted like one.

const steps = ['vendor', 'commit', 'branch', 'push'] as const

test('a rollback that was killed is gone on with', async () => {
  await inPairs(steps, (step) => checkResumed({phase: 'end', step, to: 'v3.3.3'}))
})

test('a rollback that was killed is taken back', async () => {
  await inPairs(steps, (step) => checkAborted({phase: 'end', step, to: 'v3.3.3'}))
})

test.run()
