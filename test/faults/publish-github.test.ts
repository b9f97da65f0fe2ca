import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {Slot} from '../../src/release/release.ts'
import type {RelError} from '../../src/system/error.ts'
import type {Fault} from '../support/github/fake-github.ts'
import {runOn, withGitHub} from '../support/publish/github-run.ts'
import {isWhole, REPOSITORY, releaseFolder} from '../support/publish/publication.ts'

/** With the manifest, 30 assets. */
const slots: readonly Slot[] = Array.from({length: 29}, (_, at) => ({
  component: `part${String(at).padStart(2, '0')}`,
  os: 'linux',
  arch: 'amd64',
}))
const folder = await releaseFolder({version: '2.0.0', slots, size: 200})
const names = [...folder.release.bytes.keys(), 'release.json']

const uploads = {method: 'POST', path: /\/releases\/\d+\/assets$/} as const
const at = (name: string) => ({...uploads, query: new RegExp(`name=${name.replaceAll('+', '.')}$`)})

const passing: Readonly<Record<string, (name: string) => Fault>> = {
  starter: (name) => ({...at(name), kind: 'starter'}),
  'lost reply': (name) => ({...at(name), kind: 'lost-reply'}),
  reset: (name) => ({...at(name), kind: 'reset'}),
  '503 before anything was done': (name) => ({...at(name), kind: '503-before'}),
  'secondary limit': (name) => ({...at(name), kind: 'secondary', retryAfter: 7}),
}

for (const [kind, fault] of Object.entries(passing))
  test(`${kind} at every one of 30 assets: published, whole`, () =>
    withGitHub(async (fake) => {
      for (const name of names) fake.fail(fault(name))
      const {changed} = await runOn(folder, fake)
      assert.ok(changed)
      assert.is(fake.pendingFaults, 0)
      assert.ok(isWhole(folder, fake))
      assert.is(fake.releases.publications.length, 1)
    }))

test('an upload that never works at any one of 30 assets: an error and a draft, then a whole release', async () => {
  const tags = names.map((_, index) => `t${index}`)
  await withGitHub(async (fake) => {
    const kinds = Object.values(passing).slice(0, 4)
    for (const [index, name] of names.entries()) {
      const tag = `t${index}`
      const fault = kinds[index % kinds.length]?.(name)
      assert.ok(fault)
      fake.fail({...fault, times: fault.kind === 'lost-reply' ? 1 : 6})
      const ended = await runOn(folder, fake, {tag}).then(
        () => 'published',
        (error: RelError) => error.code,
      )
      const [stored] = fake.releases.stored(REPOSITORY, tag)
      // a reply that is lost is looked up: the asset is there
      const isLost = fault.kind === 'lost-reply'
      assert.is(stored?.draft, !isLost, `${name}: ${ended}`)
      if (isLost) assert.is(ended, 'published')
      else assert.ok(['http_server_error', 'http_unreachable'].includes(ended), ended)
      assert.is(fake.pendingFaults, 0)
      if (index % 6 === 0) {
        await runOn(folder, fake, {tag})
        assert.is(fake.releases.stored(REPOSITORY, tag)[0]?.draft, false)
      }
    }
  }, tags)
})

const small = await releaseFolder({version: '2.0.0', size: 100})

const otherCalls: readonly (readonly [string, Omit<Fault, 'kind'>])[] = [
  ['reading the tag', {method: 'GET', path: /\/git\/ref\//}],
  ['listing releases', {method: 'GET', path: /\/releases$/}],
  ['making the draft', {method: 'POST', path: /\/releases$/}],
  ['listing assets', {method: 'GET', path: /\/releases\/\d+\/assets$/}],
  ['the publication', {method: 'PATCH', path: /\/releases\/\d+$/}],
  ['reading it back by its tag', {method: 'GET', path: /\/releases\/tags\//}],
  ['downloading as anyone', {method: 'GET', path: /\/releases\/download\//}],
]

test('a failure of every kind at every other call: published once, whole', async () => {
  const kinds = ['lost-reply', 'reset', '503-before'] as const
  const tags = otherCalls.flatMap((_, index) => kinds.map((kind) => `${kind}-${index}`))
  await withGitHub(async (fake) => {
    for (const [index, [what, where]] of otherCalls.entries())
      for (const kind of kinds) {
        const tag = `${kind}-${index}`
        const before = fake.releases.publications.length
        fake.fail({...where, kind} as Fault)
        await runOn(small, fake, {tag})
        const stored = fake.releases.stored(REPOSITORY, tag)
        assert.is(stored.length, 1, `${kind} at ${what}`)
        assert.is(stored[0]?.draft, false, `${kind} at ${what}`)
        assert.is(stored[0]?.assets.length, 2)
        assert.is(fake.releases.publications.length, before + 1, `${kind} at ${what}`)
      }
  }, tags)
})

test.run()
