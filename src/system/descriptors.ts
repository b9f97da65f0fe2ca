import {fstatSync, readdirSync, readFileSync, readSync, type Stats} from 'node:fs'
import {isatty} from 'node:tty'
import {RelError} from './error.ts'

/** How often a pipe that does not block is asked again, and for how long: a vault may be slow. */
const PAUSE_MS = 20
const PATIENCE_SECS = 60

/**
 * Fills a buffer from an open descriptor and returns how much there was; a full buffer means that
 * there may be more. Waits for pipes that are slow, as in `--passphrase-file <(vault read …)`, but
 * not for ever where the pipe lets it choose. Refuses with file_unreadable; `name` is what to call
 * the descriptor.
 */
export function readInto(
  fd: number,
  buffer: Buffer,
  name: string,
  patienceSecs: number = PATIENCE_SECS,
): number {
  let length = 0
  while (length < buffer.length) {
    const count = readSome(fd, buffer.subarray(length), name, patienceSecs)
    if (count === 0) return length
    length += count
  }
  return length
}

function readSome(fd: number, buffer: Buffer, name: string, patienceSecs: number): number {
  for (let pauses = 0; pauses * PAUSE_MS <= patienceSecs * 1000; pauses++) {
    try {
      return readSync(fd, buffer, 0, buffer.length, null)
    } catch (error) {
      const {code} = error as {code?: string}
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN') throw unreadable(`cannot read ${name}: ${code}`)
      // a pipe that does not block: it was opened so, or somebody who shares it set that
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
    }
  }
  throw unreadable(`nothing came from ${name} in ${patienceSecs} s`)
}

/**
 * That a descriptor can be one that the caller opened: a file, a pipe, a socket or a terminal.
 * Node.js has descriptors of its own, and a number that was not opened for rel may hit one of
 * them; nobody would ever write to it. Refuses with file_unreadable.
 */
export function checkGiven(fd: number): void {
  const name = `descriptor ${fd}`
  const stat = statOf(fd, name)
  const known = stat.isFile() || stat.isFIFO() || stat.isSocket() || isatty(fd)
  if (known && !(stat.isFIFO() && isOwnPipe(fd, stat))) return
  const hint = 'Open it for rel, as in --passphrase-fd 9 9<FILE, or give --passphrase-file.'
  throw unreadable(`${name} is no file, pipe, socket or terminal that was opened for rel`, hint)
}

function statOf(fd: number, name: string): Stats {
  try {
    return fstatSync(fd)
  } catch (error) {
    throw unreadable(`cannot read ${name}: ${(error as {code?: string}).code}`)
  }
}

/** Where a system shows the descriptors of a process; elsewhere the bounded wait has to do. */
const OWN = '/proc/self/fdinfo'
const O_ACCMODE = 0o3

/** True when this process also holds the other end of a pipe: nobody else was meant to use it. */
function isOwnPipe(fd: number, {dev, ino}: Stats): boolean {
  return descriptors().some((other) => {
    if (other === fd) return false
    try {
      const stat = fstatSync(other)
      return stat.dev === dev && stat.ino === ino && isWritten(other) !== isWritten(fd)
    } catch {
      return false // closed meanwhile
    }
  })
}

function descriptors(): number[] {
  try {
    return readdirSync(OWN).map(Number)
  } catch {
    return []
  }
}

function isWritten(fd: number): boolean {
  const [, flags = '0'] = /^flags:\s+(\d+)$/m.exec(readFileSync(`${OWN}/${fd}`, 'utf8')) ?? []
  return (Number.parseInt(flags, 8) & O_ACCMODE) !== 0
}

function unreadable(seen: string, hint?: string): RelError {
  return new RelError('file_unreadable', seen, hint === undefined ? {} : {hint})
}
