import {spawnSync} from 'node:child_process'
import * as assert from 'uvu/assert'
import {abortBump, resumeBump} from '../../../src/bump/run-bump.ts'
import {rejectsCode} from '../rejects.ts'
import {type KillPoint, killedAt} from './kill.ts'
import {gitEnv, personalState} from './repository.ts'

/** Kills a bump there, goes on with it, and checks that it ended as one that was never killed. */
export async function checkResumed(point: KillPoint): Promise<void> {
  const {phase, step, to = 'v3.3.5'} = point
  const name = `${phase} ${step} ${to}`
  const {repository, context, forge, before} = await killedAt(point)
  const state = await resumeBump('traefik', context)
  const branch = `bump/traefik-${to}`
  assert.is(repository.git('rev-parse', branch), state.commit, name)
  assert.is(repository.git('rev-parse', `traefik-${to}`), state.commit, name)
  assert.is(repository.git('log', '--format=%H', `develop..${branch}`), state.commit, name)
  assert.match(repository.git('show', `${branch}:agent/Makefile`), `TRAEFIK_VERSION := ${to} `)
  const remote = repository.git('ls-remote', 'origin')
  for (const ref of [`refs/heads/${branch}`, `refs/tags/traefik-${to}`])
    assert.ok(remote.includes(`${state.commit}\t${ref}`), `${name}: ${ref}`)
  assert.is(forge.open.size, 1, name)
  const {branches: _, ...after} = personalState(repository)
  const {branches: __, ...was} = before
  assert.equal(after, was, name)
  assert.is(repository.git('for-each-ref', 'refs/rel'), '', name)
  await rejectsCode(() => abortBump('traefik', context.world.git), 'bump_not_running')
}

/** Kills a bump there, takes it back, and checks that nothing is left, here and at the remote. */
export async function checkAborted(point: KillPoint): Promise<void> {
  const {phase, step, to} = point
  const name = `${phase} ${step} ${to}`
  const {repository, context, before, remote} = await killedAt(point)
  const {left} = await abortBump('traefik', context.world.git)
  assert.equal(personalState(repository), before, name)
  assert.is(repository.git('for-each-ref', 'refs/rel'), '', name)
  const isPublic = repository.git('ls-remote', 'origin') !== remote
  if (isPublic) assert.ok(left.length > 0, name)
  // what it says is left is all that is left, and the command takes it away
  for (const command of isPublic ? left : [])
    assert.is(spawnSync('sh', ['-c', command], {cwd: repository.root, env: gitEnv}).status, 0, name)
  assert.is(repository.git('ls-remote', 'origin'), remote, name)
  await rejectsCode(() => resumeBump('traefik', context), 'bump_not_running')
}
