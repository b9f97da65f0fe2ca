import {existsSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {PLAYBOOK_FOLDER} from '../bump/load-playbooks.ts'
import {
  newPlaybook,
  playbookSchemaText,
  releaseKeys,
  SCHEMA_FILE,
  upstreamKinds,
} from '../bump/new-playbook.ts'
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
  const kinds = `Kind of upstream (${upstreamKinds.join(', ')})?`
  const kind = await answer(flags.kind, kinds, 'github_release', '--kind')
  const upstream = flags.upstream ?? (await askUpstream(item, kind, flags))
  const file = await answer(flags.file, 'File that holds the pin?', 'Makefile', '--file')
  const variable = `make_variable:${item.toUpperCase().replaceAll('-', '_')}_VERSION`
  const place = /\.ya?ml$/.test(file) ? 'yaml_path:build.version' : variable
  const pin = await answer(flags.pin, `Place of the pin in it (${pinKinds})?`, place, '--pin')
  const branch = (await git.run(['symbolic-ref', '--short', 'HEAD'])).stdout.toString('utf8').trim()
  const {text, playbook} = newPlaybook({
    item,
    title: flags.title ?? item,
    kind,
    upstream,
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
  const paths = [path, ...writeSchema(git.root)]
  return {
    result,
    lines: [...lines, ...paths.map((it) => `✔ wrote ${it}`)],
    undo: `rm ${paths.join(' ')}`,
    next: `git add ${paths.join(' ')} && git commit -m "chore(${item}): playbook", then rel bump plan ${item} NEW=VERSION`,
  }
}

/** Editors look for it beside the playbook; one that is there is left alone. */
function writeSchema(root: string): readonly string[] {
  const path = `${PLAYBOOK_FOLDER}/${SCHEMA_FILE}`
  if (existsSync(join(root, path))) return []
  writeFileAtomic(join(root, path), playbookSchemaText())
  return [path]
}

/** As --pin takes them. */
const pinKinds =
  'make_variable:NAME, yaml_path:KEY.KEY, yaml_expression_default:PATH EXPRESSION, regex:PATTERN'

/** An answer that says that there is none; an empty one is the default. */
const NONE = '-'

/** The keys of a release on GitHub. Other kinds have lists of suites and keys that no question asks. */
async function askUpstream(
  item: string,
  kind: string,
  {input: allowed}: NewFlagValues,
): Promise<readonly string[]> {
  if (kind !== 'github_release' && kind !== 'k3s') return []
  const about = (question: string, fallback: string) =>
    ask(question, fallback, {allowed, flag: '--upstream'})
  const repository = await about('Repository on GitHub (owner/name)?', `${item}/${item}`)
  const file = await about(
    'File of the release to vendor ({version} stands for the version)?',
    `${item}_{version}_linux_amd64.tar.gz`,
  )
  const arch = await about('Its architecture?', 'amd64')
  const isArchive = /\.(tar\.gz|tgz|tar\.zst|tar)$/.test(file)
  const member = await about(`Program inside of it (${NONE} for none)?`, isArchive ? item : NONE)
  const checksums = await about(
    `Checksum file of the release (${NONE} for none)?`,
    `${item}_{version}_checksums.txt`,
  )
  const given = (text: string) => (text === NONE ? '' : text)
  return releaseKeys({repository, file, arch, member: given(member), checksums: given(checksums)})
}
