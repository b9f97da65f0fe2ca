import {createServer, type IncomingMessage, type ServerResponse} from 'node:http'
import type {AddressInfo} from 'node:net'

export type LoopbackServer = {
  readonly url: string
  /** Method, path and headers of every request, in order. */
  readonly seen: readonly {
    readonly method: string
    readonly path: string
    readonly headers: Readonly<Record<string, string | string[] | undefined>>
  }[]
  close(): Promise<void>
}

/** A server on loopback; `answer` gets the number of the request, from 0. */
export function loopbackServer(
  answer: (request: IncomingMessage, response: ServerResponse, count: number) => void,
): Promise<LoopbackServer> {
  const seen: {method: string; path: string; headers: IncomingMessage['headers']}[] = []
  const server = createServer((request, response) => {
    const {method = '', url: path = '', headers} = request
    seen.push({method, path, headers})
    answer(request, response, seen.length - 1)
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const {port} = server.address() as AddressInfo
      const close = () =>
        new Promise<void>((ended) => {
          server.close(() => ended())
          server.closeAllConnections()
        })
      resolve({url: `http://127.0.0.1:${port}`, seen, close})
    })
  })
}
