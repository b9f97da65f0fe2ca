import {lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import {sha256Hex} from '../../src/system/hash.ts'

/**
 * Everything that a reader can tell of what is in a folder: names, kinds, modes, inodes, times,
 * bytes. Links are not followed, as a recursive readdir would.
 */
export function treeState(root: string, below = ''): readonly string[] {
  return readdirSync(join(root, below))
    .toSorted()
    .flatMap((entry) => {
      const name = join(below, entry)
      const path = join(root, name)
      const stat = lstatSync(path)
      const content = stat.isSymbolicLink()
        ? readlinkSync(path)
        : stat.isFile()
          ? sha256Hex(readFileSync(path))
          : ''
      const line = [name, stat.mode, stat.ino, stat.mtimeMs, content].join(' ')
      return stat.isDirectory() ? [line, ...treeState(root, name)] : [line]
    })
}
