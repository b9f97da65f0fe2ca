import {existsSync, mkdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import type {ErrorCode} from '../../src/system/codes.ts'
import {makeRelease, publish, startPanel, type TestPanel} from '../support/panel.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

type Document = {
  readonly ok: boolean
  readonly result: Record<string, unknown>
  readonly error: {readonly code: string; readonly hint: string}
}

function shell(panel: TestPanel, token: string) {
  const cwd = temporaryFolder('rel licences ')
  const run = async (...args: string[]) => {
    const env = {REL_PANEL_URL: panel.url, REL_PANEL_TOKEN: token}
    const {code, stdout, stderr} = await runRel([...args, '--json'], {cwd, env})
    assert.not(`${stdout}${stderr}`.includes(token), 'the token is in the output')
    return {code, document: JSON.parse(stdout) as Document}
  }
  return {
    cwd,
    ok: async (...args: string[]) => {
      const {code, document} = await run(...args)
      assert.is(code, 0, JSON.stringify(document))
      return document.result
    },
    refused: async (want: ErrorCode, ...args: string[]) => {
      const {code, document} = await run(...args)
      assert.is.not(code, 0)
      assert.is(document.error.code, want, JSON.stringify(document))
    },
  }
}

test('product and key come from the configuration where no flag and no panel says them', async () => {
  const cwd = temporaryFolder('rel licences ')
  const ran = async (...args: string[]) => {
    const {stdout} = await runRel([...args, '--json'], {cwd})
    return JSON.parse(stdout) as Document
  }
  const issue = ['license', 'issue', '--customer', 'Acme', '--expires', '30d', '-o', 'acme.license']
  assert.is((await ran(...issue)).error.code, 'input_required')
  await ran('keys', 'new', 'license', '--no-passphrase')
  writeFileSync(join(cwd, 'rel.config.yaml'), 'product: agent\nkey: license\n')
  const {result} = await ran(...issue)
  assert.equal([result.product, result.registered], ['agent', false])
  const renewed = await ran('license', 'renew', 'acme.license', '--expires', '60d')
  assert.is(renewed.result.serial, 2)
})

test('inspect trusts the anchor of one’s own configuration, not of a project’s', async () => {
  const cwd = temporaryFolder('rel licences ')
  const own = temporaryFolder('rel own ')
  const ran = async (...args: string[]) => {
    const {stdout} = await runRel([...args, '--json'], {cwd, env: {XDG_CONFIG_HOME: own}})
    return JSON.parse(stdout) as Document
  }
  await ran('keys', 'new', 'license', '--no-passphrase')
  await ran('trust', 'init', '--key', 'license', '--product', 'agent')
  await ran(
    ...['license', 'issue', '--product', 'agent', '--customer', 'Acme', '--expires', '30d'],
    ...['--key', 'license', '-o', 'acme.license'],
  )
  const inspect = ['license', 'inspect', 'acme.license']
  writeFileSync(join(cwd, 'rel.config.yaml'), 'trust: trust.json\n')
  assert.is((await ran(...inspect)).result.verified, false)
  mkdirSync(join(own, 'rel'))
  writeFileSync(join(own, 'rel', 'config.yaml'), `trust: ${join(cwd, 'trust.json')}\n`)
  // this anchor is asked, and gives nobody the role
  assert.is((await ran(...inspect)).error.code, 'role_missing')
})

test('issue, explain, freeze, renew and revoke against a panel', async () => {
  // the commands go by the clock of the machine
  const panel = await startPanel({clock: () => Math.floor(Date.now() / 1000), products: {}})
  try {
    await panel.ask('PUT', '/v1/products/agent')
    const {cwd, ok, refused} = shell(panel, panel.adminToken)
    const issue = ['license', 'issue', '--product', 'agent', '--customer', 'Acme GmbH']
    const {id, registered} = await ok(...issue, '--expires', '30d', '-o', 'acme.license')
    assert.is(registered, true)
    const path = join(cwd, 'acme.license')
    assert.is(statSync(path).mode & 0o777, 0o600)
    const token = licenseHeader(parseLicense(readFileSync(path)))
    const poll = async () => (await panel.ask('GET', '/update/license', {token})).status
    assert.is(await poll(), 200)

    const seen = await ok('license', 'explain', 'acme.license')
    assert.equal([seen.state, seen.channels], ['active', ['stable']])
    assert.is((await ok('license', 'explain', String(id))).id, id)

    assert.is((await ok('license', 'freeze', 'acme.license', '--reason', 'unpaid')).state, 'frozen')
    assert.is(await poll(), 403)
    const {serial} = await ok('license', 'renew', 'acme.license', '--expires', '60d')
    assert.is(serial, 2)
    assert.is(await poll(), 200, 'with the old file')
    assert.is(parseLicense(readFileSync(path)).license.serial, 2)

    assert.is((await ok('license', 'revoke', String(id), '--reason', 'stolen')).state, 'revoked')
    assert.is(await poll(), 403)
    await refused('license_revoked', 'license', 'renew', 'acme.license', '--expires', '90d')
    assert.is(parseLicense(readFileSync(path)).license.serial, 2, 'the file stays as it was')

    await refused('license_not_here', 'license', 'explain', '01JD0000000000000000000000')
    const unknown = ['license', 'issue', '--product', 'none', '--customer', 'Acme']
    await refused('product_unknown', ...unknown, '--expires', '1d', '-o', 'none.license')
    assert.not(existsSync(join(cwd, 'none.license')))
  } finally {
    await panel.stop()
  }
})

test('a token that may not, a token that is none, a token from a file', async () => {
  const panel = await startPanel()
  try {
    const auditor = shell(panel, await panel.token(['audit']))
    const issue = [
      'license',
      'issue',
      '--product',
      'agent',
      '--customer',
      'Acme',
      '--expires',
      '1d',
    ]
    await auditor.refused('token_not_allowed', ...issue)
    await shell(panel, 'relp_nonsense').refused('token_invalid', ...issue)
    const {cwd, refused} = shell(panel, 'relp_nonsense')
    writeFileSync(join(cwd, 'token'), `${await panel.token(['audit'])}\n`)
    await refused('token_not_allowed', ...issue, '--token-file', 'token')
  } finally {
    await panel.stop()
  }
})

test('what an explanation says is what the routes do', async () => {
  const panel = await startPanel({
    products: {agent: [{component: 'agent', os: 'linux', arch: 'amd64'}]},
  })
  try {
    for (const version of ['1.4.2', '1.5.0-beta.1', '1.6.0-canary.1'])
      await publish(panel, await makeRelease({version}))
    const now = panel.panel.clock()
    for (const track of ['stable', 'prerelease'])
      for (const entitlements of [[], ['channel:canary']]) {
        const body = {product: 'agent', customer: 'Acme', track, entitlements, expires: now + 1000}
        const {json} = await panel.ask('POST', '/v1/licenses', {body})
        const token = licenseHeader(parseLicense(String(json.file)))
        for (const version of ['1.4.2', '1.5.0-beta.1', '1.6.0-canary.1']) {
          const said = await panel.ask('GET', `/v1/licenses/${json.id}/explain?version=${version}`)
          const {verdict} = said.json.release as {verdict: string}
          const did = await panel.ask('HEAD', `/bundles/${version}.tar.gz`, {token})
          assert.is(
            did.status === 200,
            verdict === 'visible',
            `${track} ${entitlements} ${version}`,
          )
        }
      }
  } finally {
    await panel.stop()
  }
})

test.run()
