import {existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {startFakeGitHub} from '../support/github/fake-github.ts'
import {startPanel, wanted} from '../support/panel.ts'
import {REPOSITORY, releaseFolder} from '../support/publish/publication.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

type Document = {
  readonly result: Record<string, unknown>
  readonly error: {readonly code: string}
  readonly next?: string
}

const now = () => Math.floor(Date.now() / 1000)

test('dry run, publish, again, status and reconcile; no token is ever told', async () => {
  const panel = await startPanel({clock: now})
  // panel tokens go to the panel alone, and GitHub's to GitHub
  const fake = await startFakeGitHub({
    repositories: [{name: REPOSITORY, tags: ['v1.4.2']}],
    tokens: {'ghp_canary-of-github': 'octo'},
  })
  try {
    const canaries = [panel.adminToken, 'ghp_canary-of-github']
    const {folder, release} = await releaseFolder({version: '1.4.2'})
    const home = temporaryFolder('rel home ')
    const targets = ['--panel', panel.url, '--github', REPOSITORY, '--github-api', fake.url]
    const place = {HOME: home, XDG_STATE_HOME: join(home, 'state')}
    const tokens = {REL_PANEL_TOKEN: canaries[0] ?? '', GITHUB_TOKEN: canaries[1] ?? ''}
    const rel = async (args: readonly string[], extra: Record<string, string> = {}) => {
      const env = {...place, ...tokens, REL_DEBUG: '1', ...extra}
      const {code, stdout, stderr} = await runRel([...args, ...targets, '--json'], {env})
      for (const canary of canaries)
        assert.not(`${stdout}${stderr}`.includes(canary), 'a token is in the output')
      return {code, stderr, document: JSON.parse(stdout) as Document}
    }

    const empty = {REL_PANEL_TOKEN: '', GITHUB_TOKEN: ''}
    const dry = await rel(['publish', folder, '--dry-run'], empty)
    assert.is(dry.code, 0, JSON.stringify(dry.document))
    assert.equal(
      (dry.document.result.assets as {name: string; kind: string}[]).map(({kind}) => kind),
      ['artifact', 'manifest'],
    )
    assert.is(fake.requests.length, 0)
    const without = await rel(['publish', folder], empty)
    assert.equal([without.code, without.document.error.code], [21, 'github_token_missing'])

    const before = await rel(['release', 'status', folder, '--exit-code'])
    assert.is(before.code, 10, JSON.stringify(before.document))
    assert.is(before.document.next, 'rel publish')

    const summary = join(home, 'summary.md')
    const output = join(home, 'output')
    const actions = {
      GITHUB_ACTIONS: 'true',
      GITHUB_STEP_SUMMARY: summary,
      GITHUB_OUTPUT: output,
    }
    const first = await rel(['publish', folder], actions)
    assert.is(first.code, 0, JSON.stringify(first.document))
    assert.is(first.document.result.changed, true)
    const receipt = join(folder, 'publish-receipt.json')
    const text = readFileSync(receipt, 'utf8')
    assert.match(readFileSync(summary, 'utf8'), `### agent 1.4.2 published`)
    assert.match(readFileSync(output, 'utf8'), `manifest_sha256=${release.file.digest}\n`)
    assert.match(readFileSync(output, 'utf8'), `changed=true\n`)

    const again = await rel(['publish', folder])
    assert.is(again.code, 0)
    assert.equal(again.document.result.sent, {panel: [], github: []})
    assert.is(readFileSync(receipt, 'utf8'), text, 'the receipt has other bytes')
    assert.is((await rel(['release', 'reconcile', folder, '--exit-code'])).code, 0)

    // the artifacts need not be there to compare
    const bare = join(temporaryFolder('rel bare '), 'bare')
    mkdirSync(bare)
    writeFileSync(join(bare, 'release.json'), release.text)
    const [name = ''] = release.bytes.keys()
    fake.releases.removeAsset(REPOSITORY, 'v1.4.2', name)
    const apart = await rel(['release', 'reconcile', bare])
    assert.is(apart.code, 0, 'a difference is an answer')
    assert.is((apart.document.result.differences as {subject: string}[])[0]?.subject, name)

    const failed = await rel(['publish', folder], actions)
    assert.is(failed.code, 24)
    assert.match(failed.stderr, '::error title=github_release_incomplete::')

    const kept = readdirSync(home, {recursive: true, encoding: 'utf8', withFileTypes: true})
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
      .concat(text, ...panel.logged.map((entry) => JSON.stringify(entry)))
    for (const canary of canaries)
      assert.not(
        kept.some((content) => content.includes(canary)),
        'a token is in a file or a log',
      )
    assert.equal(readdirSync(join(home, 'state'), {recursive: true}).filter(isJson), [])
  } finally {
    await panel.stop()
    await fake.close()
  }
})

function isJson(name: string | Buffer): boolean {
  return String(name).endsWith('.json')
}

test('licences of both tracks see what they should, before and after; one that should not is told', async () => {
  const panel = await startPanel({clock: now})
  try {
    const home = temporaryFolder('rel probes ')
    const license = async (track: string) => {
      const body = {product: 'agent', customer: 'Acme', track, expires: now() + 86_400}
      const {json} = await wanted(201, panel.ask('POST', '/v1/licenses', {body}))
      const path = join(home, `${track}.license`)
      writeFileSync(path, String(json.file))
      return {path, id: String(json.id)}
    }
    const stable = await license('stable')
    const prerelease = await license('prerelease')
    const probes = ['--probe-license', stable.path, '--probe-license', prerelease.path]
    const publish = async (folder: string) => {
      const env = {REL_PANEL_TOKEN: panel.adminToken, HOME: home, GITHUB_ACTIONS: 'true'}
      const args = ['publish', folder, '--panel', panel.url, ...probes, '--json']
      const {code, stdout} = await runRel(args, {env})
      return {code, document: JSON.parse(stdout) as Document}
    }
    const seen = async (version: string) => {
      const {folder} = await releaseFolder({version})
      const {code, document} = await publish(folder)
      assert.is(code, 0, JSON.stringify(document))
      const {probes: results} = document.result.checks as {probes: Record<string, unknown>[]}
      return results.map(({track, sees, downloaded}) => [track, sees, downloaded])
    }
    assert.equal(await seen('1.4.2'), [
      ['stable', true, 1],
      ['prerelease', false, 0],
    ])
    assert.equal(await seen('1.5.0-beta.1'), [
      ['stable', false, 0],
      ['prerelease', true, 1],
    ])

    await panel.ask('POST', `/v1/licenses/${stable.id}/freeze`, {body: {reason: 'unpaid'}})
    const {folder, release} = await releaseFolder({version: '1.4.3'})
    const {code, document} = await publish(folder)
    assert.equal([code, document.error.code], [21, 'license_frozen'])
    const {json} = await panel.ask('GET', '/v1/products/agent/releases/1.4.3')
    assert.equal([json.state, json.digest], ['draft', release.file.digest], 'nothing was flipped')
    assert.not(existsSync(join(folder, 'publish-receipt.json')))
  } finally {
    await panel.stop()
  }
})

test.run()
