import {execFileSync, spawnSync} from 'node:child_process'
import {cpSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {temporaryFolder} from '../tmp.ts'

/** A repository of its own with a bare one as `origin`, on the branch develop. */
export type SampleRepository = {
  readonly root: string
  readonly remote: string
  /** Runs git there; throws when it fails. */
  git(...args: readonly string[]): string
  write(path: string, content: string): void
  read(path: string): string
  /** Adds and commits everything. */
  commit(subject: string): void
}

/** git as in a fresh account: no configuration of the person who runs the tests. */
export const gitEnv = {
  PATH: process.env.PATH ?? '/usr/bin:/bin',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'Test',
  GIT_AUTHOR_EMAIL: 'test@example.com',
  GIT_COMMITTER_NAME: 'Test',
  GIT_COMMITTER_EMAIL: 'test@example.com',
}

function run(cwd: string, args: readonly string[]): string {
  return execFileSync('git', [...args], {
    cwd,
    env: gitEnv,
    encoding: 'utf8',
    stdio: 'pipe',
  }).trimEnd()
}

/** A repository with these files committed and pushed: `work` and `remote.git` in a folder. */
export function sampleRepository(
  files: Readonly<Record<string, string>>,
  folder: string = temporaryFolder(),
): SampleRepository {
  const root = join(folder, 'work')
  const template = templateOf(files)
  for (const part of ['work', 'remote.git'])
    cpSync(join(template, part), join(folder, part), {recursive: true})
  run(root, ['remote', 'set-url', 'origin', join(folder, 'remote.git')])
  run(root, ['update-index', '-q', '--refresh']) // a copy has other inode numbers
  return repositoryAt(root)
}

/** Folders of finished samples by their files: a copy costs a fraction of the git calls. */
const templates = new Map<string, string>()

function templateOf(files: Readonly<Record<string, string>>): string {
  const key = JSON.stringify(files)
  const known = templates.get(key)
  if (known !== undefined) return known
  const folder = temporaryFolder()
  const [root, remote] = [join(folder, 'work'), join(folder, 'remote.git')]
  run(folder, ['init', '--quiet', '--template=', '--bare', remote])
  mkdirSync(join(remote, 'hooks'))
  run(folder, ['init', '--quiet', '--template=', '--initial-branch=develop', root])
  const repository = repositoryAt(root)
  for (const [path, content] of Object.entries(files)) repository.write(path, content)
  repository.commit('feat: begin')
  run(root, ['remote', 'add', 'origin', remote])
  run(root, ['push', '--quiet', '--set-upstream', 'origin', 'develop'])
  templates.set(key, folder)
  return folder
}

/** A sample repository that is there already. */
export function repositoryAt(root: string): SampleRepository {
  const remote = join(root, '../remote.git')
  const repository: SampleRepository = {
    root,
    remote,
    git: (...args) => run(root, args),
    write: (path, content) => {
      mkdirSync(dirname(join(root, path)), {recursive: true})
      writeFileSync(join(root, path), content)
    },
    read: (path) => readFileSync(join(root, path), 'utf8'),
    commit: (subject) => {
      run(root, ['add', '--all'])
      run(root, ['commit', '--quiet', '--message', subject])
    },
  }
  return repository
}

/** What must not change for the person: HEAD, the index byte by byte, every file, the branches. */
export function personalState({root, git}: SampleRepository): Record<string, string> {
  const files = git('ls-files', '-z', '--cached', '--others', '--ignored', '--exclude-standard')
  const all = new Set([...files.split('\0'), ...git('ls-files', '-z').split('\0')])
  const contents = [...all]
    .filter((path) => path !== '')
    .sort()
    .map((path) => [path, readFileSync(join(root, path)).toString('base64')])
  return {
    head: readFileSync(join(root, '.git/HEAD'), 'utf8'),
    commit: git('rev-parse', 'HEAD'),
    index: readFileSync(join(root, '.git/index')).toString('base64'),
    status: spawnSync('git', ['status', '--porcelain'], {
      cwd: root,
      env: {...gitEnv, GIT_OPTIONAL_LOCKS: '0'},
      encoding: 'utf8',
    }).stdout,
    branches: git('for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/tags'),
    worktrees: git('worktree', 'list', '--porcelain'),
    files: JSON.stringify(contents),
  }
}
