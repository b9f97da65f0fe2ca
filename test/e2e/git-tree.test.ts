import {cpSync, readFileSync} from 'node:fs'
import {basename} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../src/system/codes.ts'
import {ContentCache} from '../../src/system/content-cache.ts'
import {makeHttp} from '../../src/system/http-client.ts'
import type {JsonObject} from '../../src/system/json.ts'
import {gitTreeSchema} from '../../src/upstream/git-tree/config.ts'
import {makeGitTreeUpstream} from '../../src/upstream/git-tree/upstream.ts'
import type {IntegrityLevel} from '../../src/upstream/upstream.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import {needs, needsThat} from '../support/needs.ts'
import {
  bootFiles,
  type FirmwareFiles,
  type FirmwareRepository,
  firmwareRepository,
  type RealFirmware,
  realFirmware,
} from '../support/raspi-firmware.ts'
import {rejectsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The files of the GPU are those of Debian's signed packages, in a real git repository; GitHub's
// interface in front of it is an imitation that is held against GitHub's own description.

const NAME = 'raspberrypi/firmware'
const variants = ['', 'cd', 'db', 'x']
const allPairs = variants.flatMap((it) => [`boot/start4${it}.elf`, `boot/fixup4${it}.dat`])

type Pinned = {readonly version: string; readonly upstream: JsonObject}
type Use = {readonly pinned?: Pinned; readonly config?: object; readonly folder?: string}

function upstreamOf(fake: FakeGitHub, {pinned, config = {}, folder}: Use = {}) {
  const cache = new ContentCache(folder ?? temporaryFolder())
  const clock = {now: () => Date.now(), sleep: async () => undefined}
  const http = makeHttp({cache, userAgent: 'rel-test', clock, random: () => 0})
  const whole = {
    ...{kind: 'git_tree', repository: NAME, api_url: fake.url, raw_url: `${fake.webUrl}/raw`},
    files: allPairs.map((path) => ({path})),
    folders: [{path: 'boot/overlays', suffix: '.dtbo'}],
    firmware: {branch: 'bcm2711_2'},
    ...config,
  }
  return makeGitTreeUpstream(gitTreeSchema.parse(whole), {http, pinned})
}

async function verified(
  fake: FakeGitHub,
  version: string,
  use: Use = {},
  min: IntegrityLevel = 'L1',
) {
  const upstream = upstreamOf(fake, use)
  return upstream.verify(await upstream.find(version), min)
}

type Stage = {readonly fake: FakeGitHub; readonly repository: FirmwareRepository}

function suite(releases: readonly RealFirmware[]): void {
  const [first, second, third] = releases as [RealFirmware, RealFirmware, RealFirmware]

  const template = temporaryFolder()
  const made = firmwareRepository(template)
  made.release(first.version, bootFiles(first))
  made.release(second.version, bootFiles(second), {annotated: true})

  /** A GitHub with the first two releases; the second has an annotated tag. */
  async function onStage(use: (stage: Stage) => Promise<void>): Promise<void> {
    const folder = temporaryFolder()
    cpSync(template, folder, {recursive: true})
    const repository = firmwareRepository(folder)
    const fake = await startFakeGitHub({
      repositories: [{name: NAME, objectsFolder: repository.bare}],
    })
    try {
      await use({fake, repository})
    } finally {
      await fake.close()
    }
  }

  async function pinnedAt(fake: FakeGitHub, version: string): Promise<Pinned> {
    return {version, upstream: (await verified(fake, version)).lock}
  }

  test('real firmware is verified file by file down from the commit, and its builds are read', async () => {
    await onStage(async ({fake, repository}) => {
      const {lock, level, assets, facts, candidate} = await verified(fake, first.version)
      assert.is(level, 'L1')
      assert.is(assets.length, allPairs.length + 2)
      const commit = repository.git('rev-parse', `${first.version}^{commit}`)
      assert.is(candidate.commit, commit)
      const locked = lock as {
        assets: {name: string; blob: string; sha256: string}[]
        builds: {path: string; hash: string; variant: string; built_at: number}[]
      }
      for (const {name, blob} of locked.assets)
        assert.is(blob, repository.git('rev-parse', `${commit}:${name}`), name)
      for (const file of first.files) {
        const asset = assets.find(({name}) => name === `boot/${basename(file)}`)
        assert.ok(readFileSync(asset?.path ?? '').equals(readFileSync(file)), file)
      }
      assert.equal(
        locked.builds.map(({variant}) => variant),
        ['start', 'start_cd', 'start_db', 'start_x'],
      )
      assert.equal([...new Set(locked.builds.map(({hash}) => hash))].length, 1)
      assert.ok(
        facts.some(({check, detail}) => check === 'tag' && detail.startsWith('lightweight')),
      )
      assert.ok(facts.some(({check}) => check === 'pair of one commit'))
    })
  })

  test('known figures of the reference: Debian 1.20240424 is the build 86ccc427', async () => {
    if (second.version !== '1.20240424') return
    await onStage(async ({fake}) => {
      const {lock, facts} = await verified(fake, second.version)
      const [build] = (lock as {builds: {hash: string; built_at: number; branch: string}[]}).builds
      assert.is(build?.hash, '86ccc427f35fdc604edc511881cdf579df945fb4')
      assert.is(build?.built_at, Date.UTC(2024, 3, 17, 17, 27, 9) / 1000)
      const [file] = (lock as {assets: {sha256: string}[]}).assets
      assert.is(file?.sha256, 'badf4cd8822d1b85ad56ddb9e32e9b4220c88099c8cc0c3e70ae77190571c8ef')
      assert.ok(facts.some(({detail}) => detail.startsWith('annotated tag')))
    })
  })

  test('the newest tag is found, versions are dates, and tags that are not there are named', async () => {
    await onStage(async ({fake, repository}) => {
      repository.release('stable', bootFiles(first))
      const upstream = upstreamOf(fake)
      assert.is((await upstream.latest(first.version))?.version, second.version)
      assert.is(await upstream.latest(second.version), undefined)
      await rejectsCode(() => upstream.find('stable'), 'upstream_version_malformed')
      const missing = second.version.replace(/\d\d$/, '30')
      const refusal = await rejectsCode(() => upstream.find(missing), 'release_missing')
      assert.match(refusal.message, second.version)
    })
  })

  test('asked again, nothing is fetched that the lock knows, and an earlier audit is a second origin', async () => {
    await onStage(async ({fake}) => {
      const folder = temporaryFolder()
      const once = await verified(fake, second.version, {folder})
      const before = fake.requests.length
      const pinned = {version: second.version, upstream: once.lock}
      const again = await verified(fake, second.version, {folder, pinned}, 'L2')
      assert.is(again.level, 'L2')
      assert.equal(again.lock, once.lock)
      const asked = fake.requests.slice(before)
      assert.equal(
        asked.filter(({kind}) => kind === 'web'),
        [],
      )
      assert.ok(asked.every(({status}) => status === 304))
      await rejectsCode(() => verified(fake, first.version, {pinned}, 'L2'), 'integrity_too_low')
      assert.equal(await upstreamOf(fake, {pinned}).audit(second.version, once.lock), [])
    })
  })

  test('firmware moves forwards and, when asked, backwards', async () => {
    await onStage(async ({fake}) => {
      const old = await pinnedAt(fake, first.version)
      const next = await verified(fake, second.version, {pinned: old})
      const said = next.facts.find(({check}) => check === 'VC_BUILD_ID')
      assert.match(said?.detail ?? '', `another build than that of ${first.version}`)
      const pinned = {version: second.version, upstream: next.lock}
      await verified(fake, first.version, {pinned})
    })
  })

  test('a tag that moves after it was planned or locked is refused, and found by an audit', async () => {
    await onStage(async ({fake, repository}) => {
      const pinned = await pinnedAt(fake, second.version)
      const candidate = await upstreamOf(fake).find(second.version)
      repository.release(second.version, {...bootFiles(second), 'boot/new': Buffer.from('x')})
      await rejectsCode(() => upstreamOf(fake).verify(candidate, 'L1'), 'tag_moved')
      await rejectsCode(() => upstreamOf(fake, {pinned}).find(second.version), 'tag_moved')
      const [drift, ...more] = await upstreamOf(fake).audit(second.version, pinned.upstream)
      assert.equal([drift?.code, more.length], ['tag_moved', 0])
      repository.git('tag', '-d', second.version)
      const [gone] = await upstreamOf(fake).audit(second.version, pinned.upstream)
      assert.equal([gone?.code, gone?.seen], ['tag_moved', 'no tag'])
    })
  })

  /** The bytes of a real file with some of its text replaced by as many other bytes. */
  function patched(
    release: RealFirmware,
    edits: readonly (readonly [string, string])[],
  ): FirmwareFiles {
    const files = {...bootFiles(release)}
    for (const path of allPairs.filter((it) => it.endsWith('.elf'))) {
      let text = readFileSync(files[path] as string).toString('latin1')
      for (const [from, to] of edits) {
        assert.is(from.length, to.length, 'the file keeps its layout')
        assert.ok(text.includes(from), `${path} says ${from}`)
        text = text.replaceAll(from, to)
      }
      files[path] = Buffer.from(text, 'latin1')
    }
    return files
  }
  const without = (path: string): FirmwareFiles =>
    Object.fromEntries(Object.entries(bootFiles(third)).filter(([name]) => name !== path))
  const versionOf = (release: RealFirmware) =>
    /VC_BUILD_ID_VERSION: ([0-9a-f]{40})/.exec(
      readFileSync(release.files.find((it) => it.endsWith('start4.elf')) ?? '', 'latin1'),
    )?.[1] ?? ''

  const wrongReleases: readonly (readonly [string, () => FirmwareFiles, ErrorCode])[] = [
    ['a tag on the commit before', () => bootFiles(second), 'firmware_build_unchanged'],
    ['a tag on an older commit', () => bootFiles(first), 'firmware_build_older'],
    [
      'the same build with another date',
      () => patched(third, [[versionOf(third), versionOf(second)]]),
      'firmware_build_unchanged',
    ],
    [
      'uncommitted sources',
      () => patched(third, [['(clean)', '(dirty)']]),
      'firmware_build_unclean',
    ],
    [
      'another branch',
      () => patched(third, [['bcm2711_2', 'bcm2712_2']]),
      'firmware_branch_unexpected',
    ],
    [
      'no build id',
      () => patched(third, [['VC_BUILD_ID_', 'VC_BUILD_NO_']]),
      'firmware_build_id_missing',
    ],
    ['no fixup4.dat', () => without('boot/fixup4.dat'), 'asset_missing'],
    [
      'the start4.elf of before',
      () => ({...bootFiles(third), 'boot/start4.elf': bootFiles(second)['boot/start4.elf'] ?? ''}),
      'firmware_pair_incomplete',
    ],
    [
      'the fixup4.dat of before',
      () => ({...bootFiles(third), 'boot/fixup4.dat': bootFiles(second)['boot/fixup4.dat'] ?? ''}),
      'firmware_pair_incomplete',
    ],
    [
      'a pair of an older build',
      () => ({
        ...bootFiles(third),
        'boot/start4x.elf': bootFiles(first)['boot/start4x.elf'] ?? '',
        'boot/fixup4x.dat': bootFiles(first)['boot/fixup4x.dat'] ?? '',
      }),
      'firmware_pair_incomplete',
    ],
  ]
  for (const [name, files, code] of wrongReleases)
    test(`a release of firmware is refused: ${name}`, async () => {
      await onStage(async ({fake, repository}) => {
        const pinned = await pinnedAt(fake, second.version)
        repository.release(third.version, files())
        await rejectsCode(() => verified(fake, third.version, {pinned}), code)
      })
    })

  test('half a pair in the playbook is refused before a byte is fetched', async () => {
    await onStage(async ({fake}) => {
      const config = {files: [{path: 'boot/start4.elf'}]}
      await rejectsCode(() => verified(fake, second.version, {config}), 'firmware_pair_incomplete')
      assert.equal(
        fake.requests.filter(({path}) => path.startsWith('/raw/')),
        [],
      )
    })
  })

  const bytes = (release: RealFirmware) =>
    readFileSync(release.files.find((it) => it.endsWith('fixup4.dat')) ?? '')
  const flipped = () => {
    const copy = Buffer.from(bytes(second))
    copy[100] = (copy[100] ?? 0) ^ 1
    return copy
  }
  const downloads: readonly (readonly [string, () => Buffer, ErrorCode])[] = [
    ['one bit flipped', flipped, 'git_blob_mismatch'],
    ['cut off', () => bytes(second).subarray(0, 1000), 'asset_size_mismatch'],
    [
      'one byte more',
      () => Buffer.concat([bytes(second), Buffer.from('x')]),
      'asset_size_mismatch',
    ],
    ['much more', () => Buffer.alloc(100_000), 'http_too_large'],
  ]
  for (const [name, body, code] of downloads)
    test(`a download is refused: ${name}`, async () => {
      await onStage(async ({fake}) => {
        const answer = {status: 200, headers: {'content-type': 'text/plain'}, body: body()}
        fake.fail({kind: 'answer', path: /fixup4\.dat$/, answer})
        await rejectsCode(() => verified(fake, second.version), code)
      })
    })

  test('trees that are cut off, changed or full of tricks are refused', async () => {
    await onStage(async ({fake}) => {
      const refused = async (code: ErrorCode) => {
        await rejectsCode(() => verified(fake, second.version), code)
      }
      fake.forgeTrees((tree) => ({...tree, truncated: true}))
      await refused('tree_truncated')
      const other = '0'.repeat(40)
      fake.forgeTrees((tree) => ({
        ...tree,
        tree: tree.tree.map((entry) =>
          entry.path === 'start4.elf' ? {...entry, sha: other} : entry,
        ),
      }))
      await refused('tree_mismatch')
      fake.forgeTrees((tree) => ({
        ...tree,
        tree: [...tree.tree, {path: '../../etc/passwd', mode: '100644', type: 'blob', sha: other}],
      }))
      await refused('tree_path_unsafe')
      fake.forgeTrees((tree) => tree)
      await verified(fake, second.version)
    })
  })
}

const releases = realFirmware()
const isReady = [
  needs('git', 'apt-get', 'dpkg-deb'),
  needsThat('real firmware of Debian', typeof releases !== 'string', String(releases)),
]
if (isReady.every(Boolean) && typeof releases !== 'string') suite(releases)

test.run()
