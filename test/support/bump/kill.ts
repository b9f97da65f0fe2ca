import {spawn} from 'node:child_process'
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import * as assert from 'uvu/assert'
import {bumpSteps} from '../../../src/bump/bump-steps.ts'
import {parsePlaybook} from '../../../src/bump/playbook-parse.ts'
import {personalState, sampleRepository} from './repository.ts'
import {sampleFiles, sampleIn, traefikPlaybook} from './sample.ts'

const KILLED = join(import.meta.dirname, 'killed-bump.ts')

/** Every entry of the journal of the sample's bump, in order. */
export const killSteps = bumpSteps(parsePlaybook(traefikPlaybook, 'traefik.yaml')).map(
  ({name}) => name,
)

/** Where a bump is killed: before a step, or after its effect and before that is in the journal. */
export type KillPoint = {
  readonly phase: 'begin' | 'end'
  readonly step: string
  /** v3.3.5 when not given; v3.3.3 is a rollback. */
  readonly to?: 'v3.3.5' | 'v3.3.3'
}

/**
 * A repository in which a bump was killed, with what it was `before`. Whatever happened, files,
 * index and HEAD of the person are not part of it.
 */
export async function killedAt({phase, step, to = 'v3.3.5'}: KillPoint) {
  const repository = sampleRepository(sampleFiles)
  const before = personalState(repository)
  const remote = repository.git('ls-remote', 'origin')
  const args = [KILLED, repository.root, phase, step, to]
  const signal = await new Promise((done) => {
    const child = spawn(process.execPath, args, {stdio: 'inherit'})
    child.on('exit', (_code, it) => done(it))
  })
  const point = `${phase} ${step} ${to}`
  assert.is(signal, 'SIGKILL', point)
  assert.ok(existsSync(join(repository.root, '.git/rel/bump/traefik.json')), point)
  const {branches: _, worktrees: __, ...own} = personalState(repository)
  const {branches: ___, worktrees: ____, ...ownBefore} = before
  assert.equal(own, ownBefore, point)
  return {...(await sampleIn(repository)), before, remote}
}
