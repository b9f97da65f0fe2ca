import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {abortBump, startBump} from '../../src/bump/run-bump.ts'
import {killedAt, killSteps as steps} from '../support/bump/kill.ts'
import {personalState} from '../support/bump/repository.ts'
import {request} from '../support/bump/sample.ts'
import {rejectsCode} from '../support/rejects.ts'
import {inPairs} from '../support/rel.ts'

const BRANCH = 'bump/traefik-v3.3.5'

test('killed after any effect, before it is in the journal, an abort takes all of it back', async () => {
  await inPairs(steps, async (step) => {
    const {repository, before, context} = await killedAt({phase: 'end', step})
    const {left} = await abortBump('traefik', context.world.git)
    assert.equal(personalState(repository), before, step)
    assert.is(repository.git('for-each-ref', 'refs/rel'), '')
    const isPublic = repository.git('ls-remote', 'origin').includes(BRANCH)
    assert.is(left.length > 0, isPublic, `${step}: ${left}`)
    await rejectsCode(() => abortBump('traefik', context.world.git), 'bump_not_running')
    const state = await startBump(request('v3.3.5', {critical: true}), context)
    assert.is(state.isPushed, true, step)
  })
})

test.run()
