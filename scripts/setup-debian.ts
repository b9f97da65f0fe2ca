import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

/** What the set-up came to; `absent` packages lead to skips that test/run.ts names. */
export type Setup =
  | {readonly state: 'complete'}
  | {readonly state: 'installed'; readonly packages: readonly string[]}
  | {readonly state: 'incomplete'; readonly absent: readonly string[]; readonly reason: string}

/** One package a line, `# why` after it. */
export const TEST_PACKAGES = join(import.meta.dirname, 'debian-packages.txt')

const INSTALL_ATTEMPTS = 3

/** Installs what a list names and this machine lacks, where it may: Debian's apt with root or sudo. */
export function setUpDebian(listFile: string): Setup {
  if (!existsSync('/usr/bin/dpkg-query')) {
    const absent = packagesOf(readFileSync(listFile, 'utf8'))
    return {state: 'incomplete', absent, reason: 'this is not a Debian system'}
  }
  const absent = absentPackages(listFile)
  if (absent.length === 0) return {state: 'complete'}
  const prefix = rootPrefix()
  if (prefix === undefined) {
    return {state: 'incomplete', absent, reason: 'neither root nor sudo without a password'}
  }
  const reason = install(absent, prefix)
  const still = absentPackages(listFile)
  if (still.length === 0) return {state: 'installed', packages: absent}
  return {state: 'incomplete', absent: still, reason}
}

/** One line for a person. */
export function setupLine(setup: Setup): string {
  switch (setup.state) {
    case 'complete':
      return '✔ every Debian package the tests use is installed'
    case 'installed':
      return `✔ installed ${setup.packages.join(', ')}`
    case 'incomplete':
      return `! not installed: ${setup.absent.join(', ')} (${setup.reason}); their tests are skipped by name`
  }
}

/** The package names of a list: the first word of each line that has one. */
export function packagesOf(list: string): string[] {
  return list
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((name) => name !== '')
}

function absentPackages(listFile: string): string[] {
  const names = packagesOf(readFileSync(listFile, 'utf8'))
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholders are dpkg-query's
  const format = '${Package} ${db:Status-Status}\n'
  const {stdout} = spawnSync('dpkg-query', ['-W', '-f', format, ...names], {encoding: 'utf8'})
  const installed = new Set(stdout.split('\n').filter((line) => line.endsWith(' installed')))
  return names.filter((name) => !installed.has(`${name} installed`))
}

/** The words before a command that make it run as root; undefined when nothing does. */
function rootPrefix(): readonly string[] | undefined {
  if (process.geteuid?.() === 0) return []
  return spawnSync('sudo', ['-n', 'true']).status === 0 ? ['sudo', '-n'] : undefined
}

/** Why it failed, empty when it did not. A mirror may be busy or behind: it is asked again. */
function install(packages: readonly string[], prefix: readonly string[]): string {
  const lock = ['-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=3']
  let reason = ''
  for (let attempt = 1; attempt <= INSTALL_ATTEMPTS; attempt++) {
    apt([...lock, 'update', '-qq'], prefix)
    const words = ['install', '-y', '-qq', '--no-install-recommends', ...packages]
    reason = apt([...lock, ...words], prefix)
    if (reason === '') return ''
  }
  return reason
}

function apt(words: readonly string[], prefix: readonly string[]): string {
  const command = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...words]
  const [file = '', ...args] = command
  const {status, stderr, error} = spawnSync(file, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 600_000,
  })
  if (status === 0) return ''
  return error?.message ?? stderr.trim().split('\n').at(-1) ?? `apt-get ended with ${status}`
}

if (process.argv[1] === import.meta.filename) {
  const setup = setUpDebian(process.argv[2] ?? TEST_PACKAGES)
  process.stdout.write(`${setupLine(setup)}\n`)
  if (setup.state === 'incomplete') process.exitCode = 1
}
