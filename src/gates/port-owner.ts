import {readdirSync, readFileSync, readlinkSync} from 'node:fs'

/** proc(5), /proc/net/tcp: state 0A is TCP_LISTEN. */
const LISTEN = '0A'

/**
 * True when a process, and nobody else, listens on a TCP port of 127.0.0.1; true as well where the
 * system has no /proc to tell it by.
 */
export function ownsPort(pid: number, port: number): boolean {
  const table = textOf('/proc/net/tcp')
  if (table === undefined) return true
  const inodes = listenersOn(table, port)
  if (inodes.length === 0) return false
  const own = socketsOf(pid)
  return inodes.every((inode) => own.has(inode))
}

/** Inodes of the listening sockets; a line is `sl local remote st tx:rx tr:when retrnsmt uid timeout inode`. */
function listenersOn(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(suffix) && state === LISTEN)
    .map((fields) => fields[9] ?? '')
}

function socketsOf(pid: number): ReadonlySet<string> {
  const found = new Set<string>()
  for (const fd of namesIn(`/proc/${pid}/fd`)) {
    const [, inode] = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/${pid}/fd/${fd}`)) ?? []
    if (inode !== undefined) found.add(inode)
  }
  return found
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return undefined
  }
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function targetOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
