import {readFileSync} from 'node:fs'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseAllowedSigners} from '../../../src/trust/sigstore/allowed-signer.ts'
import {loadTrustedRoot} from '../../../src/trust/sigstore/load-trusted-root.ts'
import {checkAttestations} from '../../../src/upstream/github-release/attestation.ts'
import {rejectsCode} from '../../support/rejects.ts'

const text = readFileSync(
  new URL('../../vectors/sigstore/recorded-github-cli-2.54.0.sigstore.json', import.meta.url),
  'utf8',
)
const bundle: unknown = JSON.parse(text)
/** Of gh_2.54.0_linux_armv6.tar.gz, which the recorded bundle attests. */
const digest = 'cd53809273ad6011fdd98e0244c5c2276b15f3dd1294e4715627ebd4f9c6e0f1'
const entry = {
  issuer: 'https://token.actions.githubusercontent.com',
  san: 'https://github.com/cli/cli/.github/workflows/deployment.yml@refs/heads/trunk',
  repo_id: '212613049',
  trigger: ['workflow_dispatch'],
  runner: 'github-hosted',
}
const terms = {
  allowed: parseAllowedSigners([entry]),
  version: 'v2.54.0',
  trustedRoot: await loadTrustedRoot(),
  now: 1_790_000_000,
}

test('a recorded attestation binds its digest and identity, offline', async () => {
  const {identity, isProvenance} = await checkAttestations([bundle], digest, terms)
  assert.is(identity.san, entry.san)
  assert.ok(isProvenance)
})

test('the same attestation for any other bytes is refused', async () => {
  const call = () => checkAttestations([bundle], '0'.repeat(64), terms)
  await rejectsCode(call, 'attestation_other_file')
})

test('another workflow, repository or issuer is refused', async () => {
  const judge = (change: object) => {
    const allowed = parseAllowedSigners([{...entry, ...change}])
    return checkAttestations([bundle], digest, {...terms, allowed})
  }
  const san = 'https://github.com/cli/cli/.github/workflows/other.yml@refs/heads/trunk'
  await rejectsCode(() => judge({san}), 'identity_not_allowed')
  await rejectsCode(() => judge({repo_id: '1'}), 'identity_repository_mismatch')
  await rejectsCode(() => judge({issuer: 'https://evil.example'}), 'identity_issuer_mismatch')
})

test('nobody allowed, and nothing attested', async () => {
  await rejectsCode(() => checkAttestations([], digest, terms), 'attestation_missing')
  const nobody = {...terms, allowed: []}
  await rejectsCode(() => checkAttestations([bundle], digest, nobody), 'identity_policy_empty')
})

test('a changed payload is refused, and a good bundle beside a bad one is found', async () => {
  const bad: unknown = JSON.parse(text.replace('"payload":"eyJfdHlwZ', '"payload":"eyJfdHlwY'))
  await rejectsCode(() => checkAttestations([bad], digest, terms), 'sigstore_tlog_invalid')
  assert.ok((await checkAttestations([bad, bundle], digest, terms)).isProvenance)
  assert.ok((await checkAttestations([{}, bundle], digest, terms)).isProvenance)
})

test.run()
