import {execFileSync} from 'node:child_process'
import {copyFileSync, mkdirSync, readFileSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseLock} from '../../src/bump/lock-file.ts'
import {fetchPackages, type SignedPackage, verifySuite} from '../../src/upstream/apt/archive.ts'
import {compareKernelReleases} from '../../src/upstream/apt/kernel-names.ts'
import {makeAptKernelUpstream} from '../../src/upstream/apt/kernel-upstream.ts'
import type {SuiteWish} from '../../src/upstream/apt/release-rules.ts'
import {
  aptContent,
  kernelPlaybookUpstream,
  type RealSuite,
  realSuites,
  realWorld,
} from '../support/apt.ts'
import {debianArm64} from '../support/arm64.ts'
import {checkout} from '../support/built.ts'
import {
  gitEnv,
  personalState,
  type SampleRepository,
  sampleRepository,
} from '../support/bump/repository.ts'
import {needs, needsThat} from '../support/needs.ts'
import {type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// playbooks/kernel.yaml as it is shipped, from the real signed archive of Debian to a real boot.

/** Kernels of the archive: what the item is at, what it goes to, and one of another line. */
type Kernels = {readonly old: string; readonly new: string; readonly otherLine: string}

const workflow = (kernel: string) => `env:
  KERNEL_VERSION: '${kernel}'
  APT_SNAPSHOT: \${{ inputs.apt_snapshot || '20260301T000000Z' }}
`

/** A small but real build: the verified kernel, and an initrd of busybox that is always the same. */
const build = `#!/bin/sh
set -eu
out=build/arm64/kernel-initrd
rm -rf build && mkdir -p "$out" build/root/bin
cp "$REL_ASSET_ARM64_VMLINUZ" "$out/vmlinuz"
cp busybox shell init build/root/bin
mv build/root/bin/init build/root/init
mv build/root/bin/shell build/root/bin/sh
echo "$KERNEL_VERSION" >build/root/kernel-version
find build/root -exec touch -h -d @0 {} +
(cd build/root && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0) |
  gzip -n >"$out/initrd.img"
`

const shell = '#!/bin/busybox sh\nexec /bin/busybox sh "$@"\n'
const init = '#!/bin/sh\nwhile :; do sleep 9; done\n'

/** Has no pin of the kernel; a change that moves both is two bumps in one. */
const dracut = `item: dracut
title: dracut
upstream:
  kind: apt_snapshot
  distribution: ubuntu
  architectures: [arm64]
  packages: [dracut]
  suites: [{name: noble, url: 'http://127.0.0.1:9/{snapshot}', max_age_days: 1}]
  keyring: {file: /none, fingerprints: [${'A'.repeat(40)}]}
verify: {min: L3}
pins:
  - kind: yaml_expression_default
    file: initramfs/.gitea/workflows/build.yaml
    path: env.APT_SNAPSHOT
    expression: inputs.apt_snapshot
change: {base: develop}
`

/** The shipped playbook, asking the mirror that apt on this machine asks. */
function shippedPlaybook(suites: readonly RealSuite[]): string {
  const text = readFileSync(join(checkout, 'playbooks/kernel.yaml'), 'utf8')
  return suites.reduce(
    (all, {suite, url}) => all.replace(new RegExp(`(name: ${suite}\\n +url: ).*`), `$1${url}`),
    text,
  )
}

async function realKernels(suites: readonly RealSuite[]): Promise<Kernels> {
  const config = kernelPlaybookUpstream(suites)
  const world = realWorld()
  const packages: SignedPackage[] = []
  for (const {suite, url, inRelease} of suites) {
    const wish: SuiteWish = {
      ...{distribution: 'debian', suite, components: ['main'], architectures: ['arm64']},
      ...{maxAgeDays: 400, at: {kind: 'live', time: world.now}},
    }
    const signed = await verifySuite({inRelease}, url, wish, config.keyring, world)
    packages.push(...(await fetchPackages(signed, 'arm64', isImage, world.http)))
  }
  const newest = (await makeAptKernelUpstream(config, world).latest('6.1.0-1-arm64'))?.version ?? ''
  const releases = [...new Set(packages.map(({name}) => name.replace('linux-image-', '')))]
  const older = releases.filter((it) => it.startsWith('6.1.') && it !== newest)
  const old = older.sort(compareKernelReleases).at(-1)
  const otherLine = releases.find((it) => it.startsWith('6.12.'))
  if (old === undefined || otherLine === undefined) throw new Error(`there is ${releases}`)
  return {old, new: newest, otherLine}
}

function isImage(name: string): boolean {
  return /^linux-image-\d+\.\d+\.\d[^-]*(?:-\d+)?-arm64$/.test(name)
}

function sampleAt(kernel: string, playbook: string, busybox: string): SampleRepository {
  const repository = sampleRepository({
    '.gitignore': 'initramfs/build/\nrel.keys/\n',
    'initramfs/.gitea/workflows/build.yaml': workflow(kernel),
    'initramfs/build.sh': build,
    'initramfs/shell': shell,
    'initramfs/init': init,
    'playbooks/kernel.yaml': playbook,
    'playbooks/dracut.yaml': dracut,
  })
  copyFileSync(busybox, join(repository.root, 'initramfs/busybox'))
  for (const name of ['build.sh', 'busybox', 'shell', 'init'])
    execFileSync('chmod', ['755', join(repository.root, 'initramfs', name)])
  repository.commit('feat: the programs of the initramfs')
  repository.git('push', '--quiet', 'origin', 'develop')
  return repository
}

/** Downloads of earlier runs are used again, by digest and verified again. */
function cacheHome(): string {
  const folder = temporaryFolder()
  mkdirSync(aptContent, {recursive: true})
  symlinkSync(aptContent, join(folder, 'rel'))
  return folder
}

type Document = {
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: {readonly code: string; readonly message: string}
}
/** What a sign-off says of the way back. */
type Tried = {
  readonly tried: {readonly verdict: string}
  readonly artifacts: readonly {readonly sha256: string}[]
}
const documentOf = ({stdout}: Ran) => JSON.parse(stdout) as Document

function suite(suites: readonly RealSuite[], kernels: Kernels, busybox: string): void {
  const playbook = shippedPlaybook(suites)
  const repository = sampleAt(kernels.old, playbook, busybox)
  const {PATH: _, HOME: __, ...identity} = gitEnv
  const env = {...identity, XDG_CACHE_HOME: cacheHome()}
  const rel = (...args: readonly string[]) =>
    runRel(args, {cwd: repository.root, env, patienceSecs: 250})
  const signed = ['--sign-off', 'engineer', '--public-key', 'engineer', '--json']
  const branch = `bump/kernel-${kernels.new}`
  /** The verified image of the old kernel. */
  let oldImage = ''

  const lockOf = (ref: string) =>
    parseLock(repository.git('show', `${ref}:rel.lock.json`)).get('kernel')

  async function refused(code: string, args: readonly string[]): Promise<Document> {
    const before = personalState(repository)
    const document = documentOf(await rel('bump', 'kernel', ...args))
    assert.is(document.error?.code, code, document.error?.message)
    assert.equal(personalState(repository), before)
    return document
  }

  /** Commits a change, uses it, and takes it back. */
  async function changed(path: string, text: string, use: () => Promise<unknown>): Promise<void> {
    const head = repository.git('rev-parse', 'HEAD')
    repository.write(path, text)
    repository.commit('test: a change that a bump must not pass with')
    try {
      await use()
    } finally {
      repository.git('reset', '--quiet', '--hard', head)
    }
  }

  test('a real kernel is not bumped without a sign-off, nor to another line', async () => {
    const made = await rel('keys', 'new', 'engineer', '--no-passphrase', '--json')
    assert.is(made.code, 0, made.stderr)
    await refused('gate_sign_off_missing', [`NEW=${kernels.new}`, '--json'])
    const {error} = await refused('kernel_line_mismatch', [`NEW=${kernels.otherLine}`, ...signed])
    assert.match(error?.message ?? '', /6\.12 arm64.*linux-image-arm64 of 6\.1 arm64/)
  })

  test('a real kernel: verified, built, booted, signed off, committed, and the way back', async () => {
    const before = personalState(repository)
    const ran = await rel('bump', 'kernel', `NEW=${kernels.new}`, ...signed)
    assert.is(ran.code, 0, ran.stdout + ran.stderr)
    const {result = {}} = documentOf(ran)
    assert.equal([result.old, result.new, result.level], [kernels.old, kernels.new, 'L3'])
    assert.equal(
      (result.gates as {gate: string; verdict: string}[]).map((it) => [it.gate, it.verdict]),
      [
        ['the kernel is the verified one', 'passed'],
        ['boot_smoke virt', 'passed'],
        ['sign_off', 'passed'],
      ],
    )
    const {git} = repository
    assert.is(git('ls-remote', 'origin', `refs/heads/${branch}`).split('\t')[0], result.commit)
    const pin = 'initramfs/.gitea/workflows/build.yaml'
    assert.is(git('diff', '--name-only', 'develop', branch), `${pin}\nrel.lock.json`)
    assert.is(git('diff', '--numstat', 'develop', branch, '--', pin), `1\t1\t${pin}`)
    assert.match(git('log', '-1', '--format=%B', branch), /^Rel-Sign-Off: [0-9a-f]{64} \S+$/m)
    assert.equal({...personalState(repository), branches: before.branches}, before)

    const console = serialLog(repository)
    assert.match(console, `Linux version ${kernels.new} `)
    assert.match(console, `release=${kernels.new} machine=aarch64 init=yes`)
    const lock = lockOf(branch)
    assert.equal(
      lock?.artifacts.map(({path}) => path.replace(/.*\//, '')),
      ['initrd.img', 'vmlinuz'],
    )
    const {packages = []} = (lock?.upstream ?? {}) as {packages?: {name: string}[]}
    assert.equal(
      packages.map(({name}) => name),
      [`linux-image-${kernels.new}`],
    )
  })

  test('the way back is a bump too: the old kernel boots, the new files are known by digest', async () => {
    repository.git('merge', '--quiet', '--ff-only', branch)
    repository.git('push', '--quiet', 'origin', 'develop')
    const audit = await rel('bump', 'audit', 'kernel', '--json')
    assert.is(audit.code, 0, audit.stdout)
    const ran = await rel('rollback', 'kernel', ...signed)
    assert.is(ran.code, 0, ran.stdout + ran.stderr)
    const {result = {}} = documentOf(ran)
    assert.equal([result.old, result.new], [kernels.new, kernels.old])
    assert.match(serialLog(repository), `release=${kernels.old} machine=aarch64 init=yes`)
    const evidence = readFileSync(join(evidenceFolder(repository), 'evidence.json'), 'utf8')
    const {rollback} = JSON.parse(evidence) as {rollback: Tried}
    assert.is(rollback.tried.verdict, 'passed')
    assert.equal(
      rollback.artifacts.map(({sha256}) => sha256).sort(),
      lockOf('develop')
        ?.artifacts.map(({sha256}) => sha256)
        .sort(),
    )
    const back = lockOf(`bump/kernel-${kernels.old}`)
    const image = back?.artifacts.find(({path}) => path.endsWith('vmlinuz'))
    oldImage = (await realWorld().cache.find(image?.sha256 ?? ''))?.path ?? ''
    repository.git('reset', '--quiet', '--hard', 'HEAD~1')
    repository.git('push', '--quiet', '--force', 'origin', 'develop')
    repository.git('branch', '-D', branch, `bump/kernel-${kernels.old}`)
  })

  const next = [`NEW=${kernels.new}`, '--no-push', ...signed]

  test('a real kernel that panics is not committed', async () => {
    const panics = '#!/bin/busybox sh\nexit 1\n'
    await changed('initramfs/shell', panics, () => refused('boot_panic', next))
  })

  test('another kernel than the verified one is not committed, by two gates', async () => {
    const other = build.replace('"$REL_ASSET_ARM64_VMLINUZ"', `'${oldImage}'`)
    await changed('initramfs/build.sh', other, async () => {
      await refused('run_failed', next)
      const bootOnly = playbook.replace(/ {2}- uses: command\n(?: {4}.*\n)+/, '')
      assert.is.not(bootOnly, playbook)
      await changed('playbooks/kernel.yaml', bootOnly, () => refused('boot_wrong_kernel', next))
    })
  })

  test('a kernel goes alone: an unpublished change of another pin stops it', async () => {
    const both = workflow(kernels.old).replace('20260301', '20260302')
    await changed('initramfs/.gitea/workflows/build.yaml', both, () => refused('second_pin', next))
  })
}

function evidenceFolder({root}: SampleRepository): string {
  return join(root, '.git/rel/bump/kernel/evidence')
}

/** What the machine wrote on its console in the last boot. */
function serialLog(repository: SampleRepository): string {
  const text = readFileSync(join(evidenceFolder(repository), 'evidence.json'), 'utf8')
  const {gates} = JSON.parse(text) as {gates: {gate: string; logs: {path: string}[]}[]}
  const [log] = gates.find(({gate}) => gate.startsWith('boot_smoke'))?.logs ?? []
  return readFileSync(join(evidenceFolder(repository), log?.path ?? ''), 'latin1')
}

const suites = realSuites()
const arm64 = debianArm64()
const isReady = [
  needs('qemu-system-aarch64', 'cpio', 'xz'),
  needsThat(
    'the signed archive of Debian bookworm',
    typeof suites !== 'string' && suites.length === 3,
    typeof suites === 'string' ? suites : 'apt has other suites',
  ),
  needsThat('busybox for arm64', typeof arm64 !== 'string', String(arm64)),
]
if (isReady.every(Boolean) && typeof suites !== 'string' && typeof arm64 !== 'string')
  suite(suites, await realKernels(suites), arm64.busybox)

test.run()
