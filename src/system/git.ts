import {join} from 'node:path'
import type {ErrorCode} from './codes.ts'
import {RelError} from './error.ts'
import {runProcess} from './processes.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** One work tree of a repository, and git itself run in it. */
export type Git = {
  /** Top of the work tree, absolute. */
  readonly root: string
  /** The .git that all work trees share, absolute. */
  readonly commonDir: string
  /** However it ended; hooks and fsmonitor are off, nothing asks at the terminal, objects are real. */
  run(args: readonly string[], options?: GitOptions): Promise<GitResult>
  /** Standard output without its last line end. Refuses with `code`, git_failed when not given. */
  text(args: readonly string[], options?: GitOptions & {code?: ErrorCode}): Promise<string>
  /** The same repository, seen from another folder. */
  at(folder: string): Git
}

export type GitOptions = {
  readonly input?: Uint8Array
  /** On top of git's own few variables, such as GIT_INDEX_FILE. */
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutSecs?: number
}

export type GitResult = {
  readonly exitCode: number
  readonly stdout: Buffer
  readonly stderr: string
}

/** What git and its transports take from the person who runs rel; everything else stays out. */
const inherited = [
  ...['SSH_AUTH_SOCK', 'GIT_SSH_COMMAND', 'GIT_SSH', 'XDG_CONFIG_HOME', 'GNUPGHOME', 'GPG_TTY'],
  ...['GIT_AUTHOR_NAME', 'GIT_AUTHOR_EMAIL', 'GIT_COMMITTER_NAME', 'GIT_COMMITTER_EMAIL'],
  ...['GIT_CONFIG_GLOBAL', 'GIT_CONFIG_NOSYSTEM', 'GIT_CONFIG_COUNT', 'TMPDIR'],
  ...['http_proxy', 'https_proxy', 'HTTPS_PROXY', 'no_proxy', 'NO_PROXY', 'SSL_CERT_FILE'],
] as const

/** No program that the configuration of a repository names is run because rel looks at it. */
const settings = [
  ...['-c', 'core.hooksPath=/dev/null'],
  ...['-c', 'core.fsmonitor=false'],
  ...['-c', 'gc.auto=0'],
] as const

/** Files that people pin in are small; diffs of lock files are as well. */
const MAX_OUTPUT = 16 * 1024 * 1024

/**
 * The repository that a folder belongs to. Refuses with git_no_repository, and with tool_missing
 * where there is no git.
 */
export async function openGit(folder: string, env: Environment = process.env): Promise<Git> {
  const probe = gitAt(folder, '', env)
  const {exitCode, stdout} = await probe.run(['rev-parse', '--show-toplevel', '--git-common-dir'])
  const [root = '', common = ''] = stdout.toString('utf8').split('\n')
  if (exitCode !== 0 || root === '')
    throw new RelError('git_no_repository', `${folder} is in no work tree of git`)
  return gitAt(root, common.startsWith('/') ? common : join(folder, common), env)
}

function gitAt(root: string, commonDir: string, env: Environment): Git {
  const run = (args: readonly string[], {input, env: more, timeoutSecs = 120}: GitOptions = {}) =>
    runProcess('git', [...settings, ...args], {
      cwd: root,
      timeoutSecs,
      maxOutput: MAX_OUTPUT,
      env: {...environment(env), ...more},
      ...(input === undefined ? {} : {input}),
    })
  return {
    root,
    commonDir,
    run,
    at: (folder) => gitAt(folder, commonDir, env),
    text: async (args, {code = 'git_failed', ...options} = {}) => {
      const {exitCode, stdout, stderr} = await run(args, options)
      if (exitCode === 0) return stdout.toString('utf8').replace(/\n$/, '')
      throw gitFailure(code, args[0] ?? '', stderr)
    },
  }
}

/** The last line that git said, as a refusal; a full disk keeps its own code. */
export function gitFailure(code: ErrorCode, verb: string, stderr: string): RelError {
  const [said = 'no word'] = stderr.trim().split('\n').slice(-1)
  const isFull = /No space left on device|Disk quota exceeded/.test(stderr)
  return new RelError(isFull ? 'disk_full' : code, `git ${verb}: ${withoutSecrets(said)}`)
}

/** A remote may be a URL with a password, which may have any character in it. */
function withoutSecrets(text: string): string {
  return text.replaceAll(/\/\/[^\s'"]*@/g, '//…@').slice(0, 300)
}

function environment(env: Environment): Record<string, string> {
  const taken = Object.entries(env).filter(
    ([name]) =>
      (inherited as readonly string[]).includes(name) || /^GIT_CONFIG_(KEY|VALUE)_\d+$/.test(name),
  ) as [string, string][]
  return {
    ...Object.fromEntries(taken),
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_EDITOR: 'true',
    // refs/replace would have other bytes read than the commit has
    GIT_NO_REPLACE_OBJECTS: '1',
    // a path of a playbook is a path, never a pattern
    GIT_LITERAL_PATHSPECS: '1',
  }
}
