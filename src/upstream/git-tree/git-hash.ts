import {createHash} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {fileError} from '../../system/files.ts'
import type {TreeEntry} from '../github-release/git-objects.ts'

/** git's name of a file: SHA-1 of `blob LENGTH NUL` and the bytes, 40 hex digits. */
export async function blobIdOf(path: string, size: number): Promise<string> {
  const hasher = createHash('sha1').update(`blob ${size}\0`)
  try {
    for await (const chunk of createReadStream(path)) hasher.update(chunk as Buffer)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  return hasher.digest('hex')
}

/** git's name of a folder: SHA-1 of `tree LENGTH NUL` and, in git's order, its entries. */
export function treeIdOf(entries: readonly TreeEntry[]): string {
  const lines = entries
    .map((entry) => ({entry, key: Buffer.from(sortKey(entry))}))
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({entry: {mode, path, sha}}) =>
      // git writes modes without leading zeros, and the interface with them
      Buffer.concat([Buffer.from(`${mode.replace(/^0+/, '')} ${path}\0`), Buffer.from(sha, 'hex')]),
    )
  const body = Buffer.concat(lines)
  return createHash('sha1').update(`tree ${body.length}\0`).update(body).digest('hex')
}

/** git sorts a folder as if its name ended with a slash. */
function sortKey({path, type}: TreeEntry): string {
  return type === 'tree' ? `${path}/` : path
}
