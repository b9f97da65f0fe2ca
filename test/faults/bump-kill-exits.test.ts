import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {resumeBump} from '../../src/bump/run-bump.ts'
import {killedAt} from '../support/bump/kill.ts'
import {checkAborted, checkResumed} from '../support/bump/kill-exits.ts'
import {inPairs} from '../support/rel.ts'

// What bump-kill.test.ts and bump-kill-abort.test.ts leave: effects that no journal knows of are
// resumed, and what the journal has is aborted.

test('killed after an effect, before it is in the journal, a resumed bump does it once', async () => {
  const steps = ['edit', 'vendor', 'lock', 'rollback', 'commit', 'branch', 'tag', 'push']
  await inPairs(steps, (step) => checkResumed({phase: 'end', step}))
})

test('killed after the pull request was opened, a resume ends with that one', async () => {
  const {context, forge} = await killedAt({phase: 'end', step: 'pull-request'})
  const state = await resumeBump('traefik', context)
  assert.is(state.isPushed, true)
  assert.is(forge.open.size, 1)
})

test('killed after an entry of the journal, an abort takes everything back', async () => {
  const steps = ['identify', 'lock', 'commit', 'branch', 'tag', 'push', 'pull-request', 'dispatch']
  await inPairs(steps, (step) => checkAborted({phase: 'begin', step}))
})

test.run()
