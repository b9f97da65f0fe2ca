import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ForgeConfig} from '../../../src/bump/forge/config.ts'
import {openForge} from '../../../src/bump/forge/forge.ts'
import {forgeToken} from '../../../src/bump/forge/forge-token.ts'
import type {PullRequests} from '../../../src/bump/world.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {ContentCache} from '../../../src/system/content-cache.ts'
import {makeHttp} from '../../../src/system/http-client.ts'
import {sampleEvidence} from '../../support/bump/evidence.ts'
import {type SampleRepository, sampleRepository} from '../../support/bump/repository.ts'
import {type ImitationGitea, startImitationGitea} from '../../support/gitea/imitation-gitea.ts'
import {type FakeGitHub, startFakeGitHub} from '../../support/github/fake-github.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const BRANCH = 'bump/traefik-v3.3.5'
const wishes = {labels: ['bump'], reviewers: ['ada']}

function openWith(config: ForgeConfig, token: string | undefined, wanted = wishes): PullRequests {
  const http = makeHttp({
    cache: new ContentCache(temporaryFolder()),
    userAgent: 'rel',
    proxyEnv: {},
  })
  const env = {
    GITHUB_API_URL: config.api_url,
    REL_GITHUB_TOKEN: token,
    REL_GITEA_URL: config.api_url,
    REL_GITEA_TOKEN: token,
  }
  return openForge(config, wanted, {http, env})
}

type GitHub = {
  readonly fake: FakeGitHub
  readonly repository: SampleRepository
  open(token?: string, wanted?: typeof wishes): PullRequests
}

async function onGitHub(use: (setting: GitHub) => Promise<void>): Promise<void> {
  const repository = sampleRepository({'agent/Makefile': 'TRAEFIK_VERSION := v3.3.4\n'})
  const {git} = repository
  git('push', '--quiet', 'origin', 'develop')
  git('switch', '--quiet', '-c', BRANCH)
  repository.write('agent/Makefile', 'TRAEFIK_VERSION := v3.3.5\n')
  repository.commit('chore(traefik): bump traefik v3.3.4 → v3.3.5')
  git('push', '--quiet', 'origin', BRANCH)
  const fake = await startFakeGitHub({
    repositories: [
      {
        name: 'fleet/os',
        defaultBranch: 'develop',
        gitFolder: git('remote', 'get-url', 'origin'),
        workflows: ['build.yaml'],
      },
    ],
    tokens: {'fake-token': 'octo', 'weak-token': 'reader'},
    readOnlyTokens: ['weak-token'],
    users: ['ada'],
  })
  const config = {kind: 'github', repository: 'fleet/os', api_url: fake.url} as const
  try {
    await use({
      fake,
      repository,
      open: (token = 'fake-token', wanted = wishes) => openWith(config, token, wanted),
    })
  } finally {
    await fake.close()
  }
}

const posts = ({requests}: FakeGitHub) =>
  requests.filter(({method, path}) => method === 'POST' && path.endsWith('/pulls')).length

test('GitHub: one pull request is opened, then updated', () =>
  onGitHub(async ({fake, open}) => {
    const first = await open().openOrUpdate(sampleEvidence())
    assert.is(first.isNew, true)
    assert.equal(first.warnings, [])
    const again = await open().openOrUpdate(sampleEvidence({changelog: 'other words'}))
    assert.equal([again.isNew, again.number, again.url], [false, first.number, first.url])
    assert.is(posts(fake), 1)
    const seen = await fetch(`${fake.url}/repos/fleet/os/pulls/${first.number}`)
    const {body, labels} = (await seen.json()) as {body: string; labels: {name: string}[]}
    assert.match(body, /> other words/)
    assert.equal(
      labels.map(({name}) => name),
      ['bump'],
    )
  }))

test('GitHub: the author as reviewer is a warning', () =>
  onGitHub(async ({open}) => {
    const wanted = {labels: [], reviewers: ['Octo']}
    const {warnings} = await open('fake-token', wanted).openOrUpdate(sampleEvidence())
    assert.equal(warnings, ['the author of a pull request cannot review it'])
  }))

test('GitHub: labels that are refused are a warning', () =>
  onGitHub(async ({fake, open}) => {
    const answer = {status: 403, body: {message: 'no', documentation_url: 'https://docs.invalid'}}
    fake.fail({kind: 'answer', method: 'POST', path: /\/labels$/, answer})
    const {warnings, isNew} = await open().openOrUpdate(sampleEvidence())
    assert.is(isNew, true)
    assert.match(warnings?.[0] ?? '', /^labels bump were not set/)
  }))

test('GitHub: a pull request that another run opened in between is updated', () =>
  onGitHub(async ({fake, open}) => {
    const {number} = await open().openOrUpdate(sampleEvidence())
    const empty = {kind: 'answer', answer: {status: 200, body: []}} as const
    fake.fail({...empty, method: 'GET', path: /\/pulls$/})
    const again = await open().openOrUpdate(sampleEvidence())
    assert.equal([again.isNew, again.number], [false, number])
    assert.is(posts(fake), 2)
  }))

const pull = {
  number: 7,
  html_url: 'https://github.com/fleet/os/pull/7',
  user: {login: 'octo'},
  head: {ref: BRANCH, repo: {full_name: 'fleet/os'}},
  base: {ref: 'develop'},
}
const hostile: readonly [string, string | object][] = [
  ['nothing', ''],
  ['a page', '<html>sign in</html>'],
  ['a map for a list', {message: 'moved'}],
  ['a list of nothing', [null]],
  ['a pull request without its branch', [{...pull, head: null}]],
  ['a pull request without a base', [{...pull, base: {}}]],
  ['a number that leads to another address', [{...pull, number: '7/../../../user'}]],
  ['an address that runs in a browser', [{...pull, html_url: 'javascript:alert(1)'}]],
  ['an address with control characters', [{...pull, html_url: 'https://x/\u001b[2J'}]],
  ['a person without a name', [{...pull, user: {login: 5}}]],
]
for (const [name, body] of hostile)
  test(`GitHub: ${name} as the list of pull requests is forge_answer_invalid`, () =>
    onGitHub(async ({fake, open}) => {
      fake.fail({kind: 'answer', method: 'GET', path: /\/pulls$/, answer: {status: 200, body}})
      await rejectsCode(() => open().openOrUpdate(sampleEvidence()), 'forge_answer_invalid')
      assert.is(posts(fake), 0)
    }))

for (const [name, body] of [
  ['a list', []],
  ['rights in words', {permissions: {push: 'yes'}}],
] as const)
  test(`GitHub: ${name} as the repository is forge_answer_invalid`, () =>
    onGitHub(async ({fake, open}) => {
      fake.fail({kind: 'answer', method: 'GET', path: /\/os$/, answer: {status: 200, body}})
      await rejectsCode(() => open().checkAccess(), 'forge_answer_invalid')
    }))

test('GitHub: what it opened, said in another form, is forge_answer_invalid', () =>
  onGitHub(async ({fake, open}) => {
    const answer = {status: 201, body: {...pull, number: -1}}
    fake.fail({kind: 'answer', method: 'POST', path: /\/pulls$/, answer})
    await rejectsCode(() => open().openOrUpdate(sampleEvidence()), 'forge_answer_invalid')
  }))

test('GitHub: a workflow is started with its inputs', () =>
  onGitHub(async ({fake, open}) => {
    const inputs = {base_image_digest: `sha256:${'a'.repeat(64)}`, apt_snapshot: '20250301T030400Z'}
    await open().dispatch?.('build.yaml', BRANCH, inputs)
    assert.equal(fake.dispatches[0]?.inputs, inputs)
    assert.is(fake.dispatches[0]?.ref, BRANCH)
  }))

type Refusal = readonly [
  name: string,
  code: ErrorCode,
  act: (setting: GitHub) => Promise<unknown> | undefined,
]

const refusals: readonly Refusal[] = [
  ['no token', 'forge_token_missing', ({open}) => open('').openOrUpdate(sampleEvidence())],
  [
    'a token that may only read',
    'forge_unauthorised',
    ({open}) => open('weak-token').openOrUpdate(sampleEvidence()),
  ],
  [
    'a token that nobody has',
    'forge_unauthorised',
    ({open}) => open('unknown').openOrUpdate(sampleEvidence()),
  ],
  [
    'a base that is not there',
    'pull_request_refused',
    ({open}) => open().openOrUpdate(sampleEvidence({base: 'gone'})),
  ],
  [
    'a branch without commits of its own',
    'pull_request_refused',
    ({open}) => open().openOrUpdate(sampleEvidence({branch: 'develop'})),
  ],
  [
    'another repository',
    'forge_not_found',
    ({fake}) => {
      const config = {kind: 'github', repository: 'fleet/gone', api_url: fake.url} as const
      return openWith(config, 'fake-token').openOrUpdate(sampleEvidence())
    },
  ],
  [
    'no calls left',
    'rate_limited',
    ({fake, open}) => {
      fake.rate.remaining = 0
      return open().openOrUpdate(sampleEvidence())
    },
  ],
  [
    'a workflow that is not there',
    'workflow_missing',
    ({open}) => open().dispatch?.('gone.yaml', BRANCH, {}),
  ],
]

for (const [name, code, act] of refusals)
  test(`GitHub: ${name} is ${code}`, () =>
    onGitHub(async (setting) => {
      await rejectsCode(async () => act(setting), code)
    }))

async function onGitea(
  use: (gitea: ImitationGitea, open: (token?: string) => PullRequests) => Promise<void>,
): Promise<void> {
  const gitea = await startImitationGitea()
  const config = {kind: 'gitea', repository: 'fleet/os', api_url: gitea.url} as const
  try {
    await use(gitea, (token = 'fake-token') => openWith(config, token))
  } finally {
    await gitea.close()
  }
}

test('Gitea: one pull request is opened, then updated, with label ids and reviewers', () =>
  onGitea(async (gitea, open) => {
    const first = await open().openOrUpdate(sampleEvidence())
    const again = await open().openOrUpdate(sampleEvidence({changelog: 'other words'}))
    assert.equal([first.isNew, again.isNew, again.number], [true, false, first.number])
    assert.is(gitea.pulls.length, 1)
    assert.match(gitea.pulls[0]?.body ?? '', /> other words/)
    assert.equal(gitea.labels.get(1), [7])
    assert.equal(gitea.reviewers.get(1), ['ada'])
  }))

test('Gitea: the pull request of the branch is found behind many others', () =>
  onGitea(async (gitea, open) => {
    const other = {title: '', body: '', base: 'develop', author: 'octo'}
    for (let number = 1; number <= 60; number++)
      gitea.pulls.push({...other, number, head: number === 60 ? BRANCH : `other-${number}`})
    const {number, isNew} = await open().openOrUpdate(sampleEvidence())
    assert.equal([number, isNew], [60, false])
  }))

test('Gitea: a fork with a branch of the same name is not ours, nor is one that is gone', () =>
  onGitea(async (gitea, open) => {
    const theirs = {title: 'theirs', body: '', base: 'develop', author: 'mallory', head: BRANCH}
    gitea.pulls.push({...theirs, number: 1, from: 'mallory/os'}, {...theirs, number: 2, from: ''})
    const first = await open().openOrUpdate(sampleEvidence())
    assert.equal([first.isNew, first.number], [true, 3])
    const again = await open().openOrUpdate(sampleEvidence())
    assert.equal([again.isNew, again.number], [false, 3])
    assert.equal(
      gitea.pulls.map(({title}) => title),
      ['theirs', 'theirs', sampleEvidence().subject],
    )
  }))

test('access is asked for without a change: a reader and a stranger are refused', async () => {
  await onGitHub(async ({fake, open}) => {
    await open().checkAccess()
    await rejectsCode(() => open('weak-token').checkAccess(), 'forge_unauthorised')
    await rejectsCode(() => open('unknown').checkAccess(), 'forge_unauthorised')
    await rejectsCode(() => open('').checkAccess(), 'forge_token_missing')
    const gone = {kind: 'github', repository: 'fleet/gone', api_url: fake.url} as const
    await rejectsCode(() => openWith(gone, 'fake-token').checkAccess(), 'forge_not_found')
    const app = {name: 'os', permissions: {admin: false, push: false, pull: false}}
    fake.fail({kind: 'answer', path: /fleet\/os$/, answer: {status: 200, body: app}})
    await open().checkAccess() // the role of an app says nothing
    assert.is(
      fake.requests.some(({method}) => method !== 'GET'),
      false,
    )
  })
  await onGitea(async (_, open) => {
    await open().checkAccess()
    await rejectsCode(() => open('unknown').checkAccess(), 'forge_unauthorised')
  })
})

test('Gitea: a label that nobody made is a warning', () =>
  onGitea(async (gitea) => {
    const config = {kind: 'gitea', repository: 'fleet/os', api_url: gitea.url} as const
    const forge = openWith(config, 'fake-token', {labels: ['bump', 'gone'], reviewers: []})
    const {warnings} = await forge.openOrUpdate(sampleEvidence())
    assert.equal(warnings, ['there is no label gone'])
    assert.equal(gitea.labels.get(1), [7])
  }))

test('Gitea: a workflow is started with its inputs', () =>
  onGitea(async (gitea, open) => {
    await open().dispatch?.('build.yaml', BRANCH, {apt_snapshot: 'x'})
    assert.equal(gitea.dispatches, [{ref: BRANCH, inputs: {apt_snapshot: 'x'}}])
    await rejectsCode(async () => open().dispatch?.('gone.yaml', BRANCH, {}), 'workflow_missing')
  }))

for (const [status, code] of [
  [403, 'forge_unauthorised'],
  [404, 'forge_not_found'],
  [422, 'pull_request_refused'],
] as const)
  test(`Gitea: ${status} is ${code}`, () =>
    onGitea(async (gitea, open) => {
      gitea.fail('POST', status)
      await rejectsCode(() => open().openOrUpdate(sampleEvidence()), code)
    }))

test('Gitea: a wrong token is forge_unauthorised', () =>
  onGitea(async (_, open) => {
    await rejectsCode(() => open('unknown').openOrUpdate(sampleEvidence()), 'forge_unauthorised')
  }))

test('a token goes to the address of the environment alone', () => {
  const gitea = {kind: 'gitea', repository: 'a/b', api_url: 'https://evil.example/api/v1'} as const
  const env = {
    REL_GITEA_URL: 'https://git.example/api/v1',
    REL_GITEA_TOKEN: 'secret',
    GITHUB_TOKEN: 'secret',
  }
  throwsCode(() => forgeToken(gitea, env), 'forge_token_missing')
  const github = {kind: 'github', repository: 'a/b', api_url: 'https://evil.example'} as const
  const refusal = throwsCode(() => forgeToken(github, env), 'forge_token_missing')
  assert.not.match(JSON.stringify(refusal), /secret/)
  const own = {...gitea, api_url: 'https://git.example/api/v1'}
  assert.is(forgeToken(own, env), 'secret')
})

test.run()
