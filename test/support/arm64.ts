import {execFileSync, spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {homedir} from 'node:os'
import {join} from 'node:path'
import {type CpioEntry, cpioArchive} from '../../src/gates/cpio.ts'

/** Real arm64 files of Debian, as the mirror of this machine has them today. */
export type Arm64 = {
  readonly kernel: string
  /** `uname -r` of the kernel, from the name of its file. */
  readonly release: string
  /** Statically linked. */
  readonly busybox: string
  /** An EFI boot loader, systemd-bootaa64.efi. */
  readonly loader: string
  /** Device tree of a Raspberry Pi 3. */
  readonly dtb: string
  /** A module of the kernel, by name. */
  readonly module: (name: string) => Buffer
}

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'rel-tests')
const HOUR_MS = 3_600_000
const others = ['busybox-static', 'systemd-boot-efi']

/**
 * Downloads through apt, which verifies the signed lists and the digests of the packages, with
 * lists of its own: the apt of this machine is not changed. Packages stay in the user's cache under
 * their digest. Returns why not when that is impossible, for a named skip.
 */
export function debianArm64(): Arm64 | string {
  mkdirSync(join(cache, 'lists', 'partial'), {recursive: true})
  mkdirSync(join(cache, 'archives', 'partial'), {recursive: true})
  writeFileSync(join(cache, 'status'), '')
  try {
    updateLists()
    const [kernel, busybox, boot] = [kernelPackage(), ...others].map((name) => unpacked(name))
    return filesOf(kernel as string, busybox as string, boot as string)
  } catch (error) {
    const {stderr} = error as {stderr?: Buffer}
    return `no arm64 packages through apt: ${stderr?.toString().trim() || error}`
  }
}

/** The folders with the files of packages for arm64; why not when they cannot be had. */
export function arm64Packages(...names: readonly string[]): readonly string[] | string {
  const why = debianArm64()
  if (typeof why === 'string') return why
  // apt is slow to start: once for all of them
  const shown = apt('apt-cache', 'show', '--no-all-versions', ...names)
  const digests = new Map(
    shown.split('\n\n').map((entry) => [/^Package: (\S+)/m.exec(entry)?.[1], digestIn(entry)]),
  )
  return names.map((name) => unpacked(name, digests.get(name)))
}

function digestIn(entry: string): string | undefined {
  return /^SHA256: ([0-9a-f]{64})$/m.exec(entry)?.[1]
}

export type KeptArm64 = Pick<Arm64, 'kernel' | 'release' | 'busybox'>

/** What an earlier debianArm64 has left in the cache, without a network; why not when nothing. */
export function keptArm64(): KeptArm64 | string {
  const kernel = globSync(join(cache, '*/boot/vmlinuz-*')).sort().at(-1)
  const busybox = globSync(join(cache, '*/bin/busybox')).at(-1)
  if (kernel === undefined || busybox === undefined) return `no arm64 kernel in ${cache}`
  return {kernel, release: releaseOf(kernel), busybox}
}

/** Files of apt with the Packages of Debian's components for arm64; why not when there are none. */
export function arm64Indexes(): readonly string[] | string {
  const why = debianArm64()
  if (typeof why === 'string') return why
  return globSync(join(cache, 'lists/*_binary-arm64_Packages*'))
}

function releaseOf(kernel: string): string {
  return kernel.replace(/.*vmlinuz-/, '')
}

function filesOf(kernel: string, busybox: string, boot: string): Arm64 {
  const one = (pattern: string) => {
    const [path] = globSync(join(kernel, pattern))
    if (path === undefined) throw new Error(`the kernel package has no ${pattern}`)
    return path
  }
  const image = one('boot/vmlinuz-*')
  return {
    kernel: image,
    release: releaseOf(image),
    busybox: join(busybox, 'bin/busybox'),
    loader: join(boot, 'usr/lib/systemd/boot/efi/systemd-bootaa64.efi'),
    dtb: one('usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb'),
    module: (name) => readFileSync(one(`lib/modules/*/kernel/**/${name}.ko`)),
  }
}

function updateLists(): void {
  const stamp = join(cache, 'updated')
  const age = Date.now() - (statSync(stamp, {throwIfNoEntry: false})?.mtimeMs ?? 0)
  if (age < HOUR_MS) return
  apt('apt-get', 'update')
  writeFileSync(stamp, '')
}

/** The package with the kernel: the first one that the meta package depends on. */
function kernelPackage(): string {
  const [, name] =
    /^Depends: (linux-image-\S+)/m.exec(apt('apt-cache', 'show', 'linux-image-arm64')) ?? []
  if (name === undefined) throw new Error('linux-image-arm64 depends on no kernel')
  return name
}

/** The folder with the files of a package, unpacked once for each digest. */
function unpacked(
  name: string,
  digest = digestIn(apt('apt-cache', 'show', '--no-all-versions', name)),
): string {
  if (digest === undefined) throw new Error(`no digest of ${name}`)
  const folder = join(cache, digest)
  if (existsSync(folder)) return folder
  const scratch = mkdtempSync(join(cache, 'unpacking-'))
  try {
    apt('apt-get', 'download', name, {cwd: scratch})
    const [deb] = globSync(join(scratch, '*.deb'))
    if (deb === undefined || sha256(deb) !== digest)
      throw new Error(`${name} is not what the list says`)
    execFileSync('dpkg-deb', ['-x', deb, join(scratch, 'files')])
    if (!existsSync(folder)) renameSync(join(scratch, 'files'), folder)
  } finally {
    rmSync(scratch, {recursive: true, force: true})
  }
  return folder
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

/** Runs apt on private folders; one at a time, whoever else runs tests. */
function apt(program: string, ...words: (string | {cwd: string})[]): string {
  const args = words.filter((word) => typeof word === 'string')
  const cwd = words.find((word) => typeof word === 'object')?.cwd ?? cache
  const settings = {
    'APT::Architecture': 'arm64',
    'APT::Architectures': 'arm64',
    'Dir::State::lists': join(cache, 'lists'),
    'Dir::State::status': join(cache, 'status'),
    'Dir::Cache': cache,
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'APT::Sandbox::User': '',
    ...debianSources(),
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const command = ['--timeout', '300', join(cache, 'lock'), program, '-q', ...options, ...args]
  return execFileSync('flock', command, {cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})
}

/** Sources of others have no arm64 packages, and may be slow. */
function debianSources(): Record<string, string> {
  const file = '/etc/apt/sources.list.d/debian.sources'
  if (!existsSync(file)) return {}
  return {'Dir::Etc::sourcelist': file, 'Dir::Etc::sourceparts': '/dev/null'}
}

/** What a guest with devices has beside busybox: empty folders, the first devices and drivers. */
export function guestEntries(
  arm64: Pick<Arm64, 'module'>,
  folders: readonly string[],
  drivers: readonly string[],
): readonly CpioEntry[] {
  return [
    ...folders.map((path) => ({type: 'directory', path, mode: 0o755}) as const),
    {type: 'character', path: 'dev/console', mode: 0o600, major: 5, minor: 1},
    {type: 'character', path: 'dev/null', mode: 0o666, major: 1, minor: 3},
    ...drivers.map(
      (driver): CpioEntry => ({
        type: 'file',
        path: `lib/${driver}.ko`,
        mode: 0o644,
        content: arm64.module(driver),
      }),
    ),
  ]
}

/** An initrd with busybox as its shell, and with this /init; gzipped as real ones are. */
export function busyboxInitrd(
  arm64: Pick<Arm64, 'busybox'>,
  init: string,
  extras: readonly CpioEntry[] = [],
): Buffer {
  const busybox = readFileSync(arm64.busybox)
  const archive = cpioArchive([
    {type: 'directory', path: 'bin', mode: 0o755},
    {type: 'file', path: 'bin/busybox', mode: 0o755, content: busybox},
    {type: 'file', path: 'bin/sh', mode: 0o755, content: busybox},
    {type: 'file', path: 'init', mode: 0o755, content: Buffer.from(init)},
    ...extras,
  ])
  return spawnSync('gzip', ['-1'], {input: archive, maxBuffer: 64 << 20}).stdout
}
