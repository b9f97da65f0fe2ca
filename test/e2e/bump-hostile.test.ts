import {execFileSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {checkRemoteIs} from '../../src/bump/publish-change.ts'
import {resumeBump, startBump} from '../../src/bump/run-bump.ts'
import type {BumpWorld} from '../../src/bump/world.ts'
import {gitEnv, personalState} from '../support/bump/repository.ts'
import {request, sample, sampleIn, traefikPlaybook} from '../support/bump/sample.ts'
import {rejectsCode} from '../support/rejects.ts'

// What a repository, a playbook, a command or a recording could try against whoever bumps with it.

const BRANCH = 'bump/traefik-v3.3.5'

test('a branch that the base has gone beyond is no bump of the item', async () => {
  const {repository} = await sample()
  const {git} = repository
  git('branch', 'traefik', 'develop')
  git('push', '--quiet', 'origin', 'traefik')
  repository.write('later.txt', 'not released')
  repository.commit('feat: later')
  const named = traefikPlaybook.replace('  labels: [bump]', "  branch: '{item}'")
  const {context} = await sampleIn(repository, {}, named)
  const before = personalState(repository)
  await rejectsCode(() => startBump(request(), context), 'branch_taken')
  assert.equal(personalState(repository), before)

  git('branch', '--delete', '--force', 'traefik')
  await rejectsCode(() => startBump(request(), context), 'branch_taken')
  assert.is(git('ls-remote', 'origin', 'traefik').split('\t')[0], git('rev-parse', 'develop^'))
})

test('the branch of a bump that was merged may be used again', async () => {
  const {repository, context} = await sample()
  await startBump(request(), context)
  repository.git('merge', '--quiet', '--ff-only', BRANCH)
  repository.git('revert', '--no-edit', 'HEAD')
  await startBump(request(), context)
  assert.is(repository.git('rev-parse', `${BRANCH}^`), repository.git('rev-parse', 'develop'))
})

test('a playbook cannot name a line of the repository as its branch', async () => {
  const {repository} = await sample()
  const named = traefikPlaybook.replace('  labels: [bump]', '  branch: production')
  await rejectsCode(() => sampleIn(repository, {}, named), 'playbook_invalid')
})

const gateThat = (work: (folder: string) => void): Partial<BumpWorld> => ({
  runGate: async ({uses}, {folder}) => {
    work(folder)
    return {gate: uses, verdict: 'passed', summary: 'as it should be', caveats: [], logs: []}
  },
})

test('a gate that changes what was vendored changes what the lock has: refused', async () => {
  const swap = (folder: string) => writeFileSync(join(folder, 'agent/dist/traefik'), 'other v3.3.5')
  const {repository, context} = await sample(gateThat(swap))
  const before = personalState(repository)
  await rejectsCode(() => startBump(request(), context), 'change_escaped')
  assert.equal(personalState(repository), before)
})

test('the pull request says which vendored files are none of the verified ones', async () => {
  const made = await sample()
  await startBump(request(), made.context)
  const warnings = made.forge.open.get(BRANCH)?.evidence.warnings.join()
  assert.match(warnings ?? '', /agent\/dist\/traefik is none of the verified files/)

  const taken = await sample()
  const {repository} = taken
  repository.write(
    'agent/Makefile',
    'TRAEFIK_VERSION := v3.3.4\nvendor-traefik:\n\t@mkdir -p dist; cp "$(REL_ASSET_AMD64)" dist/traefik\n',
  )
  repository.commit('fix: take what was verified')
  await startBump(request(), taken.context)
  const others = taken.forge.open.get(BRANCH)?.evidence.warnings.join()
  assert.not.match(others ?? '', /none of the verified files/)
})

const addresses: readonly (readonly [url: string, isRight: boolean])[] = [
  ['https://forge.example/fleet/os.git', true],
  ['https://ada:secret@forge.example:8443/git/Fleet/OS/', true],
  ['git@forge.example:fleet/os.git', true],
  ['ssh://git@forge.example:22/fleet/os', true],
  ['/srv/git/anything.git', true],
  ['https://forge.example/evil/os.git', false],
  ['https://forge.example/evilfleet/os.git', false],
  ['git@forge.example:fleet/os-deploy.git', false],
]
for (const [url, isRight] of addresses)
  test(`the remote ${url} is ${isRight ? 'taken' : 'refused'} for fleet/os`, async () => {
    const {repository, context} = await sample()
    repository.git('remote', 'set-url', 'origin', url)
    const checked = () => checkRemoteIs(context.world.git, 'origin', 'fleet/os')
    if (isRight) await checked()
    else assert.not.match((await rejectsCode(checked, 'forge_repository_mismatch')).message, /ada/)
  })

test('a playbook cannot have the token used on a repository that is not pushed to', async () => {
  const {repository} = await sample()
  const forge = '  forge: {kind: github, repository: fleet/deploy}'
  const named = traefikPlaybook.replace('  labels: [bump]', forge)
  repository.git('remote', 'set-url', 'origin', 'https://forge.example/fleet/os.git')
  const {context, upstream} = await sampleIn(repository, {}, named)
  await rejectsCode(() => startBump(request(), context), 'forge_repository_mismatch')
  assert.equal(upstream.calls, [])
})

test('a branch that somebody has dated ahead dates neither lock nor waivers', async () => {
  const {repository, context} = await sample()
  const {git, root} = repository
  const subject = 'chore(traefik): bump traefik v3.3.4 → v3.3.5'
  const args = ['commit-tree', '-p', 'develop', '-m', subject, 'develop^{tree}']
  const env = {...gitEnv, GIT_COMMITTER_DATE: '3786912000 +0000'} // in 2090
  const ahead = execFileSync('git', args, {cwd: root, env, encoding: 'utf8'}).trim()
  git('push', '--quiet', 'origin', `${ahead}:refs/heads/${BRANCH}`)
  git('fetch', '--quiet', 'origin')
  await startBump(request(), context)
  const lock = JSON.parse(git('show', `${BRANCH}:rel.lock.json`))
  assert.is(lock.items.traefik.verified_at, context.world.now)
})

type Git = (...args: readonly string[]) => string
const merges: readonly (readonly [name: string, merge: (git: Git, subject: string) => void])[] = [
  [
    'a merge commit that quotes the subject',
    (git, subject) =>
      git('merge', '--no-ff', '--quiet', '-m', `Merge pull request #12\n\n${subject}`, BRANCH),
  ],
  [
    'a squash, and a later commit that quotes the subject',
    (git, subject) => {
      git('merge', '--squash', '--quiet', BRANCH)
      git('commit', '--quiet', '-m', `${subject} (#12)`)
      git('commit', '--allow-empty', '--quiet', '-m', `fix: a hole\n\nThere since\n${subject}`)
      git('commit', '--allow-empty', '--quiet', '-m', `${subject}0 (#13)`)
    },
  ],
]
for (const [name, merge] of merges)
  test(`the printed way back reverts the bump after ${name}`, async () => {
    const {repository, context, forge} = await sample()
    await startBump(request(), context)
    const {subject = '', rollback} = forge.open.get(BRANCH)?.evidence ?? {}
    merge(repository.git, subject)
    const [command = ''] = rollback?.commands ?? []
    execFileSync('sh', ['-c', command], {cwd: join(repository.root, 'agent'), env: gitEnv})
    assert.is(repository.git('rev-parse', 'HEAD^{tree}'), rollback?.tree)
  })

test('what a recording said is not published by a resume without it', async () => {
  const {repository, context} = await sample({isReplay: true})
  const stop = (phase: string, name: string) => {
    if (phase === 'begin' && name === 'push') throw new Error('killed')
  }
  const {world} = context
  const replay = {...context, world: {...world, onStep: stop}}
  await startBump(request(), replay).then(
    () => assert.unreachable(),
    () => undefined,
  )
  const real = {...context, world: {...world, isReplay: false}}
  await rejectsCode(() => resumeBump('traefik', real), 'usage_invalid')
  assert.is(repository.git('ls-remote', 'origin', BRANCH), '')
})

test.run()
