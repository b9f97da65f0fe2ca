import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {createServer, type Server} from 'node:net'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {ownsPort} from '../../../src/gates/port-owner.ts'
import {needsThat} from '../../support/needs.ts'

async function listening(use: (port: number, server: Server) => Promise<void>): Promise<void> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as {port: number}
  try {
    await use(port, server)
  } finally {
    server.close()
  }
}

if (needsThat('/proc/net/tcp', process.platform === 'linux', 'only Linux has it')) {
  test('a port belongs to who listens on it, until it ends', () =>
    listening(async (port, server) => {
      assert.is(ownsPort(process.pid, port), true)
      server.close()
      await once(server, 'close')
      assert.is(ownsPort(process.pid, port), false)
    }))

  test('a port on which another process answers is not that of the program', () =>
    listening(async (port) => {
      const child = spawn('sleep', ['60'])
      await once(child, 'spawn')
      try {
        assert.is(ownsPort(child.pid ?? 0, port), false)
      } finally {
        child.kill('SIGKILL')
        await once(child, 'close')
      }
    }))
}

test.run()
