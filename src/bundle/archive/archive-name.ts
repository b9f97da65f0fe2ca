import {RelError} from '../../system/error.ts'
import type {ArchiveFormat} from './decompress.ts'

const endings: readonly (readonly [RegExp, ArchiveFormat])[] = [
  [/\.tar$/, 'tar'],
  [/\.(?:tar\.gz|tgz)$/, 'tar.gz'],
  [/\.(?:tar\.zst|tzst)$/, 'tar.zst'],
]

/** The format that the name of a new archive asks for. Refuses with usage_invalid. */
export function formatOfName(name: string): ArchiveFormat {
  const known = endings.find(([ending]) => ending.test(name))
  if (known !== undefined) return known[1]
  throw new RelError('usage_invalid', `${name} does not end in .tar, .tar.gz or .tar.zst`, {
    hint: 'Name the archive so, or give --format.',
  })
}
