import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {JsonValue} from '../../../../src/system/json.ts'
import {
  allowedSignerJson,
  parseAllowedSigners,
} from '../../../../src/trust/sigstore/allowed-signer.ts'
import {throwsCode} from '../../../support/rejects.ts'

const entry = {
  issuer: 'https://token.actions.githubusercontent.com',
  san: 'https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v{version}',
  repo_id: '123456',
  trigger: ['push', 'workflow_dispatch'],
  runner: 'github-hosted',
  not_before: 1_700_000_000,
  not_after: 1_800_000_000,
  products: ['app'],
}

test('an entry is read and written back as it was', () => {
  const [signer] = parseAllowedSigners([entry])
  assert.ok(signer)
  assert.is(signer.repoId, '123456')
  assert.equal(allowedSignerJson(signer), entry)
  const {runner, not_before, not_after, products, ...least} = entry
  const [small] = parseAllowedSigners([{...least, not_after: null}])
  assert.ok(small)
  assert.equal(allowedSignerJson(small), {...least, not_before: 0})
})

test('an empty list is refused', () => {
  throwsCode(() => parseAllowedSigners([]), 'identity_policy_empty')
})

const refused: Record<string, JsonValue | undefined> = {
  'no list': {0: entry},
  nothing: undefined,
  'more than 64 entries': Array.from({length: 65}, () => entry),
  'an entry that is no object': ['https://github.com/acme/app'],
  'an unknown field': [{...entry, sans: []}],
  'no issuer': [without('issuer')],
  'no san': [without('san')],
  'no repository id': [without('repo_id')],
  'no trigger': [without('trigger')],
  'an issuer without TLS': [{...entry, issuer: 'http://token.example.org'}],
  'a wildcard': [{...entry, san: 'https://github.com/acme/*'}],
  'a placeholder of its own': [{...entry, san: 'https://github.com/{owner}@v{version}'}],
  'half a placeholder': [{...entry, san: 'https://github.com/acme@v{version'}],
  'a space': [{...entry, san: 'https://github.com/acme app'}],
  'a letter outside of ASCII': [{...entry, san: 'https://github.com/аcme'}],
  'a very long text': [{...entry, san: `https://github.com/${'a'.repeat(1024)}`}],
  'a repository id that is a number': [{...entry, repo_id: 123_456}],
  'a repository id with a zero before it': [{...entry, repo_id: '0123'}],
  'no events': [{...entry, trigger: []}],
  'an event twice': [{...entry, trigger: ['push', 'push']}],
  'events that are no list': [{...entry, trigger: 'push'}],
  'an empty product list': [{...entry, products: []}],
  'a period that ends before it begins': [{...entry, not_after: 1}],
  'a period below zero': [{...entry, not_before: -1}],
  'a period in words': [{...entry, not_before: '2026-01-01'}],
}
for (const [name, json] of Object.entries(refused)) {
  test(`refused: ${name}`, () => {
    throwsCode(() => parseAllowedSigners(json), 'identity_policy_malformed')
  })
}

function without(field: string): JsonValue {
  return Object.fromEntries(Object.entries(entry).filter(([key]) => key !== field))
}

test.run()
