import {execFileSync} from 'node:child_process'
import {
  copyFileSync,
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
import {basename, dirname, join} from 'node:path'

/** A release of the firmware as Debian packages it: the bytes of upstream, under its version. */
export type RealFirmware = {
  /** Upstream's tag, such as 1.20240424. */
  readonly version: string
  /** start4*.elf and fixup4*.dat of all variants. */
  readonly files: readonly string[]
}

const cacheHome = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
const cache = join(cacheHome, 'rel-tests', 'firmware')
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
const HOUR_MS = 3_600_000

/**
 * Real releases of raspi-firmware, oldest first, from the suites of Debian that have different ones.
 * apt verifies lists and packages, in folders of its own. Returns why not, for a named skip.
 */
export function realFirmware(): readonly RealFirmware[] | string {
  try {
    updateLists()
    const versions = apt(['apt-cache', 'madison', 'raspi-firmware'])
      .split('\n')
      .flatMap((line) => line.split('|')[1]?.trim() ?? [])
    const releases = [...new Set(versions)].sort().map(unpacked)
    return releases.length >= 3 ? releases : `Debian has ${versions.join(', ')}, want 3 releases`
  } catch (error) {
    const {stderr} = error as {stderr?: string}
    return `no raspi-firmware through apt: ${stderr?.trim() || error}`
  }
}

function updateLists(): void {
  for (const name of ['lists/partial', 'archives/partial'])
    mkdirSync(join(cache, name), {recursive: true})
  writeFileSync(join(cache, 'status'), '')
  writeFileSync(join(cache, 'sources.list'), sources())
  const stamp = join(cache, 'updated')
  if (Date.now() - (statSync(stamp, {throwIfNoEntry: false})?.mtimeMs ?? 0) < HOUR_MS) return
  apt(['apt-get', 'update'])
  writeFileSync(stamp, '')
}

/** The mirror that apt on this machine asks, with the component that the firmware is in. */
function sources(): string {
  const configured = '/etc/apt/sources.list.d/debian.sources'
  const text = existsSync(configured) ? readFileSync(configured, 'utf8') : ''
  const [, url = 'http://deb.debian.org/debian'] = /^URIs: (\S+)/m.exec(text) ?? []
  return ['bookworm', 'trixie', 'sid']
    .map((suite) => `deb [signed-by=${keyring}] ${url} ${suite} non-free-firmware\n`)
    .join('')
}

function apt([program = '', ...words]: readonly string[], cwd = cache): string {
  const settings = {
    'APT::Architecture': 'arm64',
    'APT::Architectures': 'arm64',
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'Dir::Cache': cache,
    'Dir::Etc::sourcelist': join(cache, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': join(cache, 'lists'),
    'Dir::State::status': join(cache, 'status'),
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const command = ['--timeout', '300', join(cache, 'lock'), program, '-q', ...options, ...words]
  return execFileSync('flock', command, {cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})
}

function unpacked(packaged: string): RealFirmware {
  const folder = join(cache, packaged)
  if (!existsSync(folder)) unpack(packaged, folder)
  const files = globSync(join(folder, 'usr/lib/raspi-firmware/{start4,fixup4}*.{elf,dat}'))
  if (files.length !== 8) throw new Error(`raspi-firmware ${packaged} has ${files.length} files`)
  return {version: packaged.replace(/\+.*/, ''), files: files.sort()}
}

function unpack(packaged: string, folder: string): void {
  const scratch = mkdtempSync(join(cache, 'unpacking-'))
  try {
    apt(['apt-get', 'download', `raspi-firmware=${packaged}`], scratch)
    const [deb = ''] = globSync(join(scratch, '*.deb'))
    execFileSync('dpkg-deb', ['-x', deb, join(scratch, 'files')])
    if (!existsSync(folder)) renameSync(join(scratch, 'files'), folder)
  } finally {
    rmSync(scratch, {recursive: true, force: true})
  }
}

/** A bare git repository laid out as raspberrypi/firmware is, whose ids git itself computes. */
export type FirmwareRepository = {
  readonly bare: string
  /** Commits boot/ as it is given, and tags it; a tag that is there moves. */
  release(tag: string, files: FirmwareFiles, how?: {readonly annotated?: boolean}): string
  git(...args: readonly string[]): string
}

/** Bytes, or a file to copy them from, by path below the top. */
export type FirmwareFiles = Readonly<Record<string, Buffer | string>>

/** The GPU files are upstream's bytes; overlays are imitations, for Debian ships none. */
export function bootFiles({version, files}: RealFirmware): FirmwareFiles {
  const imitation = (name: string) =>
    Buffer.concat([
      Buffer.from('d00dfeed', 'hex'),
      Buffer.from(`imitation of ${name} ${version}\n`),
    ])
  return {
    ...Object.fromEntries(files.map((file) => [`boot/${basename(file)}`, file])),
    'boot/overlays/README': Buffer.from('overlays\n'),
    'boot/overlays/disable-bt.dtbo': imitation('disable-bt'),
    'boot/overlays/vc4-kms-v3d.dtbo': imitation('vc4-kms-v3d'),
    'extra/git_hash': Buffer.from('0123456789012345678901234567890123456789\n'),
  }
}

/** The repository in a folder, made when it is not there: a copy of one is one. */
export function firmwareRepository(folder: string): FirmwareRepository {
  const [work, bare] = [join(folder, 'firmware'), join(folder, 'firmware.git')]
  const env = {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'maker',
    GIT_AUTHOR_EMAIL: 'maker@example.com',
    GIT_COMMITTER_NAME: 'maker',
    GIT_COMMITTER_EMAIL: 'maker@example.com',
    GIT_COMMITTER_DATE: '1714000000 +0000',
    GIT_AUTHOR_DATE: '1714000000 +0000',
  }
  const run = (cwd: string, args: readonly string[]) =>
    execFileSync('git', [...args], {cwd, env, encoding: 'utf8', stdio: 'pipe'}).trim()
  if (!existsSync(bare)) {
    run(folder, ['init', '--quiet', '--bare', bare])
    run(folder, ['init', '--quiet', '--initial-branch=master', work])
    // compressing firmware again and again is most of the time of a test
    for (const key of ['core.compression', 'pack.window']) run(work, ['config', key, '0'])
    run(bare, ['config', 'core.compression', '0'])
  }
  return {
    bare,
    git: (...args) => run(bare, args),
    release: (tag, files, {annotated = false} = {}) => {
      rmSync(join(work, 'boot'), {recursive: true, force: true})
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(dirname(join(work, path)), {recursive: true})
        if (typeof content === 'string') copyFileSync(content, join(work, path))
        else writeFileSync(join(work, path), content)
      }
      run(work, ['add', '--all'])
      run(work, [
        'commit',
        '--quiet',
        '--allow-empty',
        '-m',
        `kernel: Bump and firmware for ${tag}`,
      ])
      run(work, ['tag', '--force', ...(annotated ? ['-a', '-m', tag] : []), tag])
      run(work, ['push', '--quiet', '--force', bare, 'master', `refs/tags/${tag}`])
      return run(work, ['rev-parse', 'HEAD'])
    },
  }
}
