import {readFileSync} from 'node:fs'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {loadTrustedRoot} from '../../../../src/trust/sigstore/load-trusted-root.ts'
import {checkProvenance} from '../../../../src/trust/sigstore/provenance.ts'
import '../../../support/no-network.ts'
import {rejectsCode} from '../../../support/rejects.ts'

const vector = new URL(
  '../../../vectors/sigstore/recorded-github-cli-2.54.0.sigstore.json',
  import.meta.url,
)
const bundleBytes = readFileSync(vector)
const name = 'gh_2.54.0_linux_armv6.tar.gz'
const digest = 'cd53809273ad6011fdd98e0244c5c2276b15f3dd1294e4715627ebd4f9c6e0f1'
const signer = {
  issuer: 'https://token.actions.githubusercontent.com',
  san: 'https://github.com/cli/cli/.github/workflows/deployment.yml@refs/heads/trunk',
  repoId: '212613049',
  trigger: ['workflow_dispatch'],
  runner: 'github-hosted',
  notBefore: 0,
}
const question = {
  bundleBytes,
  files: new Map([[name, digest]]),
  allowed: [signer],
  version: '2.54.0',
  trustedRoot: await loadTrustedRoot(),
  // a day of 2026: the certificate has long expired, which the logged time makes up for
  now: 1_790_000_000,
}

test('a bundle of the public Sigstore verifies offline with the embedded root', async () => {
  const {identity, builderId} = await checkProvenance(question)
  assert.is(identity.repoId, '212613049')
  assert.equal(identity.signedAt, [1_722_534_329])
  assert.is(builderId, signer.san)
})

const changes: Record<string, [string, string, ErrorCode]> = {
  'a hash of its Merkle path': ['kPrxogBgai', 'kPrxogBgaj', 'sigstore_tlog_invalid'],
  'its place in the log': ['"113350494"', '"113350493"', 'sigstore_tlog_invalid'],
  'the logged time': ['"1722534329"', '"1722534336"', 'sigstore_tlog_invalid'],
  'the signed checkpoint': ['113350495\\n', '113350496\\n', 'sigstore_tlog_invalid'],
  'the signature': ['"sig":"MEUCIGbc', '"sig":"MEUCIGbd', 'sigstore_tlog_invalid'],
  'the payload': ['"payload":"eyJfdHlwZ', '"payload":"eyJfdHlwY', 'sigstore_tlog_invalid'],
  'the certificate': ['zz/mxCPKXTDn', 'zz/mxCPKXTDo', 'sigstore_certificate_invalid'],
}
for (const [what, [from, to, code]] of Object.entries(changes)) {
  test(`the recorded bundle with one change is refused: ${what}`, async () => {
    const text = bundleBytes.toString('utf8')
    assert.ok(text.includes(from))
    const changed = Buffer.from(text.replace(from, to))
    await rejectsCode(() => checkProvenance({...question, bundleBytes: changed}), code)
  })
}

test('it vouches for no other file than its own', async () => {
  const other = 'f'.repeat(64)
  const refusals: [[string, string][], ErrorCode][] = [
    [[[name, other]], 'sigstore_subject_foreign'],
    [[['other.tar.gz', digest]], 'sigstore_subject_foreign'],
    [[], 'sigstore_subject_foreign'],
    [
      [
        [name, digest],
        ['more.tar.gz', other],
      ],
      'sigstore_subject_missing',
    ],
  ]
  for (const [files, code] of refusals)
    await rejectsCode(() => checkProvenance({...question, files: new Map(files)}), code)
})

test('it is by no other signer than its own', async () => {
  const fork = {...signer, san: signer.san.replace('cli/cli', 'evil/cli')}
  await rejectsCode(() => checkProvenance({...question, allowed: [fork]}), 'identity_not_allowed')
  await rejectsCode(() => checkProvenance({...question, allowed: []}), 'identity_policy_empty')
})

test.run()
