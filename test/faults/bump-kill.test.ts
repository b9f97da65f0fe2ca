import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {resumeBump, startBump} from '../../src/bump/run-bump.ts'
import {killedAt, killSteps as steps} from '../support/bump/kill.ts'
import {personalState, type SampleRepository} from '../support/bump/repository.ts'
import {request, sample} from '../support/bump/sample.ts'
import {rejectsCode} from '../support/rejects.ts'
import {inPairs} from '../support/rel.ts'

const BRANCH = 'bump/traefik-v3.3.5'

/** Everything a finished bump leaves, here and on the remote. */
function outcome({git}: SampleRepository): readonly string[] {
  return [
    git('for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/tags', 'refs/rel'),
    git('ls-remote', 'origin'),
    git('worktree', 'list', '--porcelain').replaceAll(/^worktree .*$/gm, ''),
  ]
}

test('there are at least twelve points to be killed at', () => {
  assert.ok(steps.length >= 12, `${steps.length}`)
})

test('killed after any entry of the journal, a resumed bump ends as if nothing had been', async () => {
  const whole = await sample()
  const reference = request('v3.3.5', {critical: true})
  const {commit} = await startBump(reference, whole.context)
  await inPairs(steps, async (step) => {
    const {repository, before, context, forge} = await killedAt({phase: 'begin', step})
    const state = await resumeBump('traefik', context)
    assert.is(
      repository.git('rev-parse', `${BRANCH}^{tree}`),
      whole.repository.git('rev-parse', `${BRANCH}^{tree}`),
      step,
    )
    assert.is(state.commit?.length, commit?.length)
    assert.is(repository.git('rev-parse', BRANCH), state.commit)
    assert.is(outcome(repository).length, 3)
    assert.match(
      repository.git('ls-remote', 'origin'),
      new RegExp(`${state.commit}\trefs/heads/${BRANCH}`),
    )
    assert.is(forge.open.size, step === 'dispatch' ? 0 : 1, step)
    const {branches: _, ...after} = personalState(repository)
    const {branches: __, ...was} = before
    assert.equal(after, was, step)
    assert.is(repository.git('for-each-ref', 'refs/rel'), '')
    await rejectsCode(() => resumeBump('traefik', context), 'bump_not_running')
  })
})

test.run()
