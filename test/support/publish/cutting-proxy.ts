import {type AddressInfo, connect, createServer, type Socket} from 'node:net'

export type CuttingProxy = {
  readonly url: string
  /** Bytes that clients have sent, heads of requests included. */
  bytes(): number
  /** Connections that were cut. */
  cuts(): number
  close(): Promise<void>
}

/**
 * Passes bytes to a port on loopback and cuts the connection whenever clients have sent another of
 * these counts in all: what came before the cut is passed on, what comes after it is lost.
 */
export async function cuttingProxy(port: number, counts: readonly number[]): Promise<CuttingProxy> {
  let sent = 0
  let done = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
    upstream.pipe(client)
    upstream.on('close', () => client.destroy())
    client.on('end', () => upstream.end())
    client.on('data', (chunk: Buffer) => {
      sent += chunk.length
      const at = counts[done] ?? Number.POSITIVE_INFINITY
      const isPassed = upstream.write(chunk)
      if (sent >= at) {
        done++
        client.destroy()
        upstream.end()
      } else if (!isPassed) {
        client.pause()
        upstream.once('drain', () => client.resume())
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bytes: () => sent,
    cuts: () => done,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
