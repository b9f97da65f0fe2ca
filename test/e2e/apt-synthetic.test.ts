import {execFileSync} from 'node:child_process'
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gzipSync, zstdCompressSync} from 'node:zlib'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../src/system/codes.ts'
import {ContentCache} from '../../src/system/content-cache.ts'
import {makeHttp} from '../../src/system/http-client.ts'
import {parseClearsign} from '../../src/upstream/apt/clearsign.ts'
import {
  type AptKernelConfig,
  type AptSnapshotConfig,
  aptKernelSchema,
  aptSnapshotSchema,
} from '../../src/upstream/apt/config.ts'
import {makeAptKernelUpstream} from '../../src/upstream/apt/kernel-upstream.ts'
import {makeAptSnapshotUpstream} from '../../src/upstream/apt/snapshot-upstream.ts'
import {
  clearsigned,
  detached,
  type LoopbackArchive,
  packageOf,
  publish,
  serveArchive,
  suiteFiles,
  type TestKey,
  type TestSuite,
  testKey,
} from '../support/apt-archive.ts'
import {needs} from '../support/needs.ts'
import {rejectsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

type Context = {archive: LoopbackArchive; key: TestKey; keyring: string}

/** Ubuntu's services cannot be reached from tests: names are real, content and key are not. */
const test = suite<Context>('SYNTHETIC Ubuntu archive and snapshots, signed by a TEST key')
const now = Date.UTC(2026, 3, 20, 12) / 1000
const early = '20260330T000000Z'
const late = '20260415T120000Z'
const midnight = '20260420T000000Z'

test.before(async (context) => {
  context.key = await testKey()
  context.keyring = join(temporaryFolder(), 'test-keyring.gpg')
  writeFileSync(context.keyring, context.key.publicKey)
})
test.before.each(async (context) => {
  context.archive = await serveArchive()
})
test.after.each(async ({archive}) => archive.close())

const noble: TestSuite = {
  suite: 'noble',
  codename: 'noble',
  date: new Date('2024-04-25T10:00:00Z'),
  packages: {arm64: [packageOf('dracut-core', '060+5-1ubuntu3', 'cpio')]},
}
const updates = (date: string, version: string): TestSuite => ({
  suite: 'noble-updates',
  codename: 'noble',
  date: new Date(date),
  packages: {arm64: [packageOf('dracut-core', version, 'cpio')]},
})

function snapshotConfig({archive, key, keyring}: Context): AptSnapshotConfig {
  const url = `${archive.url}/ubuntu/{snapshot}`
  return aptSnapshotSchema.parse({
    ...{kind: 'apt_snapshot', distribution: 'ubuntu'},
    ...{architectures: ['arm64'], packages: ['dracut-core']},
    suites: [
      {name: 'noble', url, max_age_days: 3650},
      {name: 'noble-updates', url, max_age_days: 14},
    ],
    keyring: {file: keyring, fingerprints: [key.fingerprint]},
  })
}

function makeWorld() {
  const folder = temporaryFolder()
  const cache = new ContentCache(join(folder, 'cache'))
  // no waiting: what fails here fails for good
  const clock = {now: () => now * 1000, sleep: async () => {}}
  return {http: makeHttp({cache, userAgent: 'rel-test', clock}), cache, now, scratch: folder}
}

/** Three instants: the two later ones see a newer publication of -updates. */
async function publishSnapshots({archive, key}: Context): Promise<void> {
  for (const [id, date, version] of [
    [early, '2026-03-28T08:00:00Z', '060+5-1ubuntu3.1'],
    [late, '2026-04-14T08:00:00Z', '060+5-1ubuntu3.3'],
    [midnight, '2026-04-14T08:00:00Z', '060+5-1ubuntu3.3'],
  ] as const) {
    await publish(archive, `/ubuntu/${id}`, noble, [key])
    await publish(archive, `/ubuntu/${id}`, updates(date, version), [key])
  }
}

test('a synthetic snapshot is verified, locked and audited', async (context) => {
  await publishSnapshots(context)
  const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
  const candidate = await upstream.find(late)
  assert.is(candidate.publishedAt, Date.UTC(2026, 3, 15, 12) / 1000)
  const verified = await upstream.verify(candidate, 'L3')
  assert.is(verified.level, 'L3')
  const [entry] = verified.lock.packages as [{version: string; suite: string}]
  assert.equal([entry.version, entry.suite], ['060+5-1ubuntu3.3', 'noble-updates'])
  assert.match(verified.facts.map(({detail}) => detail).join('\n'), /dated 20260414T080000Z/)
  assert.equal(await upstream.audit(late, verified.lock), [])
  const {requests} = context.archive
  assert.is(new Set(requests).size, requests.length, 'one run asks for each file once')
  await rejectsCode(() => upstream.verify(candidate, 'L4'), 'integrity_too_low')
})

test('the latest synthetic snapshot is last midnight, if something was published', async (context) => {
  await publishSnapshots(context)
  const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
  assert.is((await upstream.latest(early))?.version, midnight)
  assert.is(await upstream.latest(late), undefined)
  assert.is(await upstream.latest(midnight), undefined)
  assert.ok(upstream.compare(early, late) < 0)
})

for (const [id, code] of [
  ['20250231T000000Z', 'snapshot_id_impossible'],
  ['20990101T000000Z', 'snapshot_in_future'],
  ['20230228T000000Z', 'snapshot_too_early'],
  ['20260415T120000z', 'snapshot_id_malformed'],
] as const)
  test(`${id} is refused before any request`, async (context) => {
    const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
    await rejectsCode(() => upstream.find(id), code)
    await rejectsCode(() => upstream.latest(id), code)
    assert.equal(context.archive.requests, [])
  })

const faults: Readonly<Record<string, [(context: Context) => Promise<void>, ErrorCode]>> = {
  'a snapshot server that answers with the live archive': [
    async ({archive, key}) => {
      await publish(archive, `/ubuntu/${late}`, updates('2026-04-18T08:00:00Z', '061-1'), [key])
    },
    'pin_ineffective',
  ],
  'a publication that is too old for the pin': [
    async ({archive, key}) => {
      await publish(archive, `/ubuntu/${late}`, updates('2026-03-28T08:00:00Z', '060-1'), [key])
    },
    'apt_release_stale',
  ],
  'another pocket under the name of this one': [
    async ({archive}) => {
      const bytes = archive.files.get(`/ubuntu/${late}/dists/noble-updates/InRelease`)
      archive.files.set(`/ubuntu/${late}/dists/noble/InRelease`, bytes as Buffer)
    },
    'apt_suite_mismatch',
  ],
  'no arm64 in the snapshot': [
    async ({archive, key}) => {
      const amd64 = {...noble, packages: {amd64: []}}
      await publish(archive, `/ubuntu/${late}`, amd64, [key])
    },
    'apt_architecture_missing',
  ],
  'another signer': [
    async ({archive}) => publish(archive, `/ubuntu/${late}`, noble, [await testKey()]),
    'openpgp_signer_unknown',
  ],
  'a snapshot that is not there': [
    async ({archive}) => {
      archive.files.delete(`/ubuntu/${late}/dists/noble/InRelease`)
    },
    'http_not_found',
  ],
  'a web page instead of InRelease': [
    async ({archive}) => {
      archive.files.set(`/ubuntu/${late}/dists/noble/InRelease`, Buffer.from('<html>\n'))
    },
    'openpgp_frame_invalid',
  ],
  'a package index that was exchanged': [
    async ({archive}) => {
      const path = [...archive.files.keys()].find((name) =>
        name.includes(`${late}/dists/noble/main`),
      )
      const bytes = Buffer.from(archive.files.get(path ?? '') as Buffer)
      bytes[20] = (bytes[20] ?? 0) ^ 1
      archive.files.set(path ?? '', bytes)
    },
    'http_digest_mismatch',
  ],
  'one version with other bytes in two suites': [
    async ({archive, key}) => {
      const entry = packageOf('dracut-core', '060+5-1ubuntu3.3', 'cpio', Buffer.from('another'))
      await publish(archive, `/ubuntu/${late}`, {...noble, packages: {arm64: [entry]}}, [key])
    },
    'apt_package_contradiction',
  ],
  'a snapshot without the package': [
    async ({archive, key}) => {
      for (const empty of [noble, updates('2026-04-14T08:00:00Z', '1')])
        await publish(archive, `/ubuntu/${late}`, {...empty, packages: {arm64: []}}, [key])
    },
    'apt_package_missing',
  ],
}

for (const [name, [break_, code]] of Object.entries(faults))
  test(`a synthetic snapshot is refused: ${name}`, async (context) => {
    await publishSnapshots(context)
    await break_(context)
    const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
    const run = async () => upstream.verify(await upstream.find(late), 'L3')
    await rejectsCode(run, code)
  })

test('an index that is not there by hash is taken by its name', async (context) => {
  await publishSnapshots(context)
  const {files} = context.archive
  for (const [path, bytes] of [...files].filter(([path]) => path.includes('/by-hash/'))) {
    files.delete(path)
    files.set(path.replace(/by-hash.*/, 'Packages.gz'), bytes)
  }
  const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
  await upstream.verify(await upstream.find(late), 'L3')
})

/** Signed in the older form: Release, and its signatures in Release.gpg. */
async function publishApart({archive, key}: Context, signer = key): Promise<void> {
  await publishSnapshots({archive, key, keyring: ''})
  for (const [path, bytes] of [...archive.files].filter(([path]) => path.endsWith('/InRelease'))) {
    const {text} = parseClearsign(bytes)
    const release = Buffer.from(`${text}\n`)
    const folder = path.replace(/InRelease$/, '')
    archive.files.delete(path)
    archive.files.set(`${folder}Release`, release)
    const date = new Date('2026-04-14T10:00:00Z')
    archive.files.set(`${folder}Release.gpg`, await detached(release, [signer], date))
  }
}

test('a synthetic snapshot without InRelease is verified by Release.gpg', async (context) => {
  await publishApart(context)
  const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
  const verified = await upstream.verify(await upstream.find(late), 'L3')
  assert.equal(
    verified.facts.slice(0, 2).map(({subject, check}) => [subject, check]),
    [
      ['noble Release', 'signature in Release.gpg'],
      ['noble-updates Release', 'signature in Release.gpg'],
    ],
  )
  assert.equal(await upstream.audit(late, verified.lock), [])
})

test('without InRelease a wrong or missing Release.gpg is refused', async (context) => {
  await publishApart(context, await testKey())
  const find = () => makeAptSnapshotUpstream(snapshotConfig(context), makeWorld()).find(late)
  await rejectsCode(find, 'openpgp_signer_unknown')
  context.archive.files.delete(`/ubuntu/${late}/dists/noble/Release.gpg`)
  await rejectsCode(find, 'http_not_found')
})

test('a synthetic snapshot that changes after the lock is told', async (context) => {
  await publishSnapshots(context)
  const before = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
  const {lock} = await before.verify(await before.find(late), 'L3')
  const changed = updates('2026-04-14T09:00:00Z', '060+5-1ubuntu3.4')
  await publish(context.archive, `/ubuntu/${late}`, changed, [context.key])
  const after = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
  const drifts = await after.audit(late, lock)
  assert.equal(drifts.map(({code}) => code).sort(), ['apt_package_replaced', 'snapshot_changed'])
})

test('a pin of two years is warned of in the evidence', async (context) => {
  const old = '20240501T000000Z'
  const {archive, key} = context
  await publish(archive, `/ubuntu/${old}`, noble, [key])
  await publish(archive, `/ubuntu/${old}`, updates('2024-04-28T00:00:00Z', '060-2'), [key])
  const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
  const {facts} = await upstream.verify(await upstream.find(old), 'L3')
  assert.match(facts[0]?.detail ?? '', /^warning: the pin is 23 months old/)
})

const release = '6.17.0-35-generic'
const version = '6.17.0-35.35~24.04.1'
const banner = `Linux version ${release} (buildd@synthetic) (gcc) #35~24.04.1-Ubuntu SMP\n`

/** A .deb of ar(5) members, with the image where Ubuntu has it; arm64 images there are gzipped. */
function kernelDeb(data: (tar: Buffer) => [string, Buffer], text = banner, name = release): Buffer {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'boot'))
  const image = gzipSync(Buffer.concat([Buffer.alloc(4096), Buffer.from(text)]))
  writeFileSync(join(folder, 'boot', `vmlinuz-${name}`), image)
  const tar = execFileSync('tar', ['-C', folder, '-c', './boot'])
  return arArchive([['debian-binary', Buffer.from('2.0\n')], ['control.tar', tar], data(tar)])
}

function arArchive(members: readonly (readonly [string, Buffer])[]): Buffer {
  const parts = members.flatMap(([name, bytes]) => {
    const numbers = `${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}`
    const header = `${name.padEnd(16)}${numbers}${String(bytes.length).padEnd(10)}\`\n`
    return [Buffer.from(header), bytes, Buffer.from(bytes.length % 2 === 1 ? '\n' : '')]
  })
  return Buffer.concat([Buffer.from('!<arch>\n'), ...parts])
}

const zst = (tar: Buffer): [string, Buffer] => ['data.tar.zst', zstdCompressSync(tar)]
const xz = (tar: Buffer): [string, Buffer] => [
  'data.tar.xz',
  execFileSync('xz', ['--stdout'], {input: tar}),
]

async function publishKernel({archive, key}: Context, deb: Buffer, modules = version) {
  const image = packageOf(`linux-image-${release}`, version, `linux-modules-${release}`, deb)
  const modulesDeb = Buffer.from('modules')
  const modulesEntry = packageOf(`linux-modules-${release}`, modules, '', modulesDeb)
  const meta = packageOf('linux-image-generic-hwe-24.04', version, `linux-image-${release}`)
  const packages = {arm64: [meta, image, modulesEntry]}
  const suite_ = {...updates('2026-04-14T08:00:00Z', '1'), packages}
  await publish(archive, '/ubuntu-ports', suite_, [key])
  archive.files.set(`/ubuntu-ports/${image.Filename}`, deb)
  archive.files.set(`/ubuntu-ports/${modulesEntry.Filename}`, modulesDeb)
}

function kernelConfig({archive, key, keyring}: Context): AptKernelConfig {
  return aptKernelSchema.parse({
    ...{kind: 'apt_kernel', distribution: 'ubuntu', arch: 'arm64'},
    meta: 'linux-image-generic-hwe-24.04',
    suites: [{name: 'noble-updates', url: `${archive.url}/ubuntu-ports`, max_age_days: 14}],
    keyring: {file: keyring, fingerprints: [key.fingerprint]},
  })
}

async function verifyKernel(context: Context) {
  const upstream = makeAptKernelUpstream(kernelConfig(context), makeWorld())
  const candidate = await upstream.latest('6.8.0-31-generic')
  if (candidate === undefined) throw new Error('no kernel')
  return upstream.verify(candidate, 'L3')
}

for (const [name, data] of Object.entries({zst, ...(needs('xz') ? {xz} : {})}))
  test(`a synthetic HWE kernel in data.tar.${name} gives image, modules and vmlinuz`, async (context) => {
    await publishKernel(context, kernelDeb(data))
    const {assets, candidate} = await verifyKernel(context)
    assert.equal([candidate.version, candidate.tag], [release, version])
    const dated = Date.UTC(2026, 3, 14, 8) / 1000
    assert.is(candidate.publishedAt, dated, 'it was there when its suite was dated')
    assert.equal(
      assets.map((asset) => [asset.arch, asset.name.replace(/_.*/, '')]),
      [
        ['arm64', `linux-image-${release}`],
        ['arm64-modules', `linux-modules-${release}`],
        ['arm64-vmlinuz', `vmlinuz-${release}`],
      ],
    )
    assert.is(readFileSync(assets[1]?.path ?? '').toString(), 'modules')
  })

const wrongKernels: Readonly<Record<string, [() => [Buffer, string?], ErrorCode]>> = {
  'modules of another version': [
    () => [kernelDeb(zst), '6.17.0-35.34~24.04.1'],
    'kernel_modules_mismatch',
  ],
  'an image of another release': [
    () => [kernelDeb(zst, banner.replace('-35-', '-34-'))],
    'kernel_image_mismatch',
  ],
  'an image that says nothing': [() => [kernelDeb(zst, 'nothing')], 'kernel_image_mismatch'],
  'no ar archive': [() => [Buffer.from('<html>')], 'deb_malformed'],
  'no data member': [() => [arArchive([['debian-binary', Buffer.from('2.0\n')]])], 'deb_malformed'],
  'two data members': [
    () => [
      Buffer.concat([kernelDeb(zst), arArchive([['data.tar', Buffer.from('x')]]).subarray(8)]),
    ],
    'deb_malformed',
  ],
  'an unknown compression': [() => [kernelDeb((tar) => ['data.tar.lzma', tar])], 'deb_malformed'],
  'a tar that does not unpack': [
    () => [kernelDeb(() => ['data.tar.zst', Buffer.from('not zstd')])],
    'deb_malformed',
  ],
  'no kernel inside': [() => [kernelDeb(() => zst(Buffer.alloc(1024)))], 'deb_malformed'],
}

for (const [name, [make, code]] of Object.entries(wrongKernels))
  test(`a synthetic kernel is refused: ${name}`, async (context) => {
    const [deb, modules] = make()
    await publishKernel(context, deb, modules)
    await rejectsCode(() => verifyKernel(context), code)
  })

type Kernel = {readonly abi: string; readonly version: string}

/** Snapshots, each with one kernel of the line; the older kernel is gone from the newer one. */
async function publishKernelAt({archive, key}: Context, id: string, {abi, version}: Kernel) {
  const said = `Linux version ${abi} (buildd@synthetic) (gcc) #${version.slice(10)}-Ubuntu SMP\n`
  const deb = kernelDeb(zst, said, abi)
  const modules = Buffer.from(`modules of ${abi}`)
  const image = packageOf(`linux-image-${abi}`, version, `linux-modules-${abi}`, deb)
  const other = packageOf(`linux-modules-${abi}`, version, '', modules)
  const meta = packageOf('linux-image-generic-hwe-24.04', version, `linux-image-${abi}`)
  const date = `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}T00:00:00Z`
  const packages = {arm64: [meta, image, other]}
  await publish(archive, `/ubuntu/${id}`, {...updates(date, '1'), packages}, [key])
  archive.files.set(`/ubuntu/${id}/${image.Filename}`, deb)
  archive.files.set(`/ubuntu/${id}/${other.Filename}`, modules)
}

test('a kernel that is pinned by its snapshot: each id has its own, also on the way back', async (context) => {
  const old = {abi: '6.17.0-34-generic', version: '6.17.0-34.34~24.04.1'}
  await publishKernelAt(context, early, old)
  for (const id of [late, midnight]) await publishKernelAt(context, id, {abi: release, version})
  const {snapshot: _, ...live} = kernelConfig(context)
  const [suite_] = live.suites
  const config = aptKernelSchema.parse({
    ...live,
    suites: [{...suite_, url: `${context.archive.url}/ubuntu/{snapshot}`}],
    snapshot: '{new}',
  })
  const upstream = makeAptKernelUpstream(config, makeWorld())
  const verifiedAt = async (id: string) => upstream.verify(await upstream.find(id), 'L3')
  const imagesOf = async (id: string) =>
    (await verifiedAt(id)).assets.map(({name}) => name).filter((name) => /^vmlinuz/.test(name))
  assert.equal(await imagesOf(late), [`vmlinuz-${release}`])
  assert.equal(await imagesOf(early), [`vmlinuz-${old.abi}`])
  const {candidate, lock} = await verifiedAt(late)
  assert.equal([candidate.version, candidate.tag], [late, version])
  assert.equal(await upstream.audit(late, lock), [])
  assert.ok(upstream.compare(late, early) > 0)
  assert.is((await upstream.latest(early))?.version, midnight)
  assert.is(await upstream.latest(late), undefined, 'the same kernel is nothing newer')
  await publishKernelAt(context, late, {abi: release, version: '6.17.0-35.36~24.04.1'})
  const codes = (await makeAptKernelUpstream(config, makeWorld()).audit(late, lock)).map(
    ({code}) => code,
  )
  assert.ok(codes.includes('snapshot_changed'), codes.join())
  for (const [id, code] of [
    ['20250231T000000Z', 'snapshot_id_impossible'],
    ['29990101T000000Z', 'snapshot_in_future'],
    [release, 'snapshot_id_malformed'],
  ] as const)
    await rejectsCode(async () => upstream.find(id), code)
})

test('a synthetic kernel package that was exchanged is refused', async (context) => {
  await publishKernel(context, kernelDeb(zst))
  const path = [...context.archive.files.keys()].find((name) => name.includes('/pool/'))
  const bytes = Buffer.from(context.archive.files.get(path ?? '') as Buffer)
  bytes[100] = (bytes[100] ?? 0) ^ 1
  context.archive.files.set(path ?? '', bytes)
  await rejectsCode(() => verifyKernel(context), 'http_digest_mismatch')
})

test('a package index with a field twice is refused, although it is signed', async (context) => {
  const {archive, key} = context
  const evil = {...packageOf('dracut-core', '1-1', ''), filename: 'pool/evil.deb'}
  const bad = {...updates('2026-04-14T08:00:00Z', '1'), packages: {arm64: [evil]}}
  await publishSnapshots(context)
  await publish(archive, `/ubuntu/${late}`, bad, [key])
  const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
  const run = async () => upstream.verify(await upstream.find(late), 'L3')
  await rejectsCode(run, 'deb822_malformed')
})

for (const filename of [
  '../../etc/passwd',
  '/etc/passwd',
  'pool/../x.deb',
  'pool/x?y.deb',
  'pool/x y',
])
  test(`a path out of the archive is refused: ${filename}`, async (context) => {
    const {archive, key} = context
    const evil = {...packageOf('dracut-core', '9-1', ''), Filename: filename}
    await publishSnapshots(context)
    const bad = {...updates('2026-04-14T08:00:00Z', '1'), packages: {arm64: [evil]}}
    await publish(archive, `/ubuntu/${late}`, bad, [key])
    const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
    const run = async () => upstream.verify(await upstream.find(late), 'L3')
    await rejectsCode(run, 'deb822_malformed')
  })

test('an index that unpacks to more than was signed is refused', async (context) => {
  const {archive, key} = context
  await publishSnapshots(context)
  const {release: text, files} = suiteFiles(noble)
  const plain = files.get('main/binary-arm64/Packages') as Buffer
  const lie = text.replace(
    ` ${plain.length} main/binary-arm64/Packages\n`,
    ' 9 main/binary-arm64/Packages\n',
  )
  assert.is.not(lie, text)
  const path = `/ubuntu/${late}/dists/noble/InRelease`
  archive.files.set(path, await clearsigned(lie, [key], noble.date))
  const upstream = makeAptSnapshotUpstream(snapshotConfig(context), makeWorld())
  const run = async () => upstream.verify(await upstream.find(late), 'L3')
  await rejectsCode(run, 'apt_index_mismatch')
})

test('what a playbook may not say', (context) => {
  const snapshot = snapshotConfig(context)
  const kernel = kernelConfig(context)
  const live = {...snapshot.suites[0], url: 'http://archive.ubuntu.com/ubuntu'}
  const {keyring} = snapshot
  for (const bad of [
    {...snapshot, suites: [live]},
    {...snapshot, suites: []},
    {...snapshot, more: 1},
    {...snapshot, keyring: {...keyring, fingerprints: []}},
    {...snapshot, keyring: {...keyring, fingerprints: ['871920D1991BC93C']}},
    {...snapshot, suites: [{...snapshot.suites[0], max_age_days: undefined}]},
    {...snapshot, suites: [{...snapshot.suites[0], url: 'file:///srv/{snapshot}'}]},
  ])
    assert.is(aptSnapshotSchema.safeParse(bad).success, false, JSON.stringify(bad))
  for (const bad of [
    {...kernel, snapshot: late},
    {...kernel, suites: snapshot.suites},
    {...kernel, meta: 'Linux'},
  ])
    assert.is(aptKernelSchema.safeParse(bad).success, false, JSON.stringify(bad))
  const pinned = {...kernel, suites: snapshot.suites, snapshot: late}
  assert.is(aptKernelSchema.safeParse(pinned).success, true)
})

test.run()
