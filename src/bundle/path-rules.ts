import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {visible} from '../system/visible.ts'
import {type LinkEntry, manifestLimits, sidecarNames} from './manifest.ts'

/** Printable ASCII but for what JSON, HTML, shells or Windows treat specially. */
const asciiPath = /^[ !#$%'()+,\-./0-9;=@A-Z[\]^_`a-z{}~]+$/

/** The same where it is ASCII, and any assigned, visible character where it is not. */
const unicodePath = /^(?:[ !#$%'()+,\-./0-9;=@A-Z[\]^_`a-z{}~]|[^\x00-\x7f\p{C}\p{Zl}\p{Zp}])+$/u

/** Windows opens the device whatever the extension; superscript digits count as digits. */
const windowsDevice =
  /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]) *(?:\.|$)/i

/** A chain of links longer than this is refused, as Linux does (path_resolution(7)). */
const MAX_LINK_HOPS = 40

/** A path as it can be shown in a message: control characters escaped, cut to 120 characters. */
export function shownPath(path: string): string {
  const safe = visible(path)
  return safe.length > 120 ? `${safe.slice(0, 120)}…` : safe
}

/**
 * One path of a bundle by the grammar of docs/formats/manifest.md. Refuses with path_malformed,
 * path_absolute, path_traversal, path_not_portable, path_reserved, path_not_normal.
 */
export function checkPath(path: string): void {
  const refusal = pathRefusal(path)
  if (refusal !== undefined)
    throw new RelError(refusal.code, `${shownPath(path) || 'an empty path'}: ${refusal.seen}`)
}

/** True for a path that every system stores in the same way. */
export function isAsciiPath(path: string): boolean {
  return asciiPath.test(path)
}

type Refusal = {readonly code: ErrorCode; readonly seen: string}

function pathRefusal(path: string): Refusal | undefined {
  if (path === '') return {code: 'path_malformed', seen: 'a path has at least one byte'}
  if (path.startsWith('/')) return {code: 'path_absolute', seen: 'paths begin inside the bundle'}
  for (const segment of path.split('/')) {
    if (segment === '.' || segment === '..')
      return {code: 'path_traversal', seen: 'a segment . or .. leads elsewhere'}
  }
  return charactersRefusal(path) ?? segmentsRefusal(path) ?? reservedRefusal(path)
}

function charactersRefusal(path: string): Refusal | undefined {
  const ascii = asciiPath.test(path)
  if (!ascii && !unicodePath.test(path))
    return {code: 'path_malformed', seen: 'it has a character that no path may have'}
  if (!ascii && path.normalize('NFC') !== path)
    return {code: 'path_not_normal', seen: 'it is not in Unicode normal form C'}
  const bytes = ascii ? path.length : utf8Length(path)
  if (bytes > manifestLimits.pathBytes)
    return {code: 'path_malformed', seen: `${bytes} bytes, at most ${manifestLimits.pathBytes}`}
  return undefined
}

function segmentsRefusal(path: string): Refusal | undefined {
  const segments = path.split('/')
  if (segments.length > manifestLimits.pathSegments)
    return {code: 'path_malformed', seen: `over ${manifestLimits.pathSegments} directories deep`}
  for (const segment of segments) {
    if (segment === '') return {code: 'path_malformed', seen: 'a segment is empty'}
    if (utf8Length(segment) > manifestLimits.segmentBytes)
      return {code: 'path_malformed', seen: `a segment over ${manifestLimits.segmentBytes} bytes`}
    if (segment.endsWith('.') || segment.endsWith(' '))
      return {code: 'path_not_portable', seen: 'a segment ends in a dot or a space'}
    if (windowsDevice.test(segment))
      return {code: 'path_not_portable', seen: 'a segment names a Windows device'}
  }
  return undefined
}

const foldedSidecars: ReadonlySet<string> = new Set(sidecarNames.map(foldPath))

/** Sidecars live at the root; any spelling that some system takes for one is reserved. */
function reservedRefusal(path: string): Refusal | undefined {
  const root = path.split('/', 1)[0] ?? path
  if (!foldedSidecars.has(foldPath(root))) return undefined
  return {code: 'path_reserved', seen: 'the name is reserved for a sidecar'}
}

function utf8Length(text: string): number {
  return Buffer.byteLength(text, 'utf8')
}

/**
 * The same text for all paths that some file system could take for one: NFKC and full case
 * folding (ß = ss), as Unicode 3.13 D146. Lower, upper, lower reaches full folding without its
 * table: upper-casing expands (ß to SS), and lower-casing first catches capitals such as ẞ that
 * upper-casing leaves alone. It also equates the dotless i, which is on the safe side.
 */
export function foldPath(path: string): string {
  if (asciiPath.test(path)) return path.toLowerCase()
  const once = foldCase(path.normalize('NFKC'))
  return foldCase(once.normalize('NFKC')).normalize('NFKC')
}

function foldCase(text: string): string {
  return text.toLowerCase().toUpperCase().toLowerCase()
}

/**
 * All paths of a bundle, files and links alike, each checked alone and against the others.
 * Refuses as checkPath does, and with path_collision, path_conflict and manifest_limit, so that no
 * manifest can take much time or memory before its signatures are looked at. Directories count too:
 * `Lib/a` and `lib/b` are one directory on some systems and two on others.
 */
export function checkPaths(...lists: readonly (readonly string[])[]): void {
  const directories = new Map<string, string>()
  const names = new Set<string>()
  let parent = ''
  let unicodeBytes = 0
  for (const list of lists) {
    for (const path of list) {
      const directory = directoryOf(path)
      // sorted paths share their directory with the one before: its segments are known to be good
      if (directory !== parent || !isPlainName(path, directory.length)) checkPath(path)
      if (!asciiPath.test(path)) unicodeBytes += utf8Length(path)
      if (unicodeBytes > manifestLimits.unicodeBytes)
        throw new RelError('manifest_limit', 'too many long paths beyond ASCII')
      if (directory !== parent) addDirectories(directory, directories)
      parent = directory
      const folded = foldPath(path)
      const before = names.size
      if (names.add(folded).size === before)
        throw new RelError('path_collision', `${shownPath(path)} has a twin on some systems`)
    }
  }
  for (const [folded, directory] of directories) {
    if (names.has(folded))
      throw new RelError('path_conflict', `${shownPath(directory)} is a file and a directory`)
  }
}

/** A name about which no rule has anything to say; what it does not match is looked at in full. */
const plainName = /^\/?[0-9A-Z_a-z][-0-9A-Z_a-z]{0,40}\.[0-9A-Z_a-z]{1,10}$/

function isPlainName(path: string, directoryLength: number): boolean {
  if (path.length > 256) return false
  const name = path.slice(directoryLength)
  return plainName.test(name) && !windowsDevice.test(name.replace('/', '')) && directoryLength > 0
}

function addDirectories(directory: string, directories: Map<string, string>): void {
  for (let path = directory; path !== ''; path = directoryOf(path)) {
    const folded = foldPath(path)
    const known = directories.get(folded)
    if (known === path) return
    if (known !== undefined)
      throw new RelError(
        'path_collision',
        `directory ${shownPath(path)} is ${shownPath(known)} on some systems`,
      )
    directories.set(folded, path)
    if (directories.size > manifestLimits.directories)
      throw new RelError('manifest_limit', `more than ${manifestLimits.directories} directories`)
  }
}

/** The directory of a path, '' for the root of the bundle. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash === -1 ? '' : path.slice(0, slash)
}

/**
 * Links that stay inside: relative, in shortest form, each leading through real directories to a
 * listed file, directory or further link, without a circle. Refuses with link_invalid.
 */
export function checkLinks(
  files: Iterable<{readonly path: string}>,
  links: readonly LinkEntry[],
): void {
  if (links.length === 0) return
  const targets = new Map(links.map((link) => [link.path, link]))
  const places = new Set<string>()
  for (const {path} of [...files, ...links]) {
    if (!targets.has(path)) places.add(path)
    for (let at = directoryOf(path); at !== '' && !places.has(at); at = directoryOf(at))
      places.add(at)
  }
  for (const link of links) {
    let at: LinkEntry | undefined = link
    for (let hops = 0; at !== undefined; hops++) {
      const target = linkTarget(at)
      if (target === undefined || hops === MAX_LINK_HOPS)
        throw new RelError('link_invalid', `${shownPath(link.path)} leads out or in a circle`)
      at = targets.get(target)
      if (at === undefined && !places.has(target))
        throw new RelError('link_invalid', `${shownPath(link.path)} leads to nothing in the bundle`)
    }
  }
}

/**
 * Where a link leads, from the root of the bundle; undefined when outside or not in shortest
 * form: `..` only in front, so that the text alone decides and no other link is walked through.
 */
function linkTarget(link: LinkEntry): string | undefined {
  const segments = link.target.split('/')
  let directory = directoryOf(link.path)
  while (segments[0] === '..') {
    if (directory === '') return undefined
    directory = directoryOf(directory)
    segments.shift()
  }
  const rest = segments.join('/')
  const target = directory === '' ? rest : `${directory}/${rest}`
  return pathRefusal(rest) === undefined ? target : undefined
}
