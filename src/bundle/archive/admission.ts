import {RelError} from '../../system/error.ts'
import type {BundleManifest, FileEntry, FileMode, LinkEntry} from '../manifest.ts'
import {MANIFEST_NAME, sidecarNames} from '../manifest.ts'
import {checkPath, directoryOf, shownPath} from '../path-rules.ts'
import {archiveLimits} from './limits.ts'
import type {TarEntry} from './tar-reader.ts'

/** What an entry that was let in is, with everything as it was signed. */
export type Admitted =
  | {
      readonly kind: 'file'
      readonly path: string
      readonly size: number
      readonly mode: FileMode
      readonly sha256: string
    }
  | {readonly kind: 'link'; readonly link: LinkEntry}
  | {readonly kind: 'directory'; readonly path: string}

/** The path an entry stands for: stock tar writes ./a for a, and a/ for the directory a. */
function placeOf({path, type}: Pick<TarEntry, 'path' | 'type'>): string {
  const inside = path.startsWith('./') ? path.slice(2) : path
  return type === 'directory' && inside.endsWith('/') ? inside.slice(0, -1) : inside
}

/** True for the directory that the whole archive was made of (tar -C DIR .). */
export function isRoot({path, type}: TarEntry): boolean {
  return type === 'directory' && (path === './' || path === '.')
}

/**
 * Which entries of an archive belong to the bundle: only what the manifest lists and the
 * directories of it, each once, as it was signed. Nothing of an entry was read when it is refused.
 */
export class Admission {
  readonly #files = new Map<string, FileEntry>()
  readonly #links = new Map<string, LinkEntry>()
  /** Listed directories that have not come yet, which they need not. */
  readonly #directories = new Set<string>()
  readonly #seen = new Set<string>()
  #legacyBytes = 0

  constructor({files, rel}: BundleManifest) {
    for (const file of files) this.#files.set(file.path, file)
    for (const link of rel?.links ?? []) this.#links.set(link.path, link)
    for (const {path} of [...files, ...(rel?.links ?? [])])
      for (
        let at = directoryOf(path);
        at !== '' && !this.#directories.has(at);
        at = directoryOf(at)
      )
        this.#directories.add(at)
  }

  /**
   * Refuses with archive_entry_duplicate, file_unlisted, the codes of checkPath for paths that no
   * bundle can have, file_hardlinked, file_not_regular, link_mismatch, mode_forbidden,
   * mode_mismatch, size_mismatch, archive_limit.
   */
  admit(entry: TarEntry): Admitted {
    const path = placeOf(entry)
    if (this.#seen.has(path))
      throw new RelError('archive_entry_duplicate', `${shownPath(path)} is there twice`)
    this.#seen.add(path)
    const file = this.#files.get(path)
    const link = this.#links.get(path)
    if (file !== undefined) return this.#admitFile(entry, file)
    if (link !== undefined) return admitLink(entry, link)
    if (!this.#directories.has(path)) throw unlisted(path)
    if (entry.type !== 'directory') throw wrongType(entry, path)
    checkSpecialBits(entry, path)
    return {kind: 'directory', path}
  }

  /** At the end: is everything there? Refuses with file_absent. */
  checkComplete(): void {
    for (const path of [...this.#files.keys(), ...this.#links.keys()])
      if (!this.#seen.has(path))
        throw new RelError('file_absent', `${shownPath(path)} is not in the archive`)
  }

  #admitFile(entry: TarEntry, file: FileEntry): Admitted {
    const {path, sha256} = file
    if (entry.type !== 'file') throw wrongType(entry, path)
    const mode = modeOf(entry, file)
    if (file.size === undefined) this.#countLegacy(entry.size)
    if (file.size !== undefined && file.size !== entry.size)
      throw new RelError(
        'size_mismatch',
        `${shownPath(path)} has ${entry.size} bytes in the archive, ${file.size} were signed`,
      )
    return {kind: 'file', path, size: entry.size, mode, sha256}
  }

  #countLegacy(size: number): void {
    this.#legacyBytes += size
    if (this.#legacyBytes > archiveLimits.legacyTotalBytes)
      throw new RelError('archive_limit', `files over ${archiveLimits.legacyTotalBytes} bytes`)
  }
}

/** A sidecar may stand anywhere, but for the manifest, once. Refuses with the codes of admit. */
export function admitSidecar(entry: TarEntry, seen: Set<string>): string {
  const name = placeOf(entry)
  if (seen.has(name)) throw new RelError('archive_entry_duplicate', `${name} is there twice`)
  seen.add(name)
  if (entry.type !== 'file') throw wrongType(entry, name)
  checkSpecialBits(entry, name)
  const limit = name === MANIFEST_NAME ? archiveLimits.manifestBytes : archiveLimits.sidecarBytes
  if (entry.size > limit)
    throw new RelError('archive_limit', `${name} has ${entry.size} bytes, at most ${limit}`)
  return name
}

/** True for manifest.json and the files that speak about it. */
export function isSidecar(entry: TarEntry): boolean {
  return sidecarNames.includes(placeOf(entry))
}

/** Refuses any first entry but manifest.json with archive_manifest_not_first. */
export function checkManifestFirst(entry: TarEntry): void {
  if (placeOf(entry) !== MANIFEST_NAME)
    throw new RelError(
      'archive_manifest_not_first',
      `the first entry is ${shownPath(entry.path)}, want ${MANIFEST_NAME}`,
    )
}

function admitLink(entry: TarEntry, link: LinkEntry): Admitted {
  if (entry.type !== 'symlink') throw wrongType(entry, link.path)
  if (entry.linkTarget !== link.target)
    throw new RelError(
      'link_mismatch',
      `${shownPath(link.path)} leads to ${shownPath(entry.linkTarget)}, ${link.target} was signed`,
    )
  return {kind: 'link', link}
}

/** Says what is wrong with the path itself where something is. */
function unlisted(path: string): RelError {
  checkPath(path)
  return new RelError('file_unlisted', `${shownPath(path)} is not in the manifest`)
}

function wrongType({type}: TarEntry, path: string): RelError {
  const code = type === 'hardlink' ? 'file_hardlinked' : 'file_not_regular'
  return new RelError(code, `${shownPath(path)} is a ${type}, which was not signed`)
}

/** Exactly the signed permissions; a D2 bundle signs none, so only what its x bit says is kept. */
function modeOf(entry: TarEntry, {path, mode}: FileEntry): FileMode {
  checkSpecialBits(entry, path)
  if (mode === undefined) return (entry.mode & 0o100) === 0 ? '0644' : '0755'
  const found = entry.mode.toString(8).padStart(4, '0')
  if (mode === found) return mode
  throw new RelError('mode_mismatch', `${shownPath(path)} has ${found}, ${mode} was signed`)
}

/** Setuid, setgid, sticky, whatever is no permission; and files that everybody may write to. */
function checkSpecialBits({mode, type}: TarEntry, path: string): void {
  if (mode > 0o777 || (type === 'file' && (mode & 0o002) !== 0))
    throw new RelError('mode_forbidden', `${shownPath(path)} has mode ${mode.toString(8)}`)
}
