import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {PLAYBOOK_FOLDER} from '../bump/load-playbooks.ts'
import {newPlaybook} from '../bump/new-playbook.ts'
import {currentVersion} from '../bump/plan.ts'
import {filesAt} from '../bump/repository.ts'
import {writeFileAtomic} from '../system/files.ts'
import {openGit} from '../system/git.ts'
import type {IntegrityLevel} from '../upstream/upstream.ts'
import type {Outcome} from './base-command.ts'
import {ask} from './prompt.ts'

export type NewFlagValues = {
  readonly title?: string | undefined
  readonly kind?: string | undefined
  readonly upstream?: readonly string[] | undefined
  readonly min?: IntegrityLevel | undefined
  readonly file?: string | undefined
  readonly pin?: string | undefined
  readonly base?: string | undefined
  readonly 'dry-run': boolean
  readonly input: boolean
}

/**
 * `rel bump new ITEM`: a playbook from flags and, at a terminal, from questions. What it writes was
 * parsed, and its pin found in the repository. Refuses as parsePlaybook and findPin do.
 */
export async function newItem(item: string, flags: NewFlagValues): Promise<Outcome> {
  const git = await openGit(process.cwd())
  const answer = (given: string | undefined, question: string, fallback: string, flag: string) =>
    given ?? ask(question, fallback, {allowed: flags.input, flag})
  const kind = await answer(flags.kind, 'Kind of upstream?', 'github_release', '--kind')
  const file = await answer(flags.file, 'File that holds the pin?', 'Makefile', '--file')
  const pin = await answer(flags.pin, 'Which place in it?', 'make_variable:NAME', '--pin')
  const branch = (await git.run(['symbolic-ref', '--short', 'HEAD'])).stdout.toString('utf8').trim()
  const {text, playbook} = newPlaybook({
    item,
    title: flags.title ?? item,
    kind,
    upstream: flags.upstream ?? [],
    min: flags.min ?? 'L1',
    file,
    pin,
    base: flags.base ?? (branch === '' ? 'main' : branch),
  })
  const current = currentVersion(playbook, await filesAt(git, 'HEAD', [file]))
  const path = `${PLAYBOOK_FOLDER}/${item}.yaml`
  const result = {item, path, current, text, dry_run: flags['dry-run']}
  const lines = [`${item} is at ${current} in ${file}`]
  if (flags['dry-run']) return {result, lines: [...lines, text.trimEnd(), 'Nothing was written.']}
  mkdirSync(join(git.root, PLAYBOOK_FOLDER), {recursive: true})
  writeFileAtomic(join(git.root, path), text, {exclusive: true})
  return {
    result,
    lines: [...lines, `✔ wrote ${path}`],
    undo: `rm ${path}`,
    next: `git add ${path} && git commit -m "chore(${item}): playbook", then rel bump plan ${item} NEW=VERSION`,
  }
}
