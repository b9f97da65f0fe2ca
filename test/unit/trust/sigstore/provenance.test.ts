import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {checkProvenance} from '../../../../src/trust/sigstore/provenance.ts'
import '../../../support/no-network.ts'
import {rejectsCode} from '../../../support/rejects.ts'
import {
  type MockSigstore,
  mockDsse,
  releaseClaims,
  startMockSigstore,
} from '../../../support/sigstore-mock.ts'

const digests = {'manifest.json': 'a'.repeat(64), 'app.tar.gz': 'b'.repeat(64)}
const subject = Object.entries(digests).map(([name, sha256]) => ({name, digest: {sha256}}))
const statement = {
  _type: 'https://in-toto.io/Statement/v1',
  subject,
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: {
    buildDefinition: {buildType: 'https://example.org/build/v1', externalParameters: {}},
    runDetails: {builder: {id: 'https://example.org/builder'}},
  },
}

const test = suite<{mock: MockSigstore}>('provenance')

test.before(async (context) => {
  context.mock = await startMockSigstore()
})
test.after(async ({mock}) => mock.close())

function check(mock: MockSigstore, bundleBytes: Buffer) {
  const {trustedRoot, now} = mock
  const san = releaseClaims.san.replace('1.4.2', '{version}')
  const signer = {issuer: releaseClaims.iss, san, repoId: '123456', trigger: ['push'], notBefore: 0}
  const files = new Map(Object.entries(digests))
  return checkProvenance({
    bundleBytes,
    files,
    allowed: [signer],
    version: '1.4.2',
    trustedRoot,
    now,
  })
}

test('a provenance of exactly these files is taken', async ({mock}) => {
  const bundle = await mockDsse(mock, Buffer.from(JSON.stringify(statement)))
  const {identity, builderId, buildType} = await check(mock, bundle)
  assert.is(identity.san, releaseClaims.san)
  assert.is(builderId, 'https://example.org/builder')
  assert.is(buildType, 'https://example.org/build/v1')
})

const foreign = {name: 'other.tar.gz', digest: {sha256: 'c'.repeat(64)}}
const statements: Record<string, [object, ErrorCode]> = {
  'a subject that is no file here': [{subject: [...subject, foreign]}, 'sigstore_subject_foreign'],
  'a subject with another digest': [
    {subject: [{name: 'app.tar.gz', digest: foreign.digest}]},
    'sigstore_subject_foreign',
  ],
  'a file that it does not speak of': [{subject: subject.slice(0, 1)}, 'sigstore_subject_missing'],
  'a digest by another hash only': [
    {subject: [{name: 'app.tar.gz', digest: {sha1: 'd'.repeat(40)}}]},
    'sigstore_statement_malformed',
  ],
  'no subjects': [{subject: []}, 'sigstore_statement_malformed'],
  'another statement type': [
    {_type: 'https://in-toto.io/Statement/v0.1'},
    'sigstore_statement_malformed',
  ],
  'another predicate': [
    {predicateType: 'https://spdx.dev/Document'},
    'sigstore_statement_malformed',
  ],
  'no builder': [
    {predicate: {...statement.predicate, runDetails: {}}},
    'sigstore_statement_malformed',
  ],
}
for (const [name, [change, code]] of Object.entries(statements)) {
  test(`a provenance is refused: ${name}`, async ({mock}) => {
    const payload = Buffer.from(JSON.stringify({...statement, ...change}))
    const bundle = await mockDsse(mock, payload)
    await rejectsCode(() => check(mock, bundle), code)
  })
}

test('a payload of another type or with a field twice is refused', async ({mock}) => {
  const payload = Buffer.from(JSON.stringify(statement))
  const type = 'application/json'
  const other = await mockDsse(mock, payload, {type})
  await rejectsCode(() => check(mock, other), 'sigstore_statement_malformed')
  const twice = Buffer.from(payload.toString('utf8').replace('{', '{"subject":[],'))
  const bundle = await mockDsse(mock, twice)
  await rejectsCode(() => check(mock, bundle), 'json_duplicate_key')
})

test('who may not sign is refused before the statement is looked at', async ({mock}) => {
  const claims = {...releaseClaims, repository_id: '7'}
  const bundle = await mockDsse(mock, Buffer.from('no statement'), {claims})
  await rejectsCode(() => check(mock, bundle), 'identity_repository_mismatch')
})

test.run()
