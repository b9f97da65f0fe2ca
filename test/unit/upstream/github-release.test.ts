import {readdirSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {ContentCache} from '../../../src/system/content-cache.ts'
import type {Http} from '../../../src/system/http.ts'
import {makeHttp} from '../../../src/system/http-client.ts'
import type {JsonObject} from '../../../src/system/json.ts'
import {MAX_NOTES_CHARS} from '../../../src/upstream/changelog.ts'
import {githubReleaseSchema, k3sSchema} from '../../../src/upstream/github-release/config.ts'
import {makeGitHubReleaseUpstream} from '../../../src/upstream/github-release/upstream.ts'
import type {IntegrityLevel} from '../../../src/upstream/upstream.ts'
import {
  type FakeGitHub,
  type FakeRepository,
  startFakeGitHub,
} from '../../support/github/fake-github.ts'
import {
  amd64,
  arm64,
  checksumLine,
  checksums,
  replaceAsset,
  traefikMutations,
} from '../../support/github/traefik-mutations.ts'
import {
  type Entry,
  recordedK3s,
  sums,
  syntheticTraefik,
  tarGz,
  traefikArchive,
  traefikChangelog,
  traefikProgram,
  vector,
} from '../../support/github/upstream-releases.ts'
import {loopbackServer} from '../../support/http/loopback-server.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

/** The first of April 2025, the day after v3.3.5. */
const APRIL = Date.UTC(2025, 3, 1) / 1000
const LATER = Date.UTC(2025, 6, 1) / 1000

type Options = {
  readonly folder?: string
  readonly token?: string
  readonly now?: number
  readonly config?: object
  readonly earlier?: (version: string) => JsonObject | undefined
}

function openHttp(folder: string) {
  const cache = new ContentCache(folder)
  const clock = {now: () => LATER * 1000, sleep: async () => undefined}
  return {cache, http: makeHttp({cache, userAgent: 'rel-test', clock, random: () => 0})}
}

function traefikConfig(fake: FakeGitHub, change: object = {}) {
  return githubReleaseSchema.parse({
    kind: 'github_release',
    repository: 'traefik/traefik',
    api_url: fake.url,
    web_url: fake.webUrl,
    assets: ['amd64', 'arm64'].map((arch) => ({
      arch,
      name: `traefik_{version}_linux_${arch}.tar.gz`,
      member: 'traefik',
    })),
    checksums: [{name: 'traefik_{version}_checksums.txt'}],
    changelog: 'CHANGELOG.md',
    ...change,
  })
}

function traefik(fake: FakeGitHub, options: Options = {}) {
  const {cache, http} = openHttp(options.folder ?? temporaryFolder())
  const config = traefikConfig(fake, options.config)
  const {now = LATER, token, earlier} = options
  const world = {http, cache, now, token, ...(earlier === undefined ? {} : {earlier})}
  return makeGitHubReleaseUpstream(config, world)
}

async function withTraefik(
  change: Partial<FakeRepository>,
  use: (fake: FakeGitHub) => Promise<void>,
): Promise<void> {
  const fake = await startFakeGitHub({
    repositories: [
      {
        name: 'traefik/traefik',
        files: {'CHANGELOG.md': traefikChangelog},
        tags: ['v3.3.5'],
        releases: [await syntheticTraefik('v3.3.5')],
        ...change,
      },
    ],
  })
  try {
    await use(fake)
  } finally {
    await fake.close()
  }
}

const bump = async (
  upstream: ReturnType<typeof traefik>,
  version = 'v3.3.5',
  minimum: IntegrityLevel = 'L1',
) => upstream.verify(await upstream.find(version), minimum)

const calls = (fake: FakeGitHub, kind: string) => fake.requests.filter((one) => one.kind === kind)

test('of endless release notes a part is kept', async () => {
  const release = {...(await syntheticTraefik('v3.3.5')), body: 'x'.repeat(1_000_000)}
  await withTraefik({files: {}, releases: [release]}, async (fake) => {
    const {notes} = await traefik(fake).find('v3.3.5')
    assert.is(notes?.length, MAX_NOTES_CHARS)
  })
})

test('Traefik: verified to L1 in at most four calls, warm without a byte of an asset', () =>
  withTraefik({}, async (fake) => {
    const folder = temporaryFolder()
    const verified = await bump(traefik(fake, {folder}))
    assert.ok(calls(fake, 'api').length <= 4, `${calls(fake, 'api').length} calls`)
    assert.is(verified.level, 'L1')
    assert.equal(
      verified.assets.map(({arch, name, level}) => [arch, name, level]),
      [
        ['amd64', amd64, 'L1'],
        ['amd64', 'traefik', 'L1'],
        ['arm64', arm64, 'L1'],
        ['arm64', 'traefik', 'L1'],
      ],
    )
    const program = verified.assets[3]
    assert.ok(readFileSync(program?.path ?? '').equals(traefikProgram('v3.3.5', 'arm64')))
    assert.match(verified.candidate.notes ?? '', 'CVE-2025-32431')
    assert.match(verified.candidate.commit ?? '', /^[0-9a-f]{40}$/)
    assert.is(verified.candidate.publishedAt, Date.UTC(2025, 2, 31, 9, 21) / 1000)
    const seen = fake.requests.length
    const again = await bump(traefik(fake, {folder}))
    const warm = fake.requests.slice(seen)
    assert.equal(again, verified)
    assert.ok(warm.every(({kind, status}) => kind !== 'api' || status === 304))
    assert.is(
      warm.filter(({kind}) => kind === 'asset').reduce((sum, {bytes}) => sum + bytes, 0),
      0,
    )
  }))

test('facts name what was compared, and that no digest is no second opinion', () =>
  withTraefik({}, async (fake) => {
    const {facts} = await bump(traefik(fake))
    const ofAmd64 = facts.filter(({subject}) => subject === amd64)
    assert.equal(
      ofAmd64.map(({check, level}) => [check, level]),
      [
        ['checksum file', 'L1'],
        ['interface digest', 'L0'],
      ],
    )
    assert.match(ofAmd64[1]?.detail ?? '', 'no second opinion')
    assert.match(facts[0]?.detail ?? '', 'lightweight tag at commit')
  }))

test('with digests of the interface all three must agree', () =>
  withTraefik({releases: []}, async (fake) => {
    const seed = await syntheticTraefik('v3.3.5')
    const assets = seed.assets.map(({digest: _digest, ...asset}) => asset)
    fake.releases.add('traefik/traefik', {...seed, assets})
    const {facts, level} = await bump(traefik(fake, {config: {digest: 'required'}}))
    assert.is(level, 'L1', 'a checksum file and a digest of one origin are one opinion')
    assert.is(facts.filter(({check}) => check === 'interface digest').length, 2)
  }))

const severalLines = [
  await syntheticTraefik('v3.3.5'),
  await syntheticTraefik('v2.11.21'),
  await syntheticTraefik('v3.4.0'),
  await syntheticTraefik('v3.3.7-rc1', {prerelease: true}),
]

test('the newest of the line, by tags: other lines, candidates and bare tags are passed over', () =>
  withTraefik(
    {
      tags: [
        'v2.11.20',
        'v2.11.21',
        'v3.3.4',
        'v3.3.5',
        'v3.3.6',
        'v3.3.7-rc1',
        'v3.30.0',
        'v3.4.0',
      ],
      releases: severalLines,
    },
    async (fake) => {
      assert.is((await traefik(fake).latest('v3.3.4'))?.version, 'v3.3.5')
      assert.is(await traefik(fake).latest('v3.3.5'), undefined)
      assert.is((await traefik(fake).latest('v2.11.20'))?.version, 'v2.11.21')
      assert.is(
        (await traefik(fake, {config: {line: 'v{major}.'}}).latest('v3.3.4'))?.version,
        'v3.4.0',
      )
      const open = traefik(fake, {config: {prereleases: true}})
      assert.is((await open.latest('v3.3.5'))?.version, 'v3.3.7-rc1')
      assert.is(traefik(fake).compare('v3.3.5', 'v3.3.10') < 0, true)
    },
  ))

test('an annotated tag leads to its commit, in four calls', () =>
  withTraefik({tags: [{name: 'v3.3.5', annotated: true}]}, async (fake) => {
    const {lock, facts} = await bump(traefik(fake))
    assert.match(String(lock.tag_object), /^[0-9a-f]{40}$/)
    assert.is.not(lock.tag_object, lock.commit)
    assert.match(facts[0]?.detail ?? '', 'annotated')
    assert.is(calls(fake, 'api').length, 4)
  }))

test('no such release: the missing v is named; a tag alone is no release', () =>
  withTraefik({tags: ['v3.3.5', 'v3.3.6']}, async (fake) => {
    const bare = await rejectsCode(() => traefik(fake).find('3.3.5'), 'release_missing')
    assert.is(bare.hint, 'Write it with its v: v3.3.5')
    const absent = await rejectsCode(() => traefik(fake).find('v3.3.9'), 'release_missing')
    assert.equal(absent.details?.has_tag, false)
    assert.match(absent.message, 'v3.3.5')
    const tagOnly = await rejectsCode(() => traefik(fake).find('v3.3.6'), 'release_missing')
    assert.equal(tagOnly.details?.has_tag, true)
    await rejectsCode(() => traefik(fake).find('v3.3.5/../../x'), 'upstream_version_malformed')
    await rejectsCode(() => traefik(fake).latest('stable'), 'upstream_version_malformed')
  }))

test('a renamed asset is named with its nearest names; a young release may be incomplete', () =>
  withTraefik({}, async (fake) => {
    const renamed = 'traefik_v3.3.5_linux-arm64.tar.gz'
    fake.releases.removeAsset('traefik/traefik', 'v3.3.5', arm64)
    fake.releases.addAsset('traefik/traefik', 'v3.3.5', {name: renamed, size: 5})
    const late = await rejectsCode(() => traefik(fake).find('v3.3.5'), 'asset_missing')
    assert.equal(late.details?.missing, [arm64])
    assert.match(late.message, `nearest: "${renamed}"`)
    const early = () => traefik(fake, {now: APRIL}).find('v3.3.5')
    const refusal = await rejectsCode(early, 'upstream_release_incomplete')
    assert.match(refusal.message, 'published 14 h ago')
    assert.equal(refusal.details?.missing, [arm64])
  }))

test('a file on its way in is not there yet, however old the release', () =>
  withTraefik({}, async (fake) => {
    fake.releases.replaceAsset('traefik/traefik', 'v3.3.5', {name: arm64, state: 'open', size: 0})
    await rejectsCode(() => traefik(fake).find('v3.3.5'), 'upstream_release_incomplete')
  }))

test('rate limited: temporary, and says when', () =>
  withTraefik({}, async (fake) => {
    fake.rate.remaining = 0
    fake.rate.reset = LATER + 1200
    const refusal = await rejectsCode(() => traefik(fake).find('v3.3.5'), 'rate_limited')
    assert.is(refusal.details?.retry_at, LATER + 1200)
    assert.match(refusal.message, 'in 20 min')
  }))

test('a secondary limit without a time is told from a token without rights', () =>
  withTraefik({}, async (fake) => {
    const page = 'https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api'
    for (const [body, code] of [
      [{message: 'wait', documentation_url: page}, 'rate_limited'],
      [{message: 'no', documentation_url: 'https://docs.github.com/rest'}, 'http_unauthorised'],
    ] as const) {
      fake.fail({path: /releases\/tags/, kind: 'answer', answer: {status: 403, body}})
      await rejectsCode(() => traefik(fake).find('v3.3.5'), code)
    }
  }))

test('an unknown token is refused, and is in no message', () =>
  withTraefik({}, async (fake) => {
    const token = 'ghp_unknown_and_secret'
    const find = () => traefik(fake, {token}).find('v3.3.5')
    const refusal = await rejectsCode(find, 'http_unauthorised')
    const causes = [refusal.message, refusal.hint, refusal.details, (refusal.cause as Error)?.stack]
    assert.not.match(JSON.stringify(causes), 'ghp_')
  }))

test('a private project is downloaded through the API, and the token stays there', () =>
  withTraefik({}, async (fake) => {
    const {level} = await bump(traefik(fake, {token: 'fake-token', config: {private: true}}))
    assert.is(level, 'L1')
    assert.is(calls(fake, 'web').length, 0)
    assert.ok(calls(fake, 'api').every(({isAuthorized}) => isAuthorized))
    assert.ok(calls(fake, 'asset').every(({isAuthorized}) => !isAuthorized))
  }))

for (const [name, body] of [
  ['no object', []],
  [
    'without assets',
    {id: 1, tag_name: 'v3.3.5', draft: false, prerelease: false, published_at: null},
  ],
  [
    'another release',
    {id: 1, tag_name: 'v9', draft: false, prerelease: false, published_at: null, assets: []},
  ],
] as const)
  test(`an answer that is ${name} is refused`, () =>
    withTraefik({}, async (fake) => {
      fake.fail({path: /releases\/tags/, kind: 'answer', answer: {status: 200, body}})
      await rejectsCode(() => traefik(fake).find('v3.3.5'), 'upstream_answer_malformed')
    }))

test('the mutations have twelve different codes', () => {
  assert.is(new Set(traefikMutations.map(({code}) => code)).size, 12)
})

for (const {name, code, config, mutate} of traefikMutations)
  test(`mutation: ${name} is ${code}, and nothing executable is left`, () =>
    withTraefik({}, async (fake) => {
      const folder = temporaryFolder()
      await mutate(fake)
      await rejectsCode(() => bump(traefik(fake, {folder, config: config ?? {}})), code)
      const left = readdirSync(folder, {recursive: true, encoding: 'utf8'})
        .map((path) => join(folder, path))
        .filter((path) => statSync(path).isFile())
      assert.equal(
        left.filter((path) => (statSync(path).mode & 0o111) !== 0),
        [],
      )
    }))

const badArchives: readonly (readonly [
  string,
  readonly Entry[],
  Parameters<typeof rejectsCode>[1],
])[] = [
  ['without the program', [['bin/traefik', 'x']], 'binary_missing'],
  [
    'with the program twice',
    [
      ['traefik', 'one'],
      ['./traefik', 'two'],
    ],
    'binary_repeated',
  ],
  [
    'with a path that climbs out',
    [
      ['traefik', 'x'],
      ['../evil', 'x'],
    ],
    'archive_path_unsafe',
  ],
  [
    'with an absolute path',
    [
      ['traefik', 'x'],
      ['/etc/evil', 'x'],
    ],
    'archive_path_unsafe',
  ],
  [
    'with a backslash',
    [
      ['traefik', 'x'],
      ['..\\evil', 'x'],
    ],
    'archive_path_unsafe',
  ],
  [
    'with the program as a link',
    [[{name: 'traefik', type: 'symlink', linkname: '/bin/sh'}, '']],
    'archive_path_unsafe',
  ],
  [
    'with a link that leads out',
    [
      ['traefik', 'x'],
      [{name: 'x', type: 'symlink', linkname: '../../etc'}, ''],
    ],
    'archive_path_unsafe',
  ],
  [
    'with a device',
    [
      ['traefik', 'x'],
      [{name: 'x', type: 'character-device'}, ''],
    ],
    'archive_path_unsafe',
  ],
]
for (const [name, entries, code] of badArchives)
  test(`an archive ${name} is ${code}, whatever its checksum`, () =>
    withTraefik({}, async (fake) => {
      const bytes = await tarGz(entries)
      replaceAsset(fake, amd64, {bytes})
      const good = await traefikArchive('v3.3.5', 'arm64')
      replaceAsset(fake, checksums, {bytes: sums({[amd64]: bytes, [arm64]: good})})
      await rejectsCode(() => bump(traefik(fake)), code)
    }))

test('an archive that is none, and one that is cut, are refused', () =>
  withTraefik({}, async (fake) => {
    const whole = await traefikArchive('v3.3.5', 'amd64')
    const good = await traefikArchive('v3.3.5', 'arm64')
    for (const [bytes, code] of [
      [Buffer.from('a page'), 'archive_unrecognised'],
      [whole.subarray(0, 200), 'archive_truncated'],
    ] as const) {
      replaceAsset(fake, amd64, {bytes})
      replaceAsset(fake, checksums, {bytes: sums({[amd64]: bytes, [arm64]: good})})
      await rejectsCode(() => bump(traefik(fake)), code)
    }
  }))

test('below the demanded level it is refused; an earlier audit is a second origin', () =>
  withTraefik({}, async (fake) => {
    const refusal = await rejectsCode(
      () => bump(traefik(fake), 'v3.3.5', 'L2'),
      'integrity_too_low',
    )
    assert.equal(refusal.details, {had: 'L1', needed: 'L2'})
    await rejectsCode(() => bump(traefik(fake), 'v3.3.5', 'L3'), 'integrity_too_low')
    const {lock} = await bump(traefik(fake))
    const again = await bump(traefik(fake, {earlier: () => lock}), 'v3.3.5', 'L2')
    assert.is(again.level, 'L2')
    const [first, ...rest] = lock.assets as readonly JsonObject[]
    const other = {...lock, assets: [{...first, sha256: '2'.repeat(64)}, ...rest]}
    const disagreeing = () => bump(traefik(fake, {earlier: () => other}))
    await rejectsCode(disagreeing, 'second_origin_disagrees')
  }))

test('another host with the same checksums makes L2; with others it is refused', () =>
  withTraefik({}, async (fake) => {
    const {cache, http} = openHttp(temporaryFolder())
    const asked: string[] = []
    const answers = {status: 200, headers: {}, isRevalidated: false}
    let word = ''
    const second: Http = {
      download: (request) => http.download(request),
      send: async (request) => {
        if (!request.url.startsWith('https://second.example/')) return http.send(request)
        asked.push(request.url)
        return {...answers, url: request.url, body: Buffer.from(word)}
      },
    }
    const open = (url: string) =>
      makeGitHubReleaseUpstream(traefikConfig(fake, {second_origin: {url}}), {
        http: second,
        cache,
        now: LATER,
      })
    const url = 'https://second.example/{version}/{number}/{name}.sha256'
    word = (await checksumLine('amd64')) + (await checksumLine('arm64'))
    assert.is((await bump(open(url), 'v3.3.5', 'L2')).level, 'L2')
    assert.is(asked[0], `https://second.example/v3.3.5/3.3.5/${amd64}.sha256`)
    word = `${'5'.repeat(64)}  ${amd64}\n`
    await rejectsCode(() => bump(open(url)), 'second_origin_disagrees')
    word = `${'5'.repeat(64)}  another-file\n`
    await rejectsCode(() => bump(open(url), 'v3.3.5', 'L2'), 'integrity_too_low')
    const own = `${fake.webUrl.replace('http:', 'https:')}/sums`
    await rejectsCode(() => bump(open(own)), 'usage_invalid')
  }))

test('without checksums and digests nothing is above L0', () =>
  withTraefik({}, async (fake) => {
    const config = {checksums: []}
    assert.is((await bump(traefik(fake, {config}), 'v3.3.5', 'L0')).level, 'L0')
    await rejectsCode(() => bump(traefik(fake, {config})), 'integrity_too_low')
  }))

test('where an attestation is demanded and nobody made one, it is refused', () =>
  withTraefik({}, async (fake) => {
    const attestation = {
      issuer: 'https://token.actions.githubusercontent.com',
      san: 'https://github.com/traefik/traefik/.github/workflows/release.yaml@refs/tags/{version}',
      repo_id: '42408804',
      trigger: ['push'],
    }
    const {cache, http} = openHttp(temporaryFolder())
    const {loadTrustedRoot} = await import('../../../src/trust/sigstore/load-trusted-root.ts')
    const config = githubReleaseSchema.parse({
      kind: 'github_release',
      repository: 'traefik/traefik',
      api_url: fake.url,
      web_url: fake.webUrl,
      assets: [{arch: 'amd64', name: 'traefik_{version}_linux_amd64.tar.gz'}],
      attestation,
    })
    const world = {http, cache, now: LATER, trustedRoot: () => loadTrustedRoot()}
    const upstream = makeGitHubReleaseUpstream(config, world)
    await rejectsCode(() => bump(upstream, 'v3.3.5', 'L3'), 'attestation_missing')
  }))

test('audit: nothing has changed, then everything that can', () =>
  withTraefik({}, async (fake) => {
    const {lock} = await bump(traefik(fake))
    const codes = async () =>
      (await traefik(fake).audit('v3.3.5', lock)).map(({code, subject}) => `${code} ${subject}`)
    assert.equal(await codes(), [])
    fake.releases.replaceAsset('traefik/traefik', 'v3.3.5', {
      name: amd64,
      bytes: await traefikArchive('v3.3.5', 'amd64'),
    })
    fake.releases.removeAsset('traefik/traefik', 'v3.3.5', arm64)
    assert.equal(await codes(), [`asset_replaced ${amd64}`, `asset_gone ${arm64}`])
    await fake.moveTag('traefik/traefik', 'v3.3.5')
    assert.equal((await codes())[0], 'tag_moved tag v3.3.5')
    fake.releases.remove('traefik/traefik', 'v3.3.5')
    assert.equal(await codes(), ['release_gone v3.3.5'])
    await rejectsCode(() => traefik(fake).audit('v3.3.5', {}), 'usage_invalid')
  }))

test('a digest that GitHub adds later is no replacement, another one is', () =>
  withTraefik({}, async (fake) => {
    const {lock} = await bump(traefik(fake))
    const assets = lock.assets as readonly JsonObject[]
    const bytes = await traefikArchive('v3.3.5', 'amd64')
    const same = {
      name: amd64,
      bytes,
      id: Number(assets[0]?.id),
      updatedAt: String(assets[0]?.updated_at),
    }
    fake.releases.replaceAsset('traefik/traefik', 'v3.3.5', same)
    assert.equal(await traefik(fake).audit('v3.3.5', lock), [])
    fake.releases.replaceAsset('traefik/traefik', 'v3.3.5', {
      ...same,
      digest: `sha256:${'3'.repeat(64)}`,
    })
    assert.is((await traefik(fake).audit('v3.3.5', lock))[0]?.code, 'asset_replaced')
  }))

const base = {kind: 'github_release', repository: 'o/r', assets: [{arch: 'amd64', name: 'a'}]}
const badConfigs: Readonly<Record<string, object>> = {
  'an unknown key': {assest: []},
  'no owner': {repository: 'traefik'},
  'a repository that is a path': {repository: 'o/..'},
  'an asset name with a slash': {assets: [{arch: 'amd64', name: 'a/b'}]},
  'an unknown placeholder': {assets: [{arch: 'amd64', name: '{arch}'}]},
  'a member that climbs out': {assets: [{arch: 'amd64', name: 'a', member: '../a'}]},
  'an absolute member': {assets: [{arch: 'amd64', name: 'a', member: '/a'}]},
  'no assets': {assets: []},
  'a tag without the version': {tag: 'latest'},
  'an interface without https': {api_url: 'http://ghe.example'},
  'an interface with a password': {api_url: 'https://a:b@ghe.example'},
  'a second origin without https': {second_origin: {url: 'http://second.example/{name}'}},
}
for (const [name, change] of Object.entries(badConfigs))
  test(`a playbook with ${name} is refused`, () => {
    assert.ok(githubReleaseSchema.safeParse(base).success)
    assert.not.ok(githubReleaseSchema.safeParse({...base, ...change}).success)
  })

test('a tag that moves between plan and verification is refused', () =>
  withTraefik({}, async (fake) => {
    const candidate = await traefik(fake).find('v3.3.5')
    await fake.moveTag('traefik/traefik', 'v3.3.5')
    await rejectsCode(() => traefik(fake).verify(candidate, 'L1'), 'tag_moved')
  }))

const programs: Readonly<Record<string, string>> = {
  k3s: 'synthetic k3s for amd64',
  'k3s-arm64': 'synthetic k3s for arm64',
  'k3s-armhf': 'synthetic k3s for armhf',
}
const images = `${'4'.repeat(64)}  k3s-airgap-images-arm.tar\n`
const k3sFiles: Readonly<Record<string, string>> = {
  ...programs,
  'sha256sum-amd64.txt': images + sums({k3s: programs.k3s ?? ''}),
  'sha256sum-arm64.txt': images + sums({'k3s-arm64': programs['k3s-arm64'] ?? ''}),
  'sha256sum-arm.txt': images + sums({'k3s-armhf': programs['k3s-armhf'] ?? ''}),
}

function k3s(fake: FakeGitHub, options: Options = {}) {
  const {cache, http} = openHttp(temporaryFolder())
  const config = k3sSchema.parse({
    kind: 'k3s',
    repository: 'k3s-io/k3s',
    api_url: fake.url,
    web_url: fake.webUrl,
    assets: [
      {arch: 'amd64', name: 'k3s'},
      {arch: 'arm64', name: 'k3s-arm64'},
      {arch: 'armhf', name: 'k3s-armhf'},
    ],
    checksums: [
      {arch: 'amd64', name: 'sha256sum-amd64.txt'},
      {arch: 'arm64', name: 'sha256sum-arm64.txt'},
      {arch: 'armhf', name: 'sha256sum-arm.txt'},
    ],
    complete_with: [['k3s-airgap-images-amd64.tar.zst', 'k3s-airgap-images-amd64.tar']],
    ...options.config,
  })
  return makeGitHubReleaseUpstream(config, {http, cache, now: options.now ?? LATER})
}

async function withK3s(
  change: Partial<FakeRepository>,
  use: (fake: FakeGitHub) => Promise<void>,
): Promise<void> {
  const releases = [recordedK3s(k3sFiles)]
  const repository = {name: 'k3s-io/k3s', tags: ['v1.19.3+k3s3'], releases, ...change}
  const fake = await startFakeGitHub({repositories: [repository]})
  try {
    await use(fake)
  } finally {
    await fake.close()
  }
}

test('recorded k3s names: a checksum file per architecture, armhf in the one for arm', () =>
  withK3s({}, async (fake) => {
    const verified = await bump(k3s(fake), 'v1.19.3+k3s3')
    assert.equal(
      verified.assets.map(({arch, name, level}) => [arch, name, level]),
      [
        ['amd64', 'k3s', 'L1'],
        ['arm64', 'k3s-arm64', 'L1'],
        ['armhf', 'k3s-armhf', 'L1'],
      ],
    )
    assert.is(verified.lock.release_id, 33895674)
    assert.ok(calls(fake, 'web').every(({path}) => path.includes('v1.19.3%2Bk3s3')))
    assert.equal(await k3s(fake).audit('v1.19.3+k3s3', verified.lock), [])
  }))

test('like k3s v1.31.3+k3s1 (synthetic): published without its amd64 files', () =>
  withK3s({}, async (fake) => {
    for (const name of ['k3s', 'sha256sum-amd64.txt', 'k3s-airgap-images-amd64.tar'])
      fake.releases.removeAsset('k3s-io/k3s', 'v1.19.3+k3s3', name)
    const soon = Date.UTC(2020, 10, 13, 8) / 1000
    const find = () => k3s(fake, {now: soon}).find('v1.19.3+k3s3')
    const refusal = await rejectsCode(find, 'upstream_release_incomplete')
    assert.equal(refusal.details?.missing, [
      'k3s',
      'sha256sum-amd64.txt',
      'k3s-airgap-images-amd64.tar.zst or k3s-airgap-images-amd64.tar',
    ])
    assert.is(refusal.details?.age_minutes, 45)
  }))

test('k3s versions that are none are refused before any request', () =>
  withK3s({}, async (fake) => {
    for (const version of ['stable', 'v1.19.3', 'v1.19.3-k3s3', 'v1.19.3%2Bk3s3'])
      await rejectsCode(() => k3s(fake).find(version), 'upstream_version_malformed')
    assert.is(fake.requests.length, 0)
  }))

test('+k3s10 is newer than +k3s9, and candidates stay out', () =>
  withK3s(
    {
      tags: ['v1.31.3+k3s9', 'v1.31.3+k3s10', 'v1.31.4-rc1+k3s1', 'v1.32.0+k3s1'],
      releases: ['v1.31.3+k3s9', 'v1.31.3+k3s10'].map((tag) => recordedK3s(k3sFiles, tag)),
    },
    async (fake) => {
      assert.is((await k3s(fake).latest('v1.31.3+k3s9'))?.version, 'v1.31.3+k3s10')
      assert.is(await k3s(fake).latest('v1.31.3+k3s10'), undefined)
    },
  ))

const channelCases: readonly (readonly [string, number, string | Buffer, string])[] = [
  ['the recorded answer', 200, vector('recorded-k3s-channels.json'), 'v1.29.0+k3s1'],
  ['a server that is down', 503, '', 'v1.29.1+k3s1'],
  ['a redirect', 302, '', 'v1.29.1+k3s1'],
  ['no JSON', 200, '<html>', 'v1.29.1+k3s1'],
  ['the word stable', 200, '{"data":[{"name":"v1.29","latest":"stable"}]}', 'v1.29.1+k3s1'],
  ['another line', 200, '{"data":[{"name":"v1.29","latest":"v1.30.0+k3s1"}]}', 'v1.29.1+k3s1'],
]
for (const [name, status, body, wanted] of channelCases)
  test(`channel server: ${name} gives ${wanted}`, async () => {
    const server = await loopbackServer((_request, response) =>
      response.writeHead(status, {location: '/elsewhere'}).end(body),
    )
    const tags = ['v1.29.0+k3s1', 'v1.29.1+k3s1']
    const releases = tags.map((tag) => recordedK3s(k3sFiles, tag))
    await withK3s({tags: ['v1.28.9+k3s1', ...tags], releases}, async (fake) => {
      const upstream = k3s(fake, {config: {channels: {url: `${server.url}/v1-release/channels`}}})
      assert.is((await upstream.latest('v1.29.0-rc1+k3s1'))?.version, wanted)
      assert.ok(
        server.seen.every(({method, path}) => method === 'GET' && path === '/v1-release/channels'),
      )
    })
    await server.close()
  })

test.run()
