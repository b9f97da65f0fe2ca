import {execFile, execFileSync, spawnSync} from 'node:child_process'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {aptSourcesGate} from '../../src/gates/apt-sources.ts'
import type {GateResult} from '../../src/gates/gate.ts'
import type {ErrorCode} from '../../src/system/codes.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {
  type AptWorld,
  fetchPackages,
  type SignedPackage,
  type SignedSuite,
  verifySuite,
} from '../../src/upstream/apt/archive.ts'
import type {AptKernelConfig} from '../../src/upstream/apt/config.ts'
import {compareDpkgVersions} from '../../src/upstream/apt/dpkg-version.ts'
import {kernelBanner} from '../../src/upstream/apt/kernel-banner.ts'
import {makeAptKernelUpstream} from '../../src/upstream/apt/kernel-upstream.ts'
import type {SuiteWish} from '../../src/upstream/apt/release-rules.ts'
import {
  debianKeyring,
  kernelPlaybookUpstream,
  type RealSuite,
  realArm64Kernel,
  realSuites,
  realWorld,
} from '../support/apt.ts'
import {needs, needsThat} from '../support/needs.ts'
import {rejectsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

/** The real signed archive of this machine's mirror; without it every test here is one named skip. */
const found = realSuites()
const suites = typeof found === 'string' ? [] : found
const names = ['bookworm', 'bookworm-updates', 'bookworm-security']
const isReal = needsThat(
  'the signed archive of Debian bookworm',
  names.every((name) => suites.some(({suite}) => suite === name)),
  typeof found === 'string' ? found : `apt has ${suites.map(({suite}) => suite).join(' ')}`,
)
const hasGpgv = needs('gpgv')
const world = realWorld()

function suiteNamed(name: string): RealSuite {
  const suite = suites.find((candidate) => candidate.suite === name)
  if (suite === undefined) throw new Error(`the mirror has no ${name}`)
  return suite
}

type Changes = {
  readonly inRelease?: Buffer
  readonly fingerprints?: readonly string[]
}

function verifyReal(name: string, changes: Changes = {}, at = world.now): Promise<SignedSuite> {
  const suite = suiteNamed(name)
  const {keyring} = kernelPlaybookUpstream(suites)
  const wish: SuiteWish = {
    ...{distribution: 'debian', suite: name, components: ['main'], architectures: ['arm64']},
    ...{maxAgeDays: 400, at: {kind: 'live', time: at}},
  }
  const pinned = {file: debianKeyring, fingerprints: changes.fingerprints ?? keyring.fingerprints}
  const inRelease = changes.inRelease ?? suite.inRelease
  return verifySuite({inRelease}, suite.url, wish, pinned, world)
}

const archiveKey = 'B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8'
const securityKey = '05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0'
const bullseyeKey = '1F89983E0081FDE018F3CC9673A4F27B8DD47936'

if (isReal && hasGpgv)
  for (const name of names)
    test(`real ${name}: openpgp.js and gpgv find the same signers`, async () => {
      const all = await verifyReal(name)
      const one = name === 'bookworm-security' ? securityKey : archiveKey
      assert.ok(all.engines.includes('gpgv'))
      assert.ok(all.signers.includes(one), all.signers.join(' '))
      assert.equal((await verifyReal(name, {fingerprints: [one]})).signers, [one])
    })

function edited(from: string | RegExp, to: string): Buffer {
  const text = suiteNamed('bookworm').inRelease.toString('utf8')
  const changed = text.replace(from, to)
  assert.is.not(changed, text)
  return Buffer.from(changed)
}

/** A cache on the way may have two files of two publications: gpgv says what they are worth. */
function isGoodForGpgv(files: {readonly release: Buffer; readonly signature: Buffer}): boolean {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'Release'), files.release)
  writeFileSync(join(folder, 'Release.gpg'), files.signature)
  const paths = [join(folder, 'Release.gpg'), join(folder, 'Release')]
  const ran = spawnSync('gpgv', ['--keyring', debianKeyring, ...paths], {encoding: 'utf8'})
  return ran.stderr.includes('Good signature') && !ran.stderr.includes('BAD signature')
}

if (isReal && hasGpgv)
  for (const name of names)
    test(`real ${name}: Release.gpg is taken when gpgv takes it, and never else`, async () => {
      const {url} = suiteNamed(name)
      const fileOf = async (file: string) => {
        const address = `${url}/dists/${name}/${file}`
        const {path} = await world.http.download({url: address, maxBytes: 4 << 20})
        return readFileSync(path)
      }
      const files = {release: await fileOf('Release'), signature: await fileOf('Release.gpg')}
      const inRelease = await verifyReal(name)
      const {keyring} = kernelPlaybookUpstream(suites)
      const verify = () => verifySuite(files, url, inRelease.wish, keyring, world)
      if (isGoodForGpgv(files)) {
        const apart = await verify()
        assert.equal([apart.file, apart.signers], ['Release', inRelease.signers])
        assert.ok(apart.engines.includes('gpgv'))
      }
      assert.is(files.release.toString('latin1', 0, 14), 'Origin: Debian')
      files.release.write('d', 8)
      assert.not.ok(isGoodForGpgv(files))
      await rejectsCode(verify, 'openpgp_signature_invalid')
    })

/** SHA-1, the eighth, cannot be had from Debian: test/unit/upstream/apt/in-release.test.ts. */
const mutations: Readonly<Record<string, [() => Changes, ErrorCode]>> = {
  'text before': [() => ({inRelease: edited(/^/, 'Suite: evil\n')}), 'openpgp_frame_invalid'],
  'text after': [() => ({inRelease: edited(/$/, 'Suite: evil\n')}), 'openpgp_frame_invalid'],
  'two messages': [() => ({inRelease: edited(/^.*$/s, '$&$&')}), 'openpgp_frame_invalid'],
  'a changed byte': [
    () => ({inRelease: edited(/(main\/binary-arm64\/Packages.gz\n [0-9a-f]{63})./, '$1g')}),
    'openpgp_signature_invalid',
  ],
  'the wrong key pinned': [() => ({fingerprints: [bullseyeKey]}), 'openpgp_signer_unknown'],
  'a false Hash header': [
    () => ({inRelease: edited('Hash: SHA256', 'Hash: SHA512')}),
    'openpgp_hash_header',
  ],
  'another suite under its own valid signature': [
    () => ({inRelease: suiteNamed('bookworm-updates').inRelease}),
    'apt_suite_mismatch',
  ],
}

if (isReal)
  for (const [name, [change, code]] of Object.entries(mutations))
    test(`real bookworm is refused with ${name}`, async () => {
      await rejectsCode(() => verifyReal('bookworm', change()), code)
    })

if (isReal) {
  test('real bookworm-security is refused when it is no longer valid, and before its time', async () => {
    const {release} = await verifyReal('bookworm-security')
    const expired = (release.validUntil ?? 0) + 1
    await rejectsCode(() => verifyReal('bookworm-security', {}, expired), 'apt_release_expired')
    const early = release.date - 3600
    await rejectsCode(() => verifyReal('bookworm-security', {}, early), 'apt_release_in_future')
  })

  test('from the real signature to each package of arm64, and dpkg agrees on the order', async () => {
    const packages = await realPackages()
    assert.ok(packages.length > 50_000, `${packages.length} packages`)
    const pairs = versionPairs(packages.map(({version}) => version))
    assert.ok(pairs.length >= 1000)
    const wrong = (await dpkgOrder(pairs)).flatMap((order, at) => {
      const [a = '', b = ''] = pairs[at] ?? []
      return Math.sign(compareDpkgVersions(a, b)) === order ? [] : [`${a} ${b}`]
    })
    assert.equal(wrong, [])
  })

  test('the kernel playbook finds the real arm64 kernel, and its image says so', async () => {
    const kernel = await realArm64Kernel()
    if (typeof kernel === 'string') throw new Error(kernel)
    const image = readFileSync(kernel.vmlinuz)
    assert.is(image.toString('latin1', 56, 60), 'ARMd') // arm64 boot.rst
    assert.match(kernelBanner(image), kernel.release)
    assert.match(kernel.release, /^6\.1\.0-\d+-arm64$/)
    const control = execFileSync('dpkg-deb', ['--field', kernel.deb, 'Package', 'Version'])
    assert.is(
      control.toString(),
      `Package: linux-image-${kernel.release}\nVersion: ${kernel.version}\n`,
    )
    const script = 'dpkg-deb --fsys-tarfile "$1" | tar -xO "./boot/vmlinuz-$2" | sha256sum'
    const theirs = execFileSync('sh', ['-c', script, 'sh', kernel.deb, kernel.release])
    assert.is(theirs.toString().slice(0, 64), sha256Hex(image), 'dpkg-deb unpacks the same')
  })

  test('an audit of the real kernel finds nothing, and finds what was changed', async () => {
    const config = kernelPlaybookUpstream(suites)
    const upstream = makeAptKernelUpstream(config, world)
    const candidate = await upstream.latest('6.1.0-1-arm64')
    if (candidate === undefined) throw new Error('no kernel')
    assert.is(await upstream.latest(candidate.version), undefined)
    const {lock} = await upstream.verify(candidate, 'L3')
    assert.equal(await upstream.audit(candidate.version, lock), [])
    const text = JSON.stringify(lock)
    const [entry] = lock.packages as [{sha256: string}]
    const replaced = JSON.parse(text.replaceAll(entry.sha256, '0'.repeat(64)))
    assert.equal(
      (await upstream.audit(candidate.version, replaced)).map(({code}) => code),
      ['apt_package_replaced'],
    )
    await rejectsCode(() => upstream.verify(candidate, 'L4'), 'integrity_too_low')
    await rejectsCode(() => upstream.find('6.1.0-9999-arm64'), 'apt_package_missing')
  })

  test('real suites without -security hold an older kernel: the suite set decides', async () => {
    const config = kernelPlaybookUpstream(suites)
    const main: AptKernelConfig = {...config, suites: config.suites.slice(0, 1)}
    const [older, newer] = [
      await makeAptKernelUpstream(main, world).latest('6.1.0-1-arm64'),
      await makeAptKernelUpstream(config, world).latest('6.1.0-1-arm64'),
    ]
    const order = compareDpkgVersions(older?.tag ?? '', newer?.tag ?? '')
    assert.ok(order <= 0, `${older?.tag} and ${newer?.tag}`)
  })

  test('a real package index with one byte changed on the way is refused', async () => {
    const suite = await verifyReal('bookworm')
    const download: AptWorld['http']['download'] = async (request) => {
      const real = await world.http.download(request)
      const bytes = readFileSync(real.path)
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
      const path = join(temporaryFolder(), 'Packages.gz')
      writeFileSync(path, bytes)
      return {...real, path}
    }
    await rejectsCode(
      () => fetchPackages(suite, 'arm64', () => true, {...world.http, download}),
      'apt_index_mismatch',
    )
  })
}

async function realPackages(): Promise<readonly SignedPackage[]> {
  return fetchPackages(await verifyReal('bookworm'), 'arm64', () => true, world.http)
}

/** Neighbours in the order under test are the hard cases; the others are far apart. */
function versionPairs(versions: readonly string[]): (readonly [string, string])[] {
  const sorted = [...new Set(versions)].sort(compareDpkgVersions)
  const step = Math.max(1, Math.floor(sorted.length / 900))
  const at = (index: number) => sorted[index % sorted.length] ?? ''
  const places = Array.from({length: 900}, (_, index) => index * step)
  return [
    ...places.map((place) => [at(place + 1), at(place)] as const),
    ...places.slice(0, 300).map((place) => [at(place), at(place * 7919)] as const),
    ...places.slice(0, 20).map((place) => [at(place), at(place)] as const),
  ]
}

/** -1, 0 or 1 for each pair, by dpkg; two shells at a time, each of which asks one after another. */
async function dpkgOrder(pairs: readonly (readonly [string, string])[]): Promise<number[]> {
  const script = `while [ $# -gt 0 ]; do
    if dpkg --compare-versions "$1" lt "$2"; then echo -1
    elif dpkg --compare-versions "$1" eq "$2"; then echo 0; else echo 1; fi; shift 2; done`
  const half = Math.ceil(pairs.length / 2)
  const run = promisify(execFile)
  const outputs = await Promise.all(
    [pairs.slice(0, half), pairs.slice(half)].map((part) =>
      run('sh', ['-c', script, 'sh', ...part.flat()]),
    ),
  )
  return outputs.flatMap(({stdout}) => stdout.trim().split('\n').map(Number))
}

const aptVersion = / (\d+\.\d+)/.exec(spawnSync('apt-get', ['--version']).stdout?.toString() ?? '')
const isOldApt = needsThat(
  'an apt that ignores snapshots',
  compareDpkgVersions(aptVersion?.[1] ?? '9', '2.7') < 0,
  `apt ${aptVersion?.[1]} is here, 2.6 or older is wanted`,
)

const id = '20250101T000000Z'
const archive = 'http://snapshot.debian.org/archive/debian'

function sourcesFile(uri: string, extra: string): string {
  const path = join(temporaryFolder(), 'pinned.sources')
  const fields = ['Types: deb', `URIs: ${uri}`, 'Suites: bookworm', 'Components: main', extra]
  writeFileSync(path, `${fields.filter((field) => field !== '').join('\n')}\n`)
  return path
}

const pinned = [{url: `${archive}/${id}`, suite: 'bookworm'}]
const live = 'http://ftp.debian.org/debian'

async function gateOf(
  file: string,
  options: readonly string[] = [],
  wanted = pinned,
  path = process.env.PATH ?? '/usr/bin:/bin',
): Promise<GateResult> {
  const folder = temporaryFolder()
  const scratch = {evidence: join(folder, 'evidence'), scratch: folder, path}
  return aptSourcesGate({gate: 'apt_sources', file, options, wanted}, scratch)
}

if (isOldApt) {
  test('real apt 2.6 ignores a Snapshot field: the pin is told to be ineffective', async () => {
    const {verdict, code, logs} = await gateOf(sourcesFile(live, `Snapshot: ${id}`))
    assert.equal([verdict, code], ['refused', 'pin_ineffective'])
    const [log] = logs
    assert.match(readFileSync(log?.path ?? '', 'utf8'), `${live}/dists/bookworm/InRelease`)
    assert.is(log?.sha256, sha256Hex(readFileSync(log?.path ?? '')))
  })

  test('real apt 2.6 ignores APT::Snapshot too', async () => {
    const {code} = await gateOf(sourcesFile(live, ''), [`APT::Snapshot=${id}`])
    assert.is(code, 'pin_ineffective')
  })
}

if (needs('apt-get')) {
  const withId = () => sourcesFile(`${archive}/${id}`, '')

  test('a snapshot in the address takes effect in every apt', async () => {
    const {verdict, summary} = await gateOf(withId())
    assert.is(verdict, 'passed', summary)
  })

  const updates = {url: `${archive}/${id}`, suite: 'bookworm-updates'}
  const other = `${archive}/20250102T000000Z`
  const wrong: readonly [string, () => Promise<GateResult>, ErrorCode][] = [
    [
      'a pinned suite is missing',
      () => gateOf(withId(), [], [...pinned, updates]),
      'pin_ineffective',
    ],
    ['another snapshot', () => gateOf(sourcesFile(other, '')), 'pin_ineffective'],
    [
      'the live archive beside it',
      () => gateOf(sourcesFile(`${archive}/${id} ${live}`, '')),
      'pin_ineffective',
    ],
    [
      'no sources at all',
      () => gateOf(sourcesFile(`${archive}/${id}`, 'Enabled: no')),
      'pin_ineffective',
    ],
    ['what apt cannot read', () => gateOf(sourcesFile('', '')), 'process_failed'],
    ['no apt-get', () => gateOf(withId(), [], pinned, '/nonexistent'), 'gate_unavailable'],
  ]
  for (const [name, run, code] of wrong)
    test(`sources for apt do not pass: ${name}`, async () => {
      const result = await run()
      assert.is.not(result.verdict, 'passed')
      assert.is(result.code, code, result.summary)
    })

  test('sources that are not there are told', async () => {
    await rejectsCode(() => gateOf('/nonexistent/pinned.sources'), 'file_missing')
  })
}

test.run()
