import {RelError} from '../system/error.ts'
import {isVersion} from './version.ts'

/** What a detached signature says of a file, signed with it in minisign's trusted comment. */
export type FileLabel = {
  readonly timestamp: number
  readonly file: string
  readonly version?: string
  readonly product?: string
  readonly component?: string
  readonly channel?: string
  readonly target?: string
  readonly sha256: string
}

const keys = [
  'timestamp',
  'file',
  'version',
  'product',
  'component',
  'channel',
  'target',
  'sha256',
] as const

/**
 * One line of tab-separated name:value pairs, as minisign's own `timestamp:…\tfile:…`, with
 * Tauri's field name version. Refuses with usage_invalid and version_malformed.
 */
export function trustedComment(label: FileLabel): string {
  if (label.version !== undefined && !isVersion(label.version))
    throw new RelError('version_malformed', '--version is no version such as 1.4.2')
  const pairs = keys.flatMap((key) => {
    const value = label[key]
    if (value === undefined) return []
    if (/[\p{C}\p{Zl}\p{Zp}]/u.test(String(value)))
      throw new RelError('usage_invalid', `the ${key} has a control character`)
    return [`${key}:${value}`]
  })
  return pairs.join('\t')
}

/** What a verified trusted comment says; text that is no name:value pair is left out. */
export function parseTrustedComment(comment: string): Readonly<Record<string, string>> {
  const pairs = comment.split('\t').flatMap((part): [string, string][] => {
    const colon = part.indexOf(':')
    return colon <= 0 ? [] : [[part.slice(0, colon), part.slice(colon + 1)]]
  })
  return Object.assign(Object.create(null), Object.fromEntries(pairs))
}
