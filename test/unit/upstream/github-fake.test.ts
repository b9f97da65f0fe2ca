import {execFileSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {Octokit} from '@octokit/rest'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {ContentCache} from '../../../src/system/content-cache.ts'
import {makeHttp} from '../../../src/system/http-client.ts'
import {openOctokit} from '../../../src/upstream/github-release/octokit.ts'
import {
  type FakeGitHub,
  type FakeGitHubOptions,
  startFakeGitHub,
} from '../../support/github/fake-github.ts'
import {temporaryFolder} from '../../support/tmp.ts'

/** The double that other tests rely on: what GitHub does and emulate does not. */
const app = {owner: 'acme', repo: 'app'}

async function withFake(
  options: FakeGitHubOptions,
  use: (fake: FakeGitHub, octokit: Octokit) => Promise<void>,
): Promise<void> {
  const fake = await startFakeGitHub(options)
  try {
    await use(fake, await octokitOf(fake, 'fake-token'))
  } finally {
    await fake.close()
  }
}

function octokitOf(fake: FakeGitHub, token: string | undefined): Promise<Octokit> {
  const clock = {now: () => 0, sleep: async () => undefined}
  const cache = new ContentCache(temporaryFolder())
  const http = makeHttp({cache, userAgent: 'rel-test', clock, random: () => 0})
  return openOctokit({http, baseUrl: fake.url, token})
}

/** The status of a refusal, and what GitHub said. */
async function refused(call: () => Promise<unknown>): Promise<string> {
  try {
    await call()
  } catch (error) {
    const {status, response} = error as {status: number; response?: {data: object}}
    return `${status} ${JSON.stringify(response?.data)}`
  }
  throw new Error('nothing was refused')
}

function git(folder: string, ...args: readonly string[]): string {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@example.com']
  return execFileSync('git', ['-C', folder, ...identity, ...args], {encoding: 'utf8'})
}

/** A bare repository with main and a branch that changes one line and adds a file. */
function bareRepository(): string {
  const work = temporaryFolder()
  git(work, 'init', '-q', '-b', 'main')
  writeFileSync(join(work, 'Makefile'), 'VERSION ?= v1\nall:\n')
  git(work, 'add', '.')
  git(work, 'commit', '-q', '-m', 'one')
  git(work, 'checkout', '-q', '-b', 'bump/app')
  writeFileSync(join(work, 'Makefile'), 'VERSION ?= v2\nall:\n')
  writeFileSync(join(work, 'new.txt'), 'new\n')
  git(work, 'add', '.')
  git(work, 'commit', '-q', '-m', 'two')
  const bare = join(temporaryFolder(), 'app.git')
  execFileSync('git', ['clone', '-q', '--bare', work, bare])
  return bare
}

const pull = {...app, head: 'bump/app', base: 'main', title: 'title', body: 'body'}

test('a pull request shows the real commits and files, once', () => {
  const gitFolder = bareRepository()
  return withFake({repositories: [{name: 'acme/app', gitFolder}]}, async (_fake, octokit) => {
    const {data} = await octokit.rest.pulls.create(pull)
    assert.is(data.head.sha, git(gitFolder, 'rev-parse', 'bump/app').trim())
    assert.equal([data.commits, data.changed_files, data.additions, data.deletions], [1, 2, 2, 1])
    const files = await octokit.rest.pulls.listFiles({...app, pull_number: data.number})
    assert.equal(
      files.data.map(({filename, status}) => `${status} ${filename}`),
      ['modified Makefile', 'added new.txt'],
    )
    assert.match(await refused(() => octokit.rest.pulls.create(pull)), /^422 .*already exists/)
    const unpushed = {...pull, head: 'nowhere'}
    assert.match(await refused(() => octokit.rest.pulls.create(unpushed)), /^422 .*"head"/)
    const updated = await octokit.rest.pulls.update({...app, pull_number: data.number, body: 'new'})
    assert.is(updated.data.body, 'new')
    const list = await octokit.rest.pulls.list({...app, state: 'open', head: 'acme:bump/app'})
    assert.is(list.data.length, 1)
  })
})

test('the author is no reviewer; another person is', () =>
  withFake({repositories: [{name: 'acme/app'}], users: ['mona']}, async (_fake, octokit) => {
    const {data} = await octokit.rest.pulls.create(pull)
    const ask = (reviewer: string) =>
      octokit.rest.pulls.requestReviewers({
        ...app,
        pull_number: data.number,
        reviewers: [reviewer],
      })
    assert.match(await refused(() => ask('octo')), /^422 .*pull request author/)
    assert.is((await ask('mona')).status, 201)
  }))

test('a dispatched workflow can be read back with its inputs', () =>
  withFake(
    {repositories: [{name: 'acme/app', workflows: ['build.yaml']}]},
    async (fake, octokit) => {
      const dispatch = (workflow: string) =>
        octokit.rest.actions.createWorkflowDispatch({
          ...app,
          workflow_id: workflow,
          ref: 'main',
          inputs: {apt_snapshot: 'x'},
        })
      assert.is((await dispatch('build.yaml')).status, 204)
      assert.equal(fake.dispatches[0]?.inputs, {apt_snapshot: 'x'})
      assert.match(await refused(() => dispatch('other.yaml')), /^404/)
      const runs = await octokit.rest.actions.listWorkflowRuns({...app, workflow_id: 'build.yaml'})
      assert.is(runs.data.workflow_runs[0]?.event, 'workflow_dispatch')
      const [first] = fake.dispatches
      if (first !== undefined) first.conclusion = 'success'
      const run = await octokit.rest.actions.getWorkflowRun({...app, run_id: first?.run ?? 0})
      assert.is(run.data.conclusion, 'success')
    },
  ))

test('unknown tokens are 401, tokens for reading cannot write, nobody can neither', () =>
  withFake(
    {
      repositories: [{name: 'acme/app'}],
      tokens: {'fake-token': 'octo', reader: 'mona'},
      readOnlyTokens: ['reader'],
    },
    async (fake) => {
      const create = async (token: string | undefined) =>
        refused(async () => (await octokitOf(fake, token)).rest.pulls.create(pull))
      assert.match(await create('unknown'), /^401/)
      assert.match(await create(undefined), /^401/)
      assert.match(await create('reader'), /^403/)
    },
  ))

test('an upload is kept, has a digest, cannot come twice, and makes the tag when published', () =>
  withFake({repositories: [{name: 'acme/app'}]}, async (fake, octokit) => {
    const made = await octokit.rest.repos.createRelease({...app, tag_name: 'v1', draft: true})
    const upload = () =>
      octokit.rest.repos.uploadReleaseAsset({
        ...app,
        baseUrl: fake.url,
        release_id: made.data.id,
        name: 'a file.bin',
        data: 'bytes',
        headers: {'content-type': 'application/octet-stream'},
      })
    const {data} = await upload()
    assert.is(data.name, 'a.file.bin')
    assert.match(
      data.digest ?? '',
      /^sha256:277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9$/,
    )
    assert.match(await refused(upload), /^422 .*already_exists/)
    const byTag = () => octokit.rest.repos.getReleaseByTag({...app, tag: 'v1'})
    assert.match(await refused(byTag), /^404/)
    await octokit.rest.repos.updateRelease({...app, release_id: made.data.id, draft: false})
    assert.is((await byTag()).data.assets.length, 1)
    assert.is((await octokit.rest.git.getRef({...app, ref: 'tags/v1'})).status, 200)
  }))

test('faults happen once each, and one that never happened is told', async () => {
  await withFake({repositories: [{name: 'acme/app'}]}, async (fake, octokit) => {
    fake.fail({path: /^\/repos\/acme\/app$/, kind: '503-before'})
    fake.fail({path: /^\/repos\/acme\/app$/, kind: 'secondary', retryAfter: 1})
    fake.fail({path: /^\/repos\/acme\/app$/, kind: 'reset'})
    assert.is((await octokit.rest.repos.get(app)).status, 200)
    assert.equal(
      fake.requests.map(({status}) => status),
      [503, 403, 0, 200],
    )
  })
  const fake = await startFakeGitHub()
  fake.fail({path: /never/, kind: 'reset'})
  const ended = await fake.close().then(
    () => 'ended',
    (error: Error) => error.message,
  )
  assert.match(ended, 'faults that never happened: reset')
})

for (const [name, call, violation] of [
  ['an unknown parameter', '/repos/acme/app/pulls?sorted=yes', 'query parameter sorted is unknown'],
  ['an unknown path', '/repos/acme/app/nothing', 'is no operation of GitHub'],
] as const)
  test(`${name} does not pass for GitHub's interface`, async () => {
    const fake = await startFakeGitHub({repositories: [{name: 'acme/app'}]})
    await fetch(fake.url + call)
    const ended = await fake.close().then(
      () => 'ended',
      (error: Error) => error.message,
    )
    assert.match(ended, violation)
  })

test('a request body that GitHub would not take is a violation', async () => {
  const fake = await startFakeGitHub({repositories: [{name: 'acme/app'}]})
  const octokit = await octokitOf(fake, 'fake-token')
  const {data} = await octokit.rest.pulls.create(pull)
  const state = 'gone' as 'open'
  await octokit.rest.pulls.update({...app, pull_number: data.number, state})
  const ended = await fake.close().then(
    () => 'ended',
    (error: Error) => error.message,
  )
  assert.match(ended, /request\/state must be equal to one of the allowed values/)
})

test.run()
