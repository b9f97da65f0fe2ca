import {readdirSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {exitCodeOf} from '../../src/system/codes.ts'
import {personalState} from '../support/bump/repository.ts'
import {inTraefikSetting, type TraefikSetting} from '../support/bump/traefik-setting.ts'
import {traefikMutations} from '../support/github/traefik-mutations.ts'
import type {Ran} from '../support/rel.ts'

// rel bump as it is built against an imitation of GitHub that lies, breaks off or has had enough.

type Document = {
  readonly ok: boolean
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: {
    readonly code: string
    readonly message: string
    readonly fix?: string
    readonly details?: Readonly<Record<string, unknown>>
  }
}

const documentOf = ({stdout}: Ran) => JSON.parse(stdout) as Document
const bump = ['bump', 'traefik', 'NEW=v3.3.5', '--json']

/** Everything that a refused bump must not touch, here and at the remote. */
function stateOf({repository}: TraefikSetting): object {
  const remote = repository.git('ls-remote', 'origin')
  return {...personalState(repository), remote, hidden: repository.git('for-each-ref')}
}

function executables(folder: string): string[] {
  return readdirSync(folder, {recursive: true, encoding: 'utf8'})
    .map((path) => join(folder, path))
    .filter((path) => statSync(path).isFile() && (statSync(path).mode & 0o111) !== 0)
}

test('twelve mutations have twelve codes', () => {
  assert.is(new Set(traefikMutations.map(({code}) => code)).size, 12)
})

for (const {name, code, config, mutate} of traefikMutations)
  test(`rel bump, ${name}: ${code}, and nothing has changed`, () =>
    inTraefikSetting(async (setting) => {
      const {fake, rel, cacheHome} = setting
      await mutate(fake)
      const before = stateOf(setting)
      const ran = await rel(...bump)
      const {ok, error} = documentOf(ran)
      assert.equal([ok, error?.code, ran.code], [false, code, exitCodeOf(code)], ran.stdout)
      assert.equal(stateOf(setting), before)
      assert.equal(executables(cacheHome), [])
      const resumed = documentOf(await rel('bump', 'resume', 'traefik', '--json'))
      assert.is(resumed.error?.code, 'bump_not_running')
    }, config))

test('the same bump without a mutation goes through, so the refusals are theirs', () =>
  inTraefikSetting(async ({repository, rel}) => {
    const ran = await rel(...bump)
    assert.is(ran.code, 0, ran.stdout + ran.stderr)
    assert.is(
      repository.git('log', '-1', '--format=%s', 'bump/traefik-v3.3.5'),
      'chore(traefik): bump traefik v3.3.4 → v3.3.5',
    )
  }))

test('without a token a whole bump stays far below 60 calls, and none is authorised', () =>
  inTraefikSetting(async ({fake, rel}) => {
    fake.rate.remaining = 60
    const ran = await rel(...bump)
    assert.is(ran.code, 0, ran.stdout + ran.stderr)
    assert.ok(60 - fake.rate.remaining <= 8, `${60 - fake.rate.remaining} calls were counted`)
    assert.not.ok(fake.requests.some(({isAuthorized}) => isAuthorized))
  }))

test('an exhausted allowance ends with 75 and the time to come back, and changes nothing', () =>
  inTraefikSetting(async (setting) => {
    const {fake, rel} = setting
    const reset = Math.floor(Date.now() / 1000) + 1800
    Object.assign(fake.rate, {remaining: 0, reset})
    const before = stateOf(setting)
    const date = new Date(reset * 1000).toISOString().replace('.000Z', 'Z')
    const ran = await rel(...bump)
    const {error} = documentOf(ran)
    assert.equal([ran.code, error?.code], [75, 'rate_limited'])
    assert.ok(error?.message.includes(`until ${date}, in `), error?.message)
    assert.is(error?.details?.retry_at, reset)
    const people = await rel('bump', 'traefik', 'NEW=v3.3.5')
    assert.is(people.code, 75)
    assert.ok(people.stderr.includes(`until ${date}, in `), people.stderr)
    assert.equal(stateOf(setting), before)
    fake.rate.remaining = 60
    assert.is((await rel(...bump)).code, 0, 'later it works')
  }))

test.run()
