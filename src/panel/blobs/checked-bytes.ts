import {createHash} from 'node:crypto'
import {isDigest} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'

/** Refuses with blob_name_malformed. */
export function checkDigest(text: string): void {
  if (!isDigest(text)) throw new RelError('blob_name_malformed', 'a blob is named by a SHA-256')
}

/** Hands bytes on, and refuses with blob_mismatch as soon as they are not what was announced. */
export async function* checkedBytes(
  sha256: string,
  size: number,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hasher = createHash('sha256')
  let seen = 0
  for await (const piece of bytes) {
    seen += piece.length
    if (seen > size) throw new RelError('blob_mismatch', `more than the ${size} bytes announced`)
    hasher.update(piece)
    yield piece
  }
  if (seen < size) throw new RelError('blob_mismatch', `${seen} bytes of ${size} came`)
  const digest = hasher.digest('hex')
  if (digest !== sha256)
    throw new RelError('blob_mismatch', `the bytes have ${digest}, announced was ${sha256}`)
}

/** True when the bytes of a blob have its digest; false when not, or when it is not there. */
export async function isWhole(sha256: string, bytes: AsyncIterable<Uint8Array>): Promise<boolean> {
  const hasher = createHash('sha256')
  try {
    for await (const piece of bytes) hasher.update(piece)
  } catch (error) {
    if (error instanceof RelError && error.code === 'blob_missing') return false
    throw error
  }
  return hasher.digest('hex') === sha256
}
