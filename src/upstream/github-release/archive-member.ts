import {openArchive} from '../../bundle/archive/decompress.ts'
import {type TarEntry, TarReader} from '../../bundle/archive/tar-reader.ts'
import type {CachedFile, ContentCache, PartFile} from '../../system/content-cache.ts'
import {RelError} from '../../system/error.ts'

const limits = {
  /** Everything in the archive, inflated. */
  totalBytes: 4 * 1024 * 1024 * 1024,
  /** A tool with its documentation has some hundred files. */
  entries: 100_000,
  /** Names shown when the wanted one is not there. */
  shown: 8,
} as const

/**
 * The one file `member` of a tar archive (gzip, zstd or plain), into the content cache: every
 * entry is looked at, also those after it. Refuses with binary_missing, binary_repeated,
 * archive_path_unsafe, and archive_* as the strict reader does.
 */
export async function extractMember(
  archive: CachedFile,
  member: string,
  cache: ContentCache,
): Promise<CachedFile> {
  const part = await cache.openPart(`MEMBER ${archive.sha256} ${member}`)
  try {
    part.restart(undefined)
    await readMember(archive, member, part)
    return part.finish()
  } catch (error) {
    part.discard()
    throw error
  }
}

async function readMember(archive: CachedFile, member: string, part: PartFile): Promise<void> {
  const source = openArchive(archive.path)
  const reader = new TarReader()
  const names: string[] = []
  let total = 0
  let isOpen = false
  try {
    for await (const bytes of source.tar) {
      total += bytes.length
      if (total > limits.totalBytes)
        throw new RelError('archive_limit', `the archive inflates to over ${total} bytes`)
      reader.feed(bytes)
      for (let token = reader.next(); token !== undefined; token = reader.next()) {
        if (token.kind === 'entry') isOpen = beginEntry(token.entry, member, names)
        else if (token.kind === 'data' && isOpen) part.append(token.bytes)
      }
    }
    reader.finish()
  } finally {
    source.close()
  }
  if (!names.includes(member)) throw missing(member, names)
}

/** Checks one entry; true when it is the wanted file. */
function beginEntry(entry: TarEntry, member: string, names: string[]): boolean {
  const path = entry.path.replace(/^(?:\.\/)+/, '').replace(/\/$/, '')
  checkPath(entry, path)
  if (names.length >= limits.entries)
    throw new RelError('archive_limit', `the archive has over ${limits.entries} entries`)
  if (path === member && names.includes(member))
    throw new RelError('binary_repeated', `${member} is in the archive twice`)
  if (path === member && entry.type !== 'file')
    throw new RelError('archive_path_unsafe', `${member} is a ${entry.type}, want a file`)
  names.push(path)
  return path === member
}

function checkPath({type, linkTarget}: TarEntry, path: string): void {
  const shown = JSON.stringify(path.slice(0, 120))
  if (leadsOut(path)) throw new RelError('archive_path_unsafe', `the archive has the path ${shown}`)
  if (type === 'symlink' ? leadsOut(linkTarget) : type !== 'file' && type !== 'directory')
    throw new RelError('archive_path_unsafe', `${shown} is a ${type} that leads elsewhere`)
}

function leadsOut(path: string): boolean {
  return path.startsWith('/') || path.includes('\\') || path.split('/').includes('..')
}

function missing(member: string, names: readonly string[]): RelError {
  const files = names.filter((name) => name !== '').slice(0, limits.shown)
  const shown = files.map((name) => JSON.stringify(name.slice(0, 80))).join(', ')
  return new RelError(
    'binary_missing',
    `the archive has no ${member}, it has ${shown || 'nothing'}`,
  )
}
