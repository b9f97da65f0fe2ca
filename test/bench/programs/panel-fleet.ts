import {once} from 'node:events'
import {connect, type Socket} from 'node:net'
import {setTimeout as wait} from 'node:timers/promises'

/** What a fleet is to do. */
export type Fleet = {
  readonly url: string
  /** One for each node. */
  readonly licenses: readonly string[]
  /** Path of an artifact that is larger than anybody reads of it. */
  readonly download: string
  readonly secs: number
  /** Version that is published meanwhile. */
  readonly newest: string
}

export type FleetReport = {
  readonly seen: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<string, number>>
}

/**
 * Nodes with a connection and a licence each, over plain sockets, so that they cost less than the
 * panel. Each polls ten times; one poll in ten is followed by a download that is given up. 64 more
 * connections read a download at 100 KB/s, to the end.
 */
const POLLS = 10
const READERS = 64

const seen: Record<string, number> = {polls: 0, ok: 0, not_modified: 0, aborted: 0, newest: 0}
const errors: Record<string, number> = {}
const count = (counts: Record<string, number>, name: string): void => {
  counts[name] = (counts[name] ?? 0) + 1
}

type Head = {readonly status: number; readonly length: number; readonly etag: string | undefined}

function headOf(text: string): Head {
  const field = (name: string) => new RegExp(`\r\n${name}: ([^\r]*)`, 'i').exec(text)?.[1]
  return {
    status: Number(text.slice(9, 12)),
    length: Number(field('content-length') ?? 0),
    etag: field('etag'),
  }
}

function requestOf(path: string, license: string, etag?: string): string {
  const condition = etag === undefined ? '' : `if-none-match: ${etag}\r\n`
  return `GET ${path} HTTP/1.1\r\nhost: panel\r\nauthorization: Bearer ${license}\r\n${condition}\r\n`
}

function open({url}: Fleet): Socket {
  const {hostname, port} = new URL(url)
  return connect(Number(port), hostname)
}

/** A connection whose end is found out by those who wait for something on it. */
function connected(fleet: Fleet): Socket {
  return open(fleet).on('error', () => undefined)
}

/** One request on a connection that stays open; head and body. */
function exchange(socket: Socket, text: string): Promise<{head: Head; body: string}> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) throw new Error('closed between two polls')
    let got = ''
    const over = (): void => {
      socket.off('data', more).off('error', failed).off('close', closed)
    }
    const failed = (error: Error): void => {
      over()
      reject(error)
    }
    const closed = (): void => failed(new Error('closed'))
    const more = (piece: Buffer): void => {
      got += piece.toString('latin1')
      const end = got.indexOf('\r\n\r\n')
      if (end < 0) return
      const head = headOf(got.slice(0, end))
      const length = head.status === 304 ? 0 : head.length
      if (got.length < end + 4 + length) return
      over()
      resolve({head, body: got.slice(end + 4)})
    }
    socket.on('data', more).once('error', failed).once('close', closed)
    socket.write(text)
  })
}

async function node(fleet: Fleet, at: number): Promise<void> {
  const license = fleet.licenses[at] ?? ''
  const period = (fleet.secs * 1000) / POLLS
  await wait(Math.random() * period)
  let socket = connected(fleet)
  let etag: string | undefined
  for (let turn = 0; turn < POLLS; turn++) {
    const due = performance.now() + period
    try {
      const {head, body} = await exchange(socket, requestOf('/update/manifest.json', license, etag))
      note(fleet, head, body)
      etag = head.etag
      if ((at + turn) % 10 === 0) await giveUp(fleet, license, at)
    } catch (error) {
      const {code, message} = error as NodeJS.ErrnoException
      count(errors, code ?? message)
      socket.destroy()
      socket = connected(fleet)
    }
    await wait(Math.max(0, due - performance.now()))
  }
  socket.destroy()
}

function note({newest}: Fleet, {status}: Head, body: string): void {
  count(seen, 'polls')
  if (status === 304) count(seen, 'not_modified')
  else if (status !== 200) count(errors, `poll ${status}`)
  else {
    count(seen, 'ok')
    if (body.startsWith(`{"release":{"product":"agent","version":"${newest}"`))
      count(seen, 'newest')
  }
}

/** Begins a download and hangs up, at once or after the first bytes. */
async function giveUp(fleet: Fleet, license: string, at: number): Promise<void> {
  const socket = connected(fleet)
  socket.write(requestOf(fleet.download, license))
  const signal = AbortSignal.timeout(60_000)
  if (at % 2 === 0) {
    const [piece] = (await once(socket, 'data', {signal})) as [Buffer]
    const {status} = headOf(piece.toString('latin1'))
    if (status !== 200) count(errors, `download ${status}`)
  } else await once(socket, 'connect', {signal})
  socket.destroy()
  count(seen, 'aborted')
}

function slowReader(fleet: Fleet, at: number): Socket {
  const socket = open(fleet)
  socket.write(requestOf(fleet.download, fleet.licenses[at] ?? ''))
  const timer = setInterval(() => socket.resume(), 640)
  socket.on('data', () => socket.pause())
  socket.on('error', () => undefined)
  socket.once('close', () => clearInterval(timer))
  return socket
}

async function run(fleet: Fleet): Promise<void> {
  const readers = Array.from({length: READERS}, (_, at) => slowReader(fleet, at))
  await Promise.all(fleet.licenses.map((_, at) => node(fleet, at)))
  for (const reader of readers) {
    if (reader.destroyed) count(errors, 'a slow reader was cut off')
    reader.destroy()
  }
  process.send?.({seen, errors} satisfies FleetReport)
}

process.once('message', (fleet) => run(fleet as Fleet))
