import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {playbookJsonSchema} from '../../src/bump/playbook.ts'
import type {JsonObject} from '../../src/system/json.ts'
import {canonicalJson} from '../../src/trust/canonical-json.ts'
import {checkSignatures} from '../../src/trust/envelope.ts'
import {readPublicKey} from '../../src/trust/public-key.ts'
import {
  gitEnv,
  personalState,
  type SampleRepository,
  sampleRepository,
} from '../support/bump/repository.ts'
import {k3sPlaybook, sampleFiles} from '../support/bump/sample.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import {syntheticTraefik, traefikChangelog} from '../support/github/upstream-releases.ts'
import {throwsCode} from '../support/rejects.ts'
import {type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// rel as a maintainer uses it: the built command, real git, GitHub on loopback with synthetic
// releases that have Traefik's real names.

const playbook = (fake: FakeGitHub, gates = '') => `item: traefik
title: Traefik reverse proxy
upstream:
  kind: github_release
  repository: traefik/traefik
  api_url: ${fake.url}
  web_url: ${fake.webUrl}
  assets:
    - {arch: amd64, name: 'traefik_{version}_linux_amd64.tar.gz', member: traefik}
  checksums: [{name: 'traefik_{version}_checksums.txt'}]
  changelog: CHANGELOG.md
verify: {min: L1}
inputs:
  NEW: {pattern: 'v\\d+\\.\\d+\\.\\d+', example: v3.3.5}
pins:
  - {file: agent/Makefile, kind: make_variable, name: TRAEFIK_VERSION}
vendor:
  run: [[make, -s, -C, agent, vendor-traefik]]
  artifacts: [agent/dist/traefik]
gates:
  - {uses: command, name: says its version, run: [grep, -q, 'traefik {new}', agent/dist/traefik]}
${gates}change: {base: develop}
`

const makefile = `TRAEFIK_VERSION := v3.3.4

vendor-traefik:
\t@mkdir -p dist
\t@if [ -n "$(REL_ASSET_AMD64)" ]; then cp $(REL_ASSET_AMD64) dist/traefik; else echo traefik $(TRAEFIK_VERSION) > dist/traefik; fi
`

type Setting = {
  readonly fake: FakeGitHub
  readonly repository: SampleRepository
  rel(...args: readonly string[]): Promise<Ran>
}

async function inSetting(use: (setting: Setting) => Promise<void>, gates = ''): Promise<void> {
  const fake = await startFakeGitHub({
    repositories: [
      {
        name: 'traefik/traefik',
        files: {'CHANGELOG.md': traefikChangelog},
        tags: ['v3.3.4', 'v3.3.5'],
        releases: [await syntheticTraefik('v3.3.4'), await syntheticTraefik('v3.3.5')],
      },
    ],
  })
  const repository = sampleRepository({
    ...sampleFiles,
    '.gitignore': 'dist/\nrel.keys/\n',
    'agent/Makefile': makefile,
    'playbooks/traefik.yaml': playbook(fake, gates),
    'playbooks/k3s.yaml': k3sPlaybook,
  })
  const {PATH: _, HOME: __, ...identity} = gitEnv
  const env = {...identity, XDG_CACHE_HOME: temporaryFolder()}
  try {
    await use({
      fake,
      repository,
      rel: (...args) => runRel(args, {cwd: repository.root, env}),
    })
  } finally {
    await fake.close()
  }
}

function resultOf(ran: Ran): Record<string, unknown> {
  assert.is(ran.code, 0, ran.stdout + ran.stderr)
  return (JSON.parse(ran.stdout) as {result: Record<string, unknown>}).result
}

function codeOf({stdout}: Ran): string | undefined {
  return (JSON.parse(stdout) as {error?: {code: string}}).error?.code
}

test('plan, bump, merge, audit, a replaced asset, and the way back', async () => {
  await inSetting(async ({fake, repository, rel}) => {
    const before = personalState(repository)
    const plan = await rel('bump', 'traefik', 'NEW=v3.3.5', '--dry-run')
    assert.is(plan.code, 0, plan.stderr)
    assert.match(plan.stdout, /^-TRAEFIK_VERSION := v3\.3\.4\n\+TRAEFIK_VERSION := v3\.3\.5$/m)
    assert.match(plan.stdout, /verified to L1, L1 is demanded/)
    assert.match(plan.stdout, /CVE-2025-32431/)
    assert.equal(personalState(repository), before)

    const bumped = resultOf(await rel('bump', 'traefik', 'NEW=v3.3.5', '--json'))
    assert.is(bumped.branch, 'bump/traefik-v3.3.5')
    assert.is(bumped.pushed, true)
    assert.is(repository.git('rev-parse', 'bump/traefik-v3.3.5'), bumped.commit)
    repository.git('merge', '--quiet', '--ff-only', 'bump/traefik-v3.3.5')

    const same = await rel('bump', 'traefik', 'NEW=v3.3.5', '--json')
    assert.is(codeOf(same), 'version_same')
    const audit = resultOf(await rel('bump', 'audit', 'traefik', '--json'))
    assert.is((audit.items as {verdict: string}[])[0]?.verdict, 'unchanged')
    await fake.moveTag('traefik/traefik', 'v3.3.5')
    const drifted = await rel('bump', 'audit', 'traefik', '--json')
    assert.is(drifted.code, 20)
    assert.is(codeOf(drifted), 'pin_drift')
    const {error} = JSON.parse(drifted.stdout) as {
      error: {details: {audits: {item: string; drifts: Record<string, string>[]}[]}}
    }
    const [found] = error.details.audits
    assert.is(found?.item, 'traefik')
    const {code, seen, wanted} = found?.drifts.find((drift) => drift.code === 'tag_moved') ?? {}
    assert.is(code, 'tag_moved')
    assert.ok(seen !== wanted && seen !== undefined && wanted !== undefined)

    const back = resultOf(await rel('rollback', 'traefik', '--json'))
    assert.equal([back.old, back.new], ['v3.3.5', 'v3.3.4'])
    const old = repository.git('show', 'bump/traefik-v3.3.4:agent/Makefile')
    assert.match(old, /:= v3\.3\.4$/m)
  })
})

test('without a token nothing is begun; with one a bump opens one pull request with its evidence', async () => {
  await inSetting(async ({fake, repository, rel}) => {
    const forge = await startFakeGitHub({
      repositories: [{name: 'fleet/os', defaultBranch: 'develop', gitFolder: repository.remote}],
    })
    try {
      const named = `  forge: {kind: github, repository: fleet/os, api_url: ${forge.url}}\n`
      const text = playbook(fake).replace(
        'change: {base: develop}\n',
        `change:\n  base: develop\n${named}`,
      )
      repository.write('playbooks/traefik.yaml', text)
      repository.commit('chore: name the forge')
      repository.git('push', '--quiet', 'origin', 'develop')
      const before = personalState(repository)
      const asked = fake.requests.length
      const refused = await rel('bump', 'traefik', 'NEW=v3.3.5', '--json')
      assert.is(codeOf(refused), 'forge_token_missing')
      assert.equal(personalState(repository), before)
      assert.is(fake.requests.length, asked)
      assert.is(codeOf(await rel('bump', 'resume', 'traefik', '--json')), 'bump_not_running')

      const token = {GITHUB_API_URL: forge.url, REL_GITHUB_TOKEN: 'fake-token'}
      const {PATH: _, HOME: __, ...identity} = gitEnv
      const env = {...identity, ...token, XDG_CACHE_HOME: temporaryFolder()}
      const args = ['bump', 'traefik', 'NEW=v3.3.5', '--json']
      const bumped = resultOf(await runRel(args, {cwd: repository.root, env}))
      const {number} = bumped.pull_request as {number: number}
      const answer = await fetch(`${forge.url}/repos/fleet/os/pulls/${number}`)
      const pull = (await answer.json()) as {title: string; body: string; head: {sha: string}}
      assert.is(pull.title, 'chore(traefik): bump traefik v3.3.4 → v3.3.5')
      assert.is(pull.head.sha, bumped.commit)
      for (const wanted of ['CVE-2025-32431', '## Verification', '## Rollback', 'git revert'])
        assert.ok(pull.body.includes(wanted), `${wanted} is not in\n${pull.body}`)
    } finally {
      await forge.close()
    }
  })
})

test('a recorded plan is replayed byte for byte without a network', async () => {
  const tape = join(temporaryFolder(), 'tape')
  let root = ''
  let recorded: unknown
  const replayed = async (rel: Setting['rel'], extra: readonly string[]) =>
    resultOf(await rel('bump', 'plan', 'traefik', 'NEW=v3.3.5', '--json', ...extra))
  await inSetting(async ({fake, repository, rel}) => {
    root = repository.root
    recorded = await replayed(rel, ['--record', tape])
    const {length: asked} = fake.requests
    assert.ok(asked > 0)
    assert.equal(await replayed(rel, ['--replay', tape]), recorded)
    assert.is(fake.requests.length, asked)
  })
  // the server is gone, and so is the cache
  const {PATH: _, HOME: __, ...identity} = gitEnv
  const env = {...identity, XDG_CACHE_HOME: temporaryFolder()}
  const rel = (...args: readonly string[]) => runRel(args, {cwd: root, env})
  assert.equal(await replayed(rel, ['--replay', tape]), recorded)
  const other = await rel('bump', 'plan', 'traefik', 'NEW=v3.3.6', '--json', '--replay', tape)
  assert.is(codeOf(other), 'not_recorded')
  const text = readFileSync(join(tape, 'recording.json'), 'utf8')
  assert.not.match(text, /authorization/i)
})

test('a sign-off by a named key is in the commit; another key is refused', async () => {
  const gate = '  - {uses: sign_off}\n'
  await inSetting(async ({repository, rel}) => {
    for (const name of ['engineer', 'stranger'])
      resultOf(await rel('keys', 'new', name, '--no-passphrase', '--json'))
    const args = ['bump', 'traefik', 'NEW=v3.3.5', '--json']
    assert.is(codeOf(await rel(...args)), 'gate_sign_off_missing')
    const other = ['--sign-off', 'engineer', '--public-key', 'stranger']
    const refused = await rel(...args, ...other)
    assert.is(codeOf(refused), 'sign_off_refused', refused.stdout)
    assert.is(repository.git('branch', '--list', 'bump/*'), '')
    const right = ['--sign-off', 'engineer', '--public-key', 'engineer']
    resultOf(await rel(...args, ...right))
    const message = repository.git('log', '-1', '--format=%B', 'bump/traefik-v3.3.5')
    const [, digest = ''] = /^Rel-Evidence: sha256:([0-9a-f]{64})$/m.exec(message) ?? []
    const [, keyid = '', sig = ''] = /^Rel-Sign-Off: ([0-9a-f]{64}) (\S+)$/m.exec(message) ?? []
    // what anybody who has the public key can check, from the commit alone
    const signed = {item: 'traefik', old: 'v3.3.4', new: 'v3.3.5', evidence_sha256: digest}
    const key = readPublicKey(join(repository.root, 'rel.keys/engineer.pub'))
    const check = (statement: JsonObject) =>
      checkSignatures('sign-off', canonicalJson(statement), [{keyid, sig}], {
        keys: [key],
        threshold: 1,
      })
    assert.equal(check(signed).signedBy, [keyid])
    throwsCode(() => check({...signed, new: 'v3.3.6'}), 'signature_invalid')
    assert.ok(existsSync(join(repository.root, '.git/rel/bump/traefik/evidence/sign-off.json')))
  }, gate)
})

test('list works offline and says what it did not ask; new writes what list then shows', async () => {
  await inSetting(async ({fake, repository, rel}) => {
    const asked = fake.requests.length
    const {items} = resultOf(await rel('bump', 'list', '--offline', '--json'))
    assert.equal(
      (items as {item: string; current: string; asked: boolean}[]).map((it) => [
        it.item,
        it.current,
        it.asked,
      ]),
      [
        ['k3s', 'v1.31.3+k3s1', false],
        ['traefik', 'v3.3.4', false],
      ],
    )
    assert.is(fake.requests.length, asked)
    const online = resultOf(await rel('bump', 'list', '--json')).items as {latest: string | null}[]
    assert.is(online[1]?.latest, 'v3.3.5')
    const made = await rel(
      ...['bump', 'new', 'proxy', '--kind', 'github_release', '--upstream', 'repository=a/b'],
      ...['--upstream', 'assets=[{arch: amd64, name: x}]', '--file', 'agent/Makefile'],
      ...['--pin', 'make_variable:TRAEFIK_VERSION', '--json'],
    )
    assert.is(resultOf(made).current, 'v3.3.4')
    assert.match(repository.read('playbooks/proxy.yaml'), /^item: proxy$/m)
    const schema = JSON.parse(repository.read('playbooks/playbook.schema.json'))
    assert.equal(schema, playbookJsonSchema(), 'what its first line names for editors')
    const {items: more} = resultOf(await rel('bump', 'list', '--offline', '--json'))
    assert.is((more as unknown[]).length, 3)
  })
})

test('what is asked for wrongly is refused by code', async () => {
  await inSetting(async ({rel}) => {
    const cases: readonly (readonly [string, ...string[]])[] = [
      ['input_required', 'bump', 'traefik'],
      ['pin_value_refused', 'bump', 'traefik', 'NEW=3.3.5'],
      ['release_missing', 'bump', 'traefik', 'NEW=v9.9.9'],
      ['playbook_missing', 'bump', 'trafik', 'NEW=v3.3.5'],
      ['playbook_missing', 'bump', 'NEW=v3.3.5'],
      ['usage_invalid', 'bump', 'traefik', 'NEW=v3.3.5', 'FOO=1'],
      ['usage_invalid', 'bump', 'traefik', 'NEW=v3.3.5', '--froce'],
      ['usage_invalid', 'bump', 'traefik', 'NEW=v3.3.5', '--waive', 'x'],
      ['bump_not_running', 'bump', 'abort', 'traefik'],
      ['bump_not_running', 'bump', 'resume', 'traefik'],
      ['pin_not_locked', 'bump', 'audit', 'traefik'],
      ['no_previous_version', 'rollback', 'traefik'],
      ['file_missing', 'bump', 'plan', 'traefik', 'NEW=v3.3.5', '--replay', '/dev/null'],
      ['playbook_invalid', 'bump', 'new', 'x', '--kind', 'nothing', '--file', 'f', '--pin', 'p'],
      ['input_required', 'bump', 'new', 'x'],
    ]
    for (const [code, ...args] of cases) {
      const ran = await rel(...args, '--json')
      assert.is(codeOf(ran), code, args.join(' '))
    }
  })
})

test.run()
