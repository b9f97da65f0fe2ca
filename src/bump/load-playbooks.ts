import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import {nearest} from '../system/nearest.ts'
import type {Playbook} from './playbook.ts'
import {parsePlaybook} from './playbook-parse.ts'

/** Where a repository keeps its playbooks, from its top. */
export const PLAYBOOK_FOLDER = 'playbooks'
/** A page or two of YAML. */
const MAX_PLAYBOOK_BYTES = 256 * 1024

/**
 * Every playbook of a repository, by name. Refuses with playbook_invalid, also when a file is not
 * named after its item: two files could move the same pin otherwise.
 */
export function loadPlaybooks(root: string): readonly Playbook[] {
  const folder = join(root, PLAYBOOK_FOLDER)
  if (statIfThere(folder) === undefined) return []
  return readdirSync(folder)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => loadPlaybook(folder, name))
}

function loadPlaybook(folder: string, name: string): Playbook {
  const path = join(folder, name)
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
