import {execFileSync} from 'node:child_process'
import {globSync, readFileSync, writeFileSync} from 'node:fs'
import {basename, join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseLock} from '../../src/bump/lock-file.ts'
import {type Arm64, debianArm64} from '../support/arm64.ts'
import {checkout} from '../support/built.ts'
import {gitEnv, personalState, sampleRepository} from '../support/bump/repository.ts'
import {startFakeGitHub} from '../support/github/fake-github.ts'
import {needs, needsThat} from '../support/needs.ts'
import {
  bootFiles,
  type FirmwareFiles,
  firmwareRepository,
  type RealFirmware,
  realFirmware,
} from '../support/raspi-firmware.ts'
import {type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// playbooks/rpi4-firmware.yaml as it is shipped: real firmware of Debian's signed packages in a real
// git repository behind an imitation of GitHub, and a real kernel that boots.

const PIN = 'templates/example-modules/rpi4-firmware/manifest.yaml'
const manifest = (ref: string) => `name: rpi4-firmware
build:
  firmware_ref: "${ref}" # a tag of raspberrypi/firmware
  kind: blobs
`

/** A small but real build: it takes the verified firmware, and fetches none. */
const build = ({kernel, busybox}: Arm64) => `#!/bin/sh
set -eu
rm -rf build && mkdir -p build/arm64/disk-image-rpi4 build/arm64/kernel-initrd build/root/bin
cp -r "$FIRMWARE_DIR" build/arm64/disk-image-rpi4/boot
cp '${kernel}' build/arm64/kernel-initrd/vmlinuz
cp '${busybox}' build/root/bin/busybox
cp shell build/root/bin/sh && cp init build/root/init
chmod 755 build/root/init build/root/bin/*
find build -exec touch -h -d @0 {} +
(cd build/root && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0) |
  gzip -n >build/arm64/kernel-initrd/initrd.img
# stands for the disk image: everything that goes into it, in one file
tar -C build/arm64 --sort=name --mtime=@0 --owner=0 --group=0 --mode=a=r \\
  -cf build/image.tar disk-image-rpi4/boot kernel-initrd
mv build/image.tar build/arm64/disk-image-rpi4/powernode-rpi4.img
`
const shell = '#!/bin/busybox sh\nexec /bin/busybox sh "$@"\n'
const init = '#!/bin/sh\nwhile :; do sleep 9; done\n'

/** The GPU's files are upstream's; the device tree is Debian's; licence and overlays are imitations. */
function filesOf(release: RealFirmware, {kernel}: Arm64): FirmwareFiles {
  const [dtb = ''] = globSync(
    join(kernel, '../../usr/lib/linux-image-*/broadcom/bcm2711-rpi-4-b.dtb'),
  )
  return {
    ...bootFiles(release),
    'boot/bcm2711-rpi-4-b.dtb': dtb,
    'boot/LICENCE.broadcom': Buffer.from('imitation of a licence\n'),
  }
}

type Document = {
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: {readonly code: string; readonly message: string}
}
const documentOf = ({stdout}: Ran) => JSON.parse(stdout) as Document

async function suite(releases: readonly RealFirmware[], arm64: Arm64): Promise<void> {
  const [old, next, later] = releases as [RealFirmware, RealFirmware, RealFirmware]
  const upstream = firmwareRepository(temporaryFolder())
  for (const release of [old, next]) upstream.release(release.version, filesOf(release, arm64))
  const github = await startFakeGitHub({
    repositories: [{name: 'raspberrypi/firmware', objectsFolder: upstream.bare}],
  })
  const shipped = readFileSync(join(checkout, 'playbooks/rpi4-firmware.yaml'), 'utf8')
  const playbook = shipped.replace(
    '  repository: raspberrypi/firmware\n',
    (line) => `${line}  api_url: ${github.url}\n  raw_url: ${github.webUrl}/raw\n`,
  )
  const repository = sampleRepository(
    {
      '.gitignore': 'initramfs/build/\nrel.keys/\n*.json\n!rel.lock.json\n',
      [PIN]: manifest(old.version),
      'initramfs/build.sh': build(arm64),
      'initramfs/shell': shell,
      'initramfs/init': init,
      'playbooks/rpi4-firmware.yaml': playbook,
    },
    join(temporaryFolder(), '.'),
  )
  execFileSync('chmod', ['755', join(repository.root, 'initramfs/build.sh')])
  repository.commit('feat: the build may run')
  repository.git('push', '--quiet', 'origin', 'develop')
  const {PATH: _, HOME: __, ...identity} = gitEnv
  const env = {...identity, XDG_CACHE_HOME: temporaryFolder(), GITHUB_API_URL: github.url}
  const rel = (...args: readonly string[]) =>
    runRel(args, {cwd: repository.root, env, patienceSecs: 300})
  const signed = ['--sign-off', 'engineer', '--public-key', 'engineer', '--json']
  const branch = `bump/rpi4-firmware-${next.version}`
  const lockOf = (ref: string) =>
    parseLock(repository.git('show', `${ref}:rel.lock.json`)).get('rpi4-firmware')
  const bump = (...words: readonly string[]) => rel('bump', 'rpi4-firmware', ...words)
  const move = [`NEW=${next.version}`, '--no-push', ...signed]

  async function refused(code: string, ...words: readonly string[]): Promise<Document> {
    const before = personalState(repository)
    const document = documentOf(await bump(...words))
    assert.is(document.error?.code, code, document.error?.message)
    assert.equal(personalState(repository), before)
    return document
  }

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

  /** What somebody signs who ran a release on a board; the path of the file. */
  async function evidence(release: RealFirmware, key = 'engineer'): Promise<string> {
    const out = join(repository.root, `evidence-${release.version}-${key}.json`)
    const log = join(temporaryFolder(), 'serial.log')
    writeFileSync(log, 'imitation of what a board prints\n')
    const files = ['start4.elf', 'fixup4.dat'].flatMap((name) => [
      '--file',
      release.files.find((file) => basename(file) === name) ?? '',
    ])
    const words = [...files, '--board', 'Raspberry Pi 4 Model B Rev 1.5', '--log', log]
    const ran = await rel(
      ...['smoke', 'hardware', 'rpi4-firmware', release.version, ...words],
      ...['--key', key, '--out', out, '--json'],
    )
    assert.is(ran.code, 0, ran.stdout + ran.stderr)
    return out
  }

  const elfOf = ({files}: RealFirmware) => files.find((it) => basename(it) === 'start4.elf') ?? ''
  const existing = ({version}: RealFirmware) =>
    join(repository.root, `evidence-${version}-engineer.json`)

  /** Folder with what the last bump left: logs of its gates, its evidence. */
  const evidenceFolder = join(repository.root, '.git/rel/bump/rpi4-firmware/evidence')

  test('the pinned firmware is verified, built and booted, and locked with a waiver', async () => {
    for (const name of ['engineer', 'mallory']) {
      const made = await rel('keys', 'new', name, '--no-passphrase', '--json')
      assert.is(made.code, 0, made.stderr)
    }
    const reason = 'nobody wrote down which board ran it'
    const ran = await bump('--lock', '--waive', `hardware_evidence=${reason}`, ...signed)
    assert.is(ran.code, 0, ran.stdout + ran.stderr)
    repository.git('merge', '--quiet', '--ff-only', `bump/rpi4-firmware-${old.version}`)
    repository.git('push', '--quiet', 'origin', 'develop')
    const entry = lockOf('develop')
    assert.equal([entry?.version, entry?.level, entry?.waivers?.length], [old.version, 'L1', 1])
    const text = readFileSync(join(evidenceFolder, 'pull-request.md'), 'utf8')
    assert.match(text, /^- Waived: `hardware_evidence` by `engineer` until /m)
    assert.match(text, 'was not executed')
  })

  test('without evidence, with forged evidence or that of another version nothing is bumped', async () => {
    await refused('gate_sign_off_missing', `NEW=${next.version}`, '--json')
    await refused('gate_needs_evidence', ...move)
    await refused('key_unknown', ...move, '--hardware-evidence', await evidence(next, 'mallory'))
    await refused('evidence_mismatch', ...move, '--hardware-evidence', await evidence(old))
  })

  test('firmware is bumped: verified, built, booted, vouched for on hardware, and taken back once', async () => {
    const file = await evidence(next)
    const before = personalState(repository)
    const ran = await bump(`NEW=${next.version}`, ...signed, '--hardware-evidence', file)
    assert.is(ran.code, 0, ran.stdout + ran.stderr)
    const {result = {}} = documentOf(ran)
    assert.equal([result.old, result.new, result.level], [old.version, next.version, 'L1'])
    const gates = result.gates as {gate: string; verdict: string; summary: string}[]
    assert.equal(
      gates.map(({gate, verdict}) => [gate, verdict]),
      [
        ['verified_files', 'passed'],
        ['boot_smoke virt', 'passed'],
        ['hardware_evidence', 'passed'],
        ['sign_off', 'passed'],
      ],
    )
    assert.match(gates[2]?.summary ?? '', /^engineer ran it on Raspberry Pi 4 Model B Rev 1\.5 on /)
    const {git} = repository
    assert.is(git('diff', '--name-only', 'develop', branch), `rel.lock.json\n${PIN}`)
    assert.is(git('diff', '--numstat', 'develop', branch, '--', PIN), `1\t1\t${PIN}`)
    assert.equal({...personalState(repository), branches: before.branches}, before)
    const [console = ''] = globSync(join(evidenceFolder, '*boot*.log'))
    assert.match(readFileSync(console, 'latin1'), `release=${arm64.release} machine=aarch64`)
    const text = readFileSync(join(evidenceFolder, 'pull-request.md'), 'utf8')
    for (const said of ['VC\\_BUILD\\_ID', 'pair of one commit', 'was not executed'])
      assert.ok(text.includes(said) || text.includes(said.replaceAll('\\', '')), said)
    const entry = lockOf(branch)
    assert.is(entry?.waivers, undefined)
    assert.is.not(entry?.hardwareEvidence, undefined)
  })

  test('a build with other firmware, and one that does not boot, are not committed', async () => {
    const file = ['--hardware-evidence', existing(next)]
    const swapped = build(arm64).replace(
      'cp -r "$FIRMWARE_DIR" build/arm64/disk-image-rpi4/boot\n',
      (line) => `${line}cp -f '${elfOf(old)}' build/arm64/disk-image-rpi4/boot/start4.elf\n`,
    )
    const run =
      (text: string, path = 'initramfs/build.sh') =>
      (code: string) =>
        changed(path, text, () => refused(code, ...move, ...file))
    await run(swapped)('build_file_differs')
    const more = swapped.replace('boot/start4.elf', 'boot/start.elf')
    await run(more)('build_file_unexpected')
    await run('#!/bin/busybox sh\nexit 1\n', 'initramfs/shell')('boot_panic')
  })

  test('a new tag on an old commit is refused before anything is built', async () => {
    upstream.git('tag', later.version, `${old.version}^{commit}`)
    await refused('firmware_build_unchanged', `NEW=${later.version}`, '--no-push', ...signed)
    repository.git('merge', '--quiet', '--ff-only', branch)
    await refused('firmware_build_older', `NEW=${later.version}`, '--no-push', ...signed)
  })

  test('audits ask who vouched for it, and find a tag that moved', async () => {
    const trusted = ['bump', 'audit', 'rpi4-firmware', '--json', '--public-key']
    const good = await rel(...trusted, 'engineer')
    assert.is(good.code, 0, good.stdout + good.stderr)
    assert.is(documentOf(await rel(...trusted, 'mallory')).error?.code, 'pin_drift')
    const nobody = await rel('bump', 'audit', 'rpi4-firmware', '--json')
    assert.is(documentOf(nobody).error?.code, 'input_required')
    upstream.git('tag', '--force', next.version, `${old.version}^{commit}`)
    const moved = documentOf(await rel(...trusted, 'engineer'))
    assert.is(moved.error?.code, 'pin_drift')
    const vendored = await rel('bump', 'vendor', 'rpi4-firmware', '--json')
    assert.is(documentOf(vendored).error?.code, 'tag_moved')
  })

  test('the way back is a bump to the build before, with evidence of its own', async () => {
    const words = ['--no-push', ...signed, '--hardware-evidence', existing(old)]
    upstream.git('tag', '--force', next.version, lockCommit())
    const ran = await rel('rollback', 'rpi4-firmware', ...words)
    assert.is(ran.code, 0, ran.stdout + ran.stderr)
    const {result = {}} = documentOf(ran)
    assert.equal([result.old, result.new], [next.version, old.version])
    await github.close()
  })
  const lockCommit = () => String(lockOf('develop')?.upstream.commit)
}

const releases = realFirmware()
const arm64 = debianArm64()
const isReady = [
  needs('qemu-system-aarch64', 'cpio', 'git', 'dpkg-deb'),
  needsThat('real firmware of Debian', typeof releases !== 'string', String(releases)),
  needsThat('kernel and busybox for arm64', typeof arm64 !== 'string', String(arm64)),
]
if (isReady.every(Boolean) && typeof releases !== 'string' && typeof arm64 !== 'string')
  await suite(releases, arm64)

test.run()
