import {spawnSync} from 'node:child_process'
import {hostname} from 'node:os'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {takeLock} from '../../../src/bump/bump-lock.ts'
import {openGit} from '../../../src/system/git.ts'
import {gitEnv, type SampleRepository, sampleRepository} from '../../support/bump/repository.ts'
import {rejectsCode} from '../../support/rejects.ts'

const repository = sampleRepository({a: 'a'})
const git = await openGit(repository.root, gitEnv)

/** A lock as another process has left it. */
function plant({root}: SampleRepository, item: string, owner: object): void {
  const options = {cwd: root, env: gitEnv, encoding: 'utf8', input: JSON.stringify(owner)} as const
  const {stdout} = spawnSync('git', ['hash-object', '-w', '--stdin'], options)
  repository.git('update-ref', `refs/rel/lock/${item}`, stdout.trim())
}

/** The number of a process that has ended. */
function deadPid(): number {
  const {pid} = spawnSync('true')
  return pid
}

test('a lock is held until it is given back', async () => {
  const release = await takeLock(git, 'a')
  await rejectsCode(() => takeLock(git, 'a'), 'bump_in_progress')
  const other = await takeLock(git, 'b')
  await other()
  await release()
  await (await takeLock(git, 'a'))()
  assert.is(repository.git('for-each-ref', 'refs/rel'), '')
})

test('the lock of a process that died is taken over, by exactly one of many', async () => {
  plant(repository, 'a', {pid: deadPid(), host: hostname(), started: '1'})
  const all = await Promise.allSettled(Array.from({length: 6}, () => takeLock(git, 'a')))
  const won = all.filter((it) => it.status === 'fulfilled')
  assert.is(won.length, 1)
  for (const it of all) if (it.status === 'rejected') assert.is(it.reason.code, 'bump_in_progress')
  await won[0]?.value()
})

test('a number that another process has by now does not hold the lock', async () => {
  plant(repository, 'a', {pid: process.pid, host: hostname(), started: '1'})
  await (await takeLock(git, 'a'))()
})

test('a process of another machine holds the lock', async () => {
  plant(repository, 'a', {pid: deadPid(), host: 'another.example', started: '1'})
  await rejectsCode(() => takeLock(git, 'a'), 'bump_in_progress')
})

test.run()
