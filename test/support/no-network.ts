import net from 'node:net'

/**
 * Makes every connection that leaves this machine fail at once, for the rest of the process: a test
 * that imports this proves that what it does needs no network.
 */
const connect = net.Socket.prototype.connect

const refuse = function (this: net.Socket, ...args: unknown[]): net.Socket {
  const [first] = args.flat() as [{host?: string; path?: string} | undefined]
  const local = first?.path !== undefined || first?.host === '127.0.0.1'
  if (!local) throw new Error(`a test tried to reach ${first?.host ?? 'another machine'}`)
  return Reflect.apply(connect, this, args) as net.Socket
}

net.Socket.prototype.connect = refuse as typeof connect
