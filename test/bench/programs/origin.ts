import {renameSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'

/** A server on loopback that gives as many zeros as its path says; its address is in origin.url. */
const piece = Buffer.alloc(1 << 20)
const server = createServer(async (request, response) => {
  let left = Number(request.url?.slice(1))
  response.setHeader('content-length', left)
  while (left > 0 && !response.destroyed) {
    const part = piece.subarray(0, Math.min(left, piece.length))
    left -= part.length
    if (!response.write(part)) await new Promise((resolve) => response.once('drain', resolve))
  }
  response.end()
})
server.listen(0, '127.0.0.1', () => {
  const {port} = server.address() as AddressInfo
  writeFileSync('origin.url.new', `http://127.0.0.1:${port}`)
  renameSync('origin.url.new', 'origin.url')
})
process.on('disconnect', () => process.exit(0)) // the bench has ended
