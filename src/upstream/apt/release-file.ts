import {fieldOf, malformed, parseStanza, type Stanza} from './deb822.ts'

/** A file that a Release file vouches for. */
export type ListedFile = {
  /** 64 lower-case hex digits. */
  readonly sha256: string
  readonly size: number
}

/** What a signed Release file says of its suite. Times are seconds since the epoch. */
export type Release = {
  readonly origin: string
  readonly suite: string
  readonly codename: string
  readonly date: number
  readonly validUntil?: number
  readonly architectures: readonly string[]
  readonly components: readonly string[]
  readonly acquireByHash: boolean
  /** By path below dists/SUITE/. */
  readonly files: ReadonlyMap<string, ListedFile>
}

/** Ten times what sid lists. */
const MAX_FILES = 50_000

/** The text of a verified InRelease or Release file. Refuses with deb822_malformed. */
export function parseRelease(text: string): Release {
  const stanza = parseStanza(text, 'the Release file')
  const one = (name: string) => fieldOf(stanza, name, 'the Release file')
  return {
    origin: one('Origin'),
    suite: one('Suite'),
    codename: one('Codename'),
    date: parseDate(one('Date')),
    ...(stanza.has('valid-until') ? {validUntil: parseDate(one('Valid-Until'))} : {}),
    architectures: one('Architectures').split(/\s+/),
    components: one('Components').split(/\s+/),
    acquireByHash: stanza.get('acquire-by-hash') === 'yes',
    files: listedFiles(stanza),
  }
}

function listedFiles(stanza: Stanza): ReadonlyMap<string, ListedFile> {
  const [first, ...lines] = (stanza.get('sha256') ?? '').split('\n')
  if (first !== '' || lines.length === 0) throw malformed('the Release file has no SHA256 list')
  if (lines.length > MAX_FILES) throw malformed(`the Release file lists more than ${MAX_FILES}`)
  const files = new Map<string, ListedFile>()
  for (const line of lines) {
    const [, sha256, size, path] =
      /^([0-9a-f]{64})\s+(0|[1-9][0-9]{0,14})\s+(\S+)$/.exec(line) ?? []
    if (sha256 === undefined || path === undefined)
      throw malformed(`the SHA256 list has the line ${JSON.stringify(line.slice(0, 120))}`)
    if (files.has(path)) throw malformed(`the SHA256 list has ${path} twice`)
    files.set(path, {sha256, size: Number(size)})
  }
  return files
}

const months = [
  ...['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'],
]
const dateForm =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d?) ([A-Z][a-z]{2}) (\d{4}) (\d\d?):(\d\d):(\d\d) (?:UTC|GMT|Z|\+0000)$/

/** Seconds since the epoch of `Sat, 11 Jul 2026 10:16:37 UTC`; no other zone is taken. */
function parseDate(text: string): number {
  const [, day, month = '', year, ...time] = dateForm.exec(text) ?? []
  const at = months.indexOf(month)
  const [hour, minute, second] = time.map(Number)
  const ms = Date.UTC(Number(year), at, Number(day), hour, minute, second)
  const back = new Date(ms)
  const isReal = at !== -1 && back.getUTCDate() === Number(day) && back.getUTCHours() === hour
  if (!isReal) throw malformed(`the Release file has the date ${JSON.stringify(text.slice(0, 60))}`)
  return ms / 1000
}

/** An index as the archive has it: which form to fetch, and what it unpacks to. */
export type PackagesIndex = {
  /** Paths below dists/SUITE/ to try in turn. */
  readonly paths: readonly string[]
  readonly compression: 'gz' | 'xz' | 'none'
  readonly packed: ListedFile
  /** Absent when the Release file lists the packed form only. */
  readonly plain?: ListedFile
}

const forms = [
  ['.gz', 'gz'],
  ['.xz', 'xz'],
  ['', 'none'],
] as const

/**
 * Where the Packages file of a component is: gz is the quickest to unpack, and some archives (such
 * as debian-security) have xz only. Undefined when the Release file lists none.
 */
export function packagesIndex(
  release: Release,
  component: string,
  arch: string,
): PackagesIndex | undefined {
  const folder = `${component}/binary-${arch}`
  const plain = release.files.get(`${folder}/Packages`)
  for (const [suffix, compression] of forms) {
    const path = `${folder}/Packages${suffix}`
    const packed = release.files.get(path)
    if (packed === undefined) continue
    // by-hash first: the file under its name may be one publication ahead (apt-secure(8))
    const byHash = release.acquireByHash ? [`${folder}/by-hash/SHA256/${packed.sha256}`] : []
    return {
      paths: [...byHash, path],
      compression,
      packed,
      ...(plain === undefined ? {} : {plain}),
    }
  }
  return undefined
}
