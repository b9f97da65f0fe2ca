import {readFileLimited} from '../../system/files.ts'
import {parseTrustedRoot, type TrustedRoot} from './trusted-root.ts'

/** Read limit of a file; parseTrustedRoot has the same. */
const MAX_BYTES = 1024 * 1024

/**
 * The trusted root of the public Sigstore that this version of rel was made with, or the one in a
 * file. No network: a new root comes with a new rel, or as a file. Refuses with
 * trusted_root_invalid, file_missing, file_unreadable, file_too_large.
 */
export async function loadTrustedRoot(path?: string): Promise<TrustedRoot> {
  if (path !== undefined) return parseTrustedRoot(readFileLimited(path, MAX_BYTES))
  const embedded = await import('./trusted-root.json', {with: {type: 'json'}})
  return parseTrustedRoot(Buffer.from(JSON.stringify(embedded.default.trusted_root)))
}
