import {lstatSync, type Stats} from 'node:fs'
import {dirname} from 'node:path'
import {RelError} from '../system/error.ts'

/**
 * That nobody but root, or whom rel runs as, can put something else in the place of a folder: what is
 * read in it decides what rel does, and rel often is root. Who can write to a folder above can
 * exchange it; a sticky one forbids that. Refuses with upgrade_layout_invalid.
 */
export function checkFolder(folder: string): void {
  for (let at = folder; ; at = dirname(at)) {
    const stat = lstatSync(at)
    const isOpen = (stat.mode & 0o022) !== 0 && (at === folder || (stat.mode & 0o1000) === 0)
    if (isOpen || isForeign(stat))
      throw new RelError('upgrade_layout_invalid', `${at} can be written by others`, {
        hint: `Only root, or whom rel runs as, may own and write ${folder} and the folders above.`,
      })
    if (dirname(at) === at) return
  }
}

/** The same of one file or folder, whatever is above it; `name` is what it is called. */
export function checkOwned(name: string, stat: Stats): void {
  if ((stat.mode & 0o022) !== 0)
    throw new RelError('upgrade_layout_invalid', `${name} can be written by group or others`)
  if (isForeign(stat))
    throw new RelError('upgrade_layout_invalid', `${name} belongs to somebody else`, {
      hint: 'It must belong to root, or to whom rel runs as.',
    })
}

function isForeign({uid}: Stats): boolean {
  return uid !== 0 && uid !== process.getuid?.()
}
