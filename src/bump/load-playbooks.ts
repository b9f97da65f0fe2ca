import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import type {Git} from '../system/git.ts'
import {nearest} from '../system/nearest.ts'
import type {Playbook} from './playbook.ts'
import {parsePlaybook} from './playbook-parse.ts'

/** Where a repository keeps its playbooks, from its top. */
export const PLAYBOOK_FOLDER = 'playbooks'
/** A page or two of YAML. */
const MAX_PLAYBOOK_BYTES = 256 * 1024

/**
 * Every playbook of a repository, by name. Refuses with playbook_invalid, also when a file is not
 * named after its item: two files could move the same pin otherwise. A link, and a file that git
 * ignores, are refused: nobody sees in a commit what they say.
 */
export async function loadPlaybooks(git: Git): Promise<readonly Playbook[]> {
  const folder = join(git.root, PLAYBOOK_FOLDER)
  const stat = statIfThere(folder)
  if (stat === undefined) return []
  if (!stat.isDirectory())
    throw new RelError('playbook_invalid', `${PLAYBOOK_FOLDER} is not a folder, or a link to one`)
  const names = readdirSync(folder)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
  await checkNotIgnored(git, names)
  return names.map((name) => loadPlaybook(folder, name))
}

/** Of what git does not track; what it tracks is never ignored. */
async function checkNotIgnored(git: Git, names: readonly string[]): Promise<void> {
  const listing = ['ls-files', '-z', '--others', '--ignored', '--exclude-standard']
  const listed = await git.text([...listing, '--', PLAYBOOK_FOLDER])
  const ignored = new Set(listed.split('\0'))
  const found = names.find((name) => ignored.has(`${PLAYBOOK_FOLDER}/${name}`))
  if (found !== undefined)
    throw new RelError('playbook_invalid', `${PLAYBOOK_FOLDER}/${found} is ignored by git`)
}

function loadPlaybook(folder: string, name: string): Playbook {
  const path = join(folder, name)
  if (statIfThere(path)?.isFile() !== true)
    throw new RelError('playbook_invalid', `${PLAYBOOK_FOLDER}/${name} is a link, or no file`)
  const text = readFileLimited(path, MAX_PLAYBOOK_BYTES).toString('utf8')
  const playbook = parsePlaybook(text, `${PLAYBOOK_FOLDER}/${name}`)
  if (name === `${playbook.item}.yaml`) return playbook
  throw new RelError(
    'playbook_invalid',
    `${PLAYBOOK_FOLDER}/${name} is of the item ${playbook.item}, want ${playbook.item}.yaml`,
  )
}

/** The playbook of an item. Refuses with playbook_missing, which names the nearest. */
export function playbookOf(playbooks: readonly Playbook[], item: string): Playbook {
  const found = playbooks.find((playbook) => playbook.item === item)
  if (found !== undefined) return found
  const items = playbooks.map((playbook) => playbook.item)
  const [near] = nearest(item, items)
  const isAssignment = item.includes('=')
  throw new RelError(
    'playbook_missing',
    isAssignment ? `${item} stands where the item should` : `no playbook of ${item}`,
    {
      hint: isAssignment
        ? 'rel bump ITEM NEW=VERSION'
        : near === undefined
          ? `There are ${items.join(', ') || 'none'}; rel bump new writes one.`
          : `Did you mean ${near}?`,
    },
  )
}
