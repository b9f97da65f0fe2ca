import {spawn} from 'node:child_process'
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {bumpSteps} from '../../src/bump/bump-steps.ts'
import {parsePlaybook} from '../../src/bump/playbook-parse.ts'
import {abortBump, resumeBump, startBump} from '../../src/bump/run-bump.ts'
import {personalState, type SampleRepository, sampleRepository} from '../support/bump/repository.ts'
import {request, sample, sampleFiles, sampleIn, traefikPlaybook} from '../support/bump/sample.ts'
import {rejectsCode} from '../support/rejects.ts'
import {inPairs} from '../support/rel.ts'

const KILLED = join(import.meta.dirname, '../support/bump/killed-bump.ts')
const BRANCH = 'bump/traefik-v3.3.5'
const steps = bumpSteps(parsePlaybook(traefikPlaybook, 'traefik.yaml')).map(({name}) => name)

/** A repository in which a bump was killed at this point. */
async function killedAt(phase: 'begin' | 'end', step: string) {
  const repository = sampleRepository(sampleFiles)
  const before = personalState(repository)
  const signal = await new Promise((done) => {
    const child = spawn(process.execPath, [KILLED, repository.root, phase, step], {
      stdio: 'inherit',
    })
    child.on('exit', (_code, it) => done(it))
  })
  assert.is(signal, 'SIGKILL', `${phase} ${step}`)
  assert.ok(existsSync(join(repository.root, '.git/rel/bump/traefik.json')), `${phase} ${step}`)
  // whatever happened, the person's files, index and HEAD are not part of it
  const {branches: _, worktrees: __, ...own} = personalState(repository)
  const {branches: ___, worktrees: ____, ...ownBefore} = before
  assert.equal(own, ownBefore, `${phase} ${step}`)
  return {...(await sampleIn(repository)), before}
}

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
    const {repository, before, context, forge} = await killedAt('begin', step)
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

test('killed after any effect, before it is in the journal, an abort takes all of it back', async () => {
  await inPairs(steps, async (step) => {
    const {repository, before, context} = await killedAt('end', step)
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
