import {accessSync, chmodSync, constants, readdirSync, statSync} from 'node:fs'
import {delimiter, isAbsolute, join, relative} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {runProcess} from '../system/processes.ts'
import {type Config, configDefault, loadConfig} from './config.ts'
import {type DoctorFacts, type GitFacts, isPrivate, tools} from './doctor.ts'
import {ignoring} from './init-plan.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Where `rel keys new` puts secret keys. */
const KEY_FOLDER = '.rel/keys'
const GIT = {timeoutSecs: 20, env: {GIT_OPTIONAL_LOCKS: '0'}} as const
/** A repository's own configuration may name a program as its file system monitor. */
const NO_MONITOR = ['-c', 'core.fsmonitor=false']

/** Looks at the machine and the folder; changes nothing, needs no project. */
export async function loadDoctorFacts(cwd: string, env: Environment): Promise<DoctorFacts> {
  const {config, error} = await loadedConfig(cwd, env)
  const found = new Set(tools.map(({tool}) => tool).filter((tool) => isOnPath(tool, env)))
  const git = isOnPath('git', env) ? await gitFacts(cwd) : ({state: 'no-git'} as const)
  return {
    node: process.versions.node,
    nodeSupported: isSupported(process.versions.node),
    git,
    clock: {now: Math.floor(Date.now() / 1000), past: await knownPast(cwd, git)},
    config: {files: config?.files.map(({path}) => path) ?? [], error},
    keys: keyFacts(cwd, config),
    trust: trustFacts(cwd, config),
    ignored: git.state === 'clean' || git.state === 'dirty' ? await isIgnored(cwd) : undefined,
    found,
  }
}

async function loadedConfig(
  cwd: string,
  env: Environment,
): Promise<{config?: Config; error: string | undefined}> {
  try {
    return {config: await loadConfig(cwd, env), error: undefined}
  } catch (error) {
    if (error instanceof RelError) return {error: error.message}
    throw error
  }
}

/** The versions of engines in package.json; bin/run.cjs refuses the others before it comes to this. */
function isSupported(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  if (major === 22) return minor > 22 || (minor === 22 && patch >= 2)
  if (major === 24) return minor >= 15
  return major >= 26
}

/** True when a program of this name can be started from PATH. */
export function isOnPath(tool: string, env: Environment): boolean {
  return (env.PATH ?? '').split(delimiter).some((folder) => {
    if (!isAbsolute(folder)) return false
    try {
      accessSync(join(folder, tool), constants.X_OK)
      return statSync(join(folder, tool)).isFile()
    } catch {
      return false
    }
  })
}

async function gitFacts(cwd: string): Promise<GitFacts> {
  const asked = await runProcess('git', ['--version'], {...GIT, cwd})
  const version = asked.stdout.toString('utf8').trim().split(' ')[2] ?? 'of unknown version'
  const status = await runProcess('git', [...NO_MONITOR, 'status', '--porcelain', '-z'], {
    ...GIT,
    cwd,
  })
  if (status.exitCode !== 0) return {state: 'outside', version}
  const changes = status.stdout.toString('utf8').split('\0').filter(Boolean).length
  return {state: changes === 0 ? 'clean' : 'dirty', version, changes}
}

/** A moment that is over for certain: rel was installed, and the last commit was made. */
async function knownPast(cwd: string, git: GitFacts): Promise<number> {
  const installed = Math.floor(statSync(process.argv[1] ?? process.execPath).mtimeMs / 1000)
  if (git.state !== 'clean' && git.state !== 'dirty') return installed
  const log = await runProcess('git', ['log', '-1', '--format=%ct'], {...GIT, cwd})
  const committed = Number(log.stdout.toString('utf8').trim())
  return Number.isSafeInteger(committed) ? Math.max(installed, committed) : installed
}

function keyFacts(cwd: string, config: Config | undefined): DoctorFacts['keys'] {
  const named = config === undefined ? undefined : configDefault(config, 'key')
  const folder = join(cwd, KEY_FOLDER)
  const kept = statIfThere(folder)?.isDirectory()
    ? readdirSync(folder).filter((name) => name.endsWith('.key'))
    : []
  const paths = [...(named === undefined ? [] : [named]), ...kept.map((name) => join(folder, name))]
  return [...new Set(paths)].flatMap((path) => {
    const stat = statIfThere(path)
    return stat === undefined ? [] : [{path: shown(cwd, path), mode: stat.mode & 0o777}]
  })
}

function trustFacts(cwd: string, config: Config | undefined): DoctorFacts['trust'] {
  const named = config === undefined ? undefined : configDefault(config, 'trust')
  if (named !== undefined) return {path: named, there: statIfThere(named) !== undefined}
  const here = join(cwd, 'trust.json')
  return statIfThere(here) === undefined
    ? {path: undefined, there: false}
    : {path: here, there: true}
}

function shown(cwd: string, path: string): string {
  const way = relative(cwd, path)
  return way.startsWith('..') ? path : way
}

async function isIgnored(cwd: string): Promise<boolean | undefined> {
  if (statIfThere(join(cwd, '.rel')) === undefined) return undefined
  const asked = await runProcess('git', ['check-ignore', '-q', '.rel/keys/x'], {...GIT, cwd})
  return asked.exitCode === 0
}

/** Does what is safe: permissions of keys, .rel/ in .gitignore. Returns what was done. */
export function applyFixes(cwd: string, facts: DoctorFacts): string[] {
  const done: string[] = []
  for (const {path, mode} of facts.keys) {
    if (isPrivate(mode)) continue
    chmodSync(isAbsolute(path) ? path : join(cwd, path), 0o600)
    done.push(`set ${path} to 0600`)
  }
  if (facts.ignored === false) {
    const path = join(cwd, '.gitignore')
    const text = statIfThere(path) === undefined ? undefined : readFileLimited(path, 1024 * 1024)
    const added = ignoring(text?.toString('utf8'))
    if (added !== undefined) writeFileAtomic(path, added)
    done.push('added .rel/ to .gitignore')
  }
  return done
}
