import {RelError} from '../../system/error.ts'

/** What the firmware of a Raspberry Pi GPU says of its own build: untrusted words. */
export type BuildId = {
  /** Of the private sources, 40 hex digits. */
  readonly hash: string
  /** False when the sources had changes that nobody committed. */
  readonly isClean: boolean
  /** Seconds since the epoch, as if the build machine's clock were UTC; for comparisons only. */
  readonly builtAt: number
  readonly branch: string
  readonly variant: string
  readonly user: string
}

const MARK = 'VC_BUILD_ID_'
/** The real ones have eight. */
const MAX_ENTRIES = 64
const MAX_ENTRY_BYTES = 200

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * The build id in the bytes of a start*.elf: entries `VC_BUILD_ID_KEY: value` that end with a NUL.
 * TIME comes twice, as a clock and as a date. Refuses with firmware_build_id_missing what is not
 * there, is there twice or is no such entry.
 */
export function parseBuildId(bytes: Uint8Array, name: string): BuildId {
  const entries = entriesOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), name)
  const one = (key: string, pattern: RegExp): RegExpExecArray => {
    const matches = entries
      .filter(([its]) => its === key)
      .map(([, value]) => pattern.exec(value))
      .filter((match) => match !== null)
    const [match] = matches
    if (match !== undefined && matches.length === 1) return match
    const seen = matches.length === 0 ? 'no' : String(matches.length)
    throw missing(name, `it has ${seen} ${MARK}${key} of the known form`)
  }
  const [, hash = '', state] = one('VERSION', /^([0-9a-f]{40}) \(([a-z]{1,20})\)$/)
  const [clock] = one('TIME', /^\d\d:\d\d:\d\d$/)
  const [, month = '', day = '', year] = one('TIME', /^([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d{4})$/)
  const at = months.indexOf(month) + 1
  const date = `${year}-${String(at).padStart(2, '0')}-${day.padStart(2, '0')}`
  const ms = Date.parse(`${date}T${clock}Z`)
  if (at === 0 || Number.isNaN(ms)) throw missing(name, 'its date is no date')
  return {
    hash,
    isClean: state === 'clean',
    builtAt: ms / 1000,
    branch: one('BRANCH', /^[\x21-\x7e]{1,100}$/)[0],
    variant: one('VARIANT', /^[\x21-\x7e]{1,100}$/)[0],
    user: one('USER', /^[\x21-\x7e]{1,100}$/)[0],
  }
}

function entriesOf(bytes: Buffer, name: string): [key: string, value: string][] {
  const entries: [string, string][] = []
  for (let at = bytes.indexOf(MARK); at !== -1; at = bytes.indexOf(MARK, at + MARK.length)) {
    if (entries.length === MAX_ENTRIES) throw missing(name, `it has more than ${MAX_ENTRIES}`)
    const end = bytes.subarray(at, at + MAX_ENTRY_BYTES).indexOf(0)
    const text = bytes.toString('latin1', at + MARK.length, at + Math.max(end, 0))
    const [, key, value] = /^([A-Z]{1,20}): ([\x20-\x7e]{1,180})$/.exec(text) ?? []
    if (key === undefined || value === undefined)
      throw missing(name, 'an entry of it is no text that ends with a NUL')
    entries.push([key, value])
  }
  return entries
}

function missing(name: string, why: string): RelError {
  return new RelError('firmware_build_id_missing', `${name} names no build: ${why}`)
}
