import {type AddressInfo, createServer} from 'node:net'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {ContentCache} from '../../../src/system/content-cache.ts'
import {makeHttp} from '../../../src/system/http-client.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

test('an upload that was cut leaves no timer, which would keep the process for half an hour', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.destroy())
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const before = timers()
  const cut = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  const body = {
    size: 200_000,
    async *open() {
      try {
        yield Buffer.alloc(100_000)
        await cut.promise // the connection is gone before the next piece is read
        yield Buffer.alloc(100_000)
      } finally {
        ended.resolve()
      }
    },
  }
  const http = makeHttp({cache: new ContentCache(temporaryFolder()), userAgent: 'rel-test'})
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  await rejectsCode(() => http.send({method: 'PATCH', url, body}), 'http_unreachable')
  cut.resolve()
  await ended.promise
  await new Promise(setImmediate)
  assert.is(timers(), before)
  await new Promise((done) => server.close(done))
})

test.run()
