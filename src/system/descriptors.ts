import {readSync} from 'node:fs'
import {RelError} from './error.ts'

/**
 * Fills a buffer from an open descriptor and returns how much there was; a full buffer means that
 * there may be more. Waits for pipes that are slow, as in `--passphrase-file <(vault read …)`.
 * Refuses with file_unreadable; `name` is what to call the descriptor.
 */
export function readInto(fd: number, buffer: Buffer, name: string): number {
  let length = 0
  while (length < buffer.length) {
    const count = readSome(fd, buffer, length, name)
    if (count === 0) return length
    length += count
  }
  return length
}

function readSome(fd: number, buffer: Buffer, offset: number, name: string): number {
  for (;;) {
    try {
      return readSync(fd, buffer, offset, buffer.length - offset, null)
    } catch (error) {
      const {code} = error as {code?: string}
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN') throw new RelError('file_unreadable', `cannot read ${name}: ${code}`)
      // a pipe that does not block: it was opened so, or somebody who shares it set that
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
}
