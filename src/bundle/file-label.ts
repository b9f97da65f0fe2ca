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

/**
 * Refuses, with cross_protocol, to sign bytes whose signature would count for something else: the
 * canonical manifest of D2, what rel and DSSE sign, what ssh-keygen and minisign sign.
 */
export function checkNotManifest(bytes: Uint8Array): void {
  const head = Buffer.from(bytes.subarray(0, 8)).toString('latin1')
  const reason = head.startsWith('DSSEv1 ')
    ? 'it is the input of a DSSE signature'
    : head.startsWith('SSHSIG')
      ? 'it is the input of an SSH signature'
      : bytes.length === 64
        ? 'its 64 bytes could be the digest that a minisign signature covers'
        : looksLikeManifest(bytes)
          ? 'it is an object with manifest or bundle_name'
          : undefined
  if (reason !== undefined) throw new RelError('cross_protocol', `refused to sign: ${reason}`)
}

/** Read as leniently as any reader might. */
function looksLikeManifest(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.subarray(0, 64)).toString('utf8').trimStart()
  if (!text.startsWith('{')) return false
  try {
    const value: unknown = JSON.parse(
      Buffer.from(bytes)
        .toString('utf8')
        .replace(/^\ufeff/, ''),
    )
    return (
      typeof value === 'object' && value !== null && ('manifest' in value || 'bundle_name' in value)
    )
  } catch {
    return false
  }
}
