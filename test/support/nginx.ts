import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync, writeFileSync} from 'node:fs'
import {connect, createServer} from 'node:net'
import {join} from 'node:path'
import {temporaryFolder} from './tmp.ts'

export type Nginx = {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

/**
 * A real nginx of one process on a loopback port, with these `http` and `server` directives. Its
 * files are below a folder of its own, whose path is put in for `FOLDER`.
 */
export async function startNginx(http: string, server: string): Promise<Nginx> {
  const folder = temporaryFolder('rel nginx ')
  for (const name of ['body', 'proxy', 'cache', 'other']) mkdirSync(join(folder, name))
  const port = await freePort()
  const text = `
daemon off;
master_process off;
pid "${folder}/pid";
error_log "${folder}/error.log";
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path "${folder}/body";
  proxy_temp_path "${folder}/proxy";
  fastcgi_temp_path "${folder}/other";
  uwsgi_temp_path "${folder}/other";
  scgi_temp_path "${folder}/other";
  ${http.replaceAll('FOLDER', folder)}
  server {
    listen 127.0.0.1:${port};
    ${server.replaceAll('FOLDER', folder)}
  }
}
`
  writeFileSync(join(folder, 'nginx.conf'), text)
  const child = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {PATH: `${process.env.PATH}:/usr/sbin`},
  })
  const said: Buffer[] = []
  child.stderr.on('data', (piece: Buffer) => said.push(piece))
  await untilListening(port, child, () => Buffer.concat(said).toString())
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function untilListening(
  port: number,
  child: ChildProcess,
  said: () => string,
): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}: ${said()}`)
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
