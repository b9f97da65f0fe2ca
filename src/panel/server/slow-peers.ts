import type {Server} from 'node:http'
import type {Socket} from 'node:net'
import type {PanelLimits} from '../panel.ts'

/** Cuts off peers that read or send slower than the limit: each holds a descriptor and memory. */
export type SlowPeers = {
  /** A body is arriving on this connection until `done` is called. */
  receiving(socket: Socket): () => void
  /** Connections that are open. */
  open(): number
  stop(): void
}

type Mark = {readonly read: number; readonly written: number}

/**
 * Looks at every connection once in `idleSecs`: whoever was being waited for and moved fewer than
 * minBytesPerSec in that time is destroyed. Connections that are idle between requests are the
 * keep-alive timeout's business.
 */
export function watchPeers(
  server: Server,
  {idleSecs, minBytesPerSec}: Pick<PanelLimits, 'idleSecs' | 'minBytesPerSec'>,
  onCut: (direction: 'reading' | 'sending') => void,
): SlowPeers {
  const sockets = new Set<Socket>()
  const receiving = new Map<Socket, Mark>()
  const waiting = new Map<Socket, Mark>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      receiving.delete(socket)
      waiting.delete(socket)
    })
  })
  const least = minBytesPerSec * idleSecs
  const timer = setInterval(() => {
    for (const socket of sockets) sweep(socket)
  }, idleSecs * 1000)
  timer.unref()
  return {
    receiving(socket) {
      receiving.set(socket, markOf(socket))
      return () => receiving.delete(socket)
    },
    open: () => sockets.size,
    stop: () => clearInterval(timer),
  }

  function sweep(socket: Socket): void {
    const now = markOf(socket)
    const began = waiting.get(socket)
    if (socket.writableLength === 0 && !receiving.has(socket)) {
      waiting.delete(socket)
      return
    }
    waiting.set(socket, now)
    if (began === undefined) return // it has a whole interval from here on
    const moved = now.read - began.read + (now.written - began.written)
    if (moved >= least) return
    onCut(receiving.has(socket) ? 'sending' : 'reading')
    socket.destroy()
  }
}

/** What the peer has sent, and what it has taken: bytes still queued here are not taken. */
function markOf(socket: Socket): Mark {
  return {read: socket.bytesRead, written: socket.bytesWritten - socket.writableLength}
}
