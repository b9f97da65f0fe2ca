import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {ContentCache} from '../../src/system/content-cache.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {makeHttp} from '../../src/system/http-client.ts'
import {githubReleaseSchema} from '../../src/upstream/github-release/config.ts'
import {makeGitHubReleaseUpstream} from '../../src/upstream/github-release/upstream.ts'
import type {IntegrityLevel, VerifiedVersion} from '../../src/upstream/upstream.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import {rejectsCode} from '../support/rejects.ts'
import {
  type MockSigstore,
  mockDsse,
  releaseClaims,
  startMockSigstore,
} from '../support/sigstore-mock.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The two highest levels, from GitHub's interface to the verdict. GitHub and the Sigstore that
// certifies are imitations; the certificates, logs and signatures are verified as real ones are.

const NAME = 'acme/app'
const VERSION = 'v1.4.2'
const program = Buffer.from('a program\n')
const digest = sha256Hex(program)

const provenance = 'https://slsa.dev/provenance/v1'
const publishing = 'https://in-toto.io/attestation/release/v0.2'

function statement(predicateType: string, sha256 = digest): Buffer {
  return Buffer.from(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{name: 'app', digest: {sha256}}],
      predicateType,
      predicate: {},
    }),
  )
}

type Stage = {
  readonly mock: MockSigstore
  /** What GitHub answers when it is asked who attested the program. */
  attest(...bundles: readonly Buffer[]): void
  verify(min: IntegrityLevel): Promise<VerifiedVersion>
}

async function onStage(use: (stage: Stage) => Promise<void>): Promise<void> {
  const mock = await startMockSigstore()
  const fake = await startFakeGitHub({
    repositories: [
      {
        name: NAME,
        tags: [VERSION],
        releases: [
          {
            tag: VERSION,
            publishedAt: '2025-03-31T12:00:00Z',
            assets: [{name: 'app', bytes: program, digest: null}],
          },
        ],
      },
    ],
  })
  try {
    await use({
      mock,
      attest: (...bundles) =>
        fake.attestations.set(
          `sha256:${digest}`,
          bundles.map((bundle) => JSON.parse(bundle.toString('utf8'))),
        ),
      verify: async (min) => {
        const upstream = upstreamOf(fake, mock)
        return upstream.verify(await upstream.find(VERSION), min)
      },
    })
  } finally {
    await fake.close()
    await mock.close()
  }
}

function upstreamOf(fake: FakeGitHub, mock: MockSigstore) {
  const cache = new ContentCache(temporaryFolder())
  const config = githubReleaseSchema.parse({
    kind: 'github_release',
    repository: NAME,
    api_url: fake.url,
    web_url: fake.webUrl,
    assets: [{arch: 'amd64', name: 'app'}],
    attestation: {
      issuer: releaseClaims.iss,
      san: 'https://github.com/acme/app/.github/workflows/release.yml@refs/tags/{version}',
      repo_id: releaseClaims.repository_id,
      trigger: ['push'],
    },
  })
  const http = makeHttp({cache, userAgent: 'rel-test'})
  return makeGitHubReleaseUpstream(config, {
    http,
    cache,
    now: mock.now,
    trustedRoot: async () => mock.trustedRoot,
  })
}

test('L4: the pinned workflow says how exactly these bytes were built', () =>
  onStage(async ({mock, attest, verify}) => {
    attest(await mockDsse(mock, statement(provenance)))
    const {level, facts, assets} = await verify('L4')
    assert.is(level, 'L4')
    assert.is(assets[0]?.sha256, digest)
    const fact = facts.find(({check}) => check === 'attestation')
    assert.is(fact?.by, releaseClaims.san)
  }))

test('L3: the pinned workflow vouches for these bytes, and L4 is refused', () =>
  onStage(async ({mock, attest, verify}) => {
    attest(await mockDsse(mock, statement(publishing)))
    assert.is((await verify('L3')).level, 'L3')
    const refusal = await rejectsCode(() => verify('L4'), 'integrity_too_low')
    assert.equal(refusal.details, {had: 'L3', needed: 'L4'})
  }))

test('an attestation of other bytes, by another workflow or from another Sigstore gives no level', () =>
  onStage(async ({mock, attest, verify}) => {
    attest(await mockDsse(mock, statement(provenance, sha256Hex('other bytes'))))
    await rejectsCode(() => verify('L0'), 'attestation_other_file')
    const san = 'https://github.com/acme/app/.github/workflows/other.yml@refs/tags/v1.4.2'
    attest(await mockDsse(mock, statement(provenance), {claims: {...releaseClaims, san}}))
    await rejectsCode(() => verify('L0'), 'identity_not_allowed')
    const other = await startMockSigstore()
    try {
      const foreign = await mockDsse(other, statement(provenance))
      attest(foreign)
      await rejectsCode(() => verify('L0'), 'sigstore_certificate_invalid')
      attest(foreign, await mockDsse(mock, statement(provenance)))
      assert.is((await verify('L4')).level, 'L4', 'chosen by who certified, not by its place')
    } finally {
      await other.close()
    }
  }))

test('an attestation that no transparency log has, as GitHub makes its own, is named so', () =>
  onStage(async ({mock, attest, verify}) => {
    const bundle = JSON.parse((await mockDsse(mock, statement(publishing))).toString('utf8'))
    bundle.verificationMaterial.tlogEntries = []
    attest(Buffer.from(JSON.stringify(bundle)))
    await rejectsCode(() => verify('L0'), 'sigstore_tlog_missing')
  }))

test.run()
