import {type ChildProcess, execFileSync, fork, spawn} from 'node:child_process'
import {once} from 'node:events'
import {readdirSync, readFileSync, readlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {clientOf, type TestPanel} from '../support/panel.ts'
import type {ServerOptions, ServerReady} from './programs/panel-server.ts'

/** A panel that is measured from outside. */
export type PanelProcess = ServerReady &
  Pick<TestPanel, 'ask'> & {
    readonly pid: number
    /** What the log says, counted by event and code; of the installed panel alone. */
    readonly logged: Readonly<Record<string, number>>
    stop(): Promise<void>
  }

/** Starts a panel in a process of its own. */
export async function startPanelProcess(options: ServerOptions): Promise<PanelProcess> {
  const child = fork(join(import.meta.dirname, 'programs/panel-server.ts'), [
    JSON.stringify(options),
  ])
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`the panel ended with ${code}`)
  })
  failed.catch(() => undefined)
  const [ready] = (await Promise.race([once(child, 'message'), failed])) as [ServerReady]
  return {
    ...ready,
    ...clientOf(ready.url, ready.adminToken),
    pid: child.pid ?? 0,
    logged: {},
    stop: () => stop(child),
  }
}

/** The same as people run it: the built package that is installed in the bench's folder. */
export async function startInstalledPanel(data: string): Promise<PanelProcess> {
  const words = ['panel', 'serve', '--data', data, '--listen', '127.0.0.1:0', '--quiet']
  const child = spawn('./installed/rel', words, {stdio: ['ignore', 'ignore', 'pipe']})
  process.once('exit', () => child.kill('SIGKILL'))
  const logged: Record<string, number> = {}
  const url = await startedAt(child, logged)
  const adminToken = readFileSync(join(data, 'admin-token'), 'utf8').trim()
  return {
    url,
    adminToken,
    licenses: [],
    ...clientOf(url, adminToken),
    pid: child.pid ?? 0,
    logged,
    stop: () => stop(child),
  }
}

/** Reads the log to its end, so that the panel never waits for its reader. */
function startedAt({stderr}: ChildProcess, logged: Record<string, number>): Promise<string> {
  return new Promise((resolve, reject) => {
    if (stderr === null) throw new Error('no log')
    const lines = createInterface({input: stderr})
    lines.on('line', (line) => {
      const {event, address, code = ''} = line.startsWith('{') ? JSON.parse(line) : {event: line}
      const name = `${event} ${code}`.trim()
      logged[name] = (logged[name] ?? 0) + 1
      if (event === 'panel.started') resolve(address)
    })
    lines.once('close', () => reject(new Error('the panel ended before it listened')))
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** CPU seconds of all threads of a process, to the nanosecond where /proc/PID/stat counts ticks. */
export function cpuSecs(pid: number): number {
  const nanos = readdirSync(`/proc/${pid}/task`).map((task) =>
    Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]),
  )
  return nanos.reduce((sum, one) => sum + one, 0) / 1e9
}

/** Largest resident set so far, in MiB. */
export function peakMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024
}

/** Descriptors of blobs that a process has open. */
export function openBlobs(pid: number): number {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder).filter((fd) => {
    try {
      return readlinkSync(join(folder, fd)).includes('/blobs/')
    } catch {
      return false // closed meanwhile
    }
  }).length
}

export type Load = {readonly requests: number; readonly bytes: number}

const counts = `done = function(summary)
  local e = summary.errors
  io.write(string.format("\\n{\\"requests\\":%d,\\"bytes\\":%d,\\"failed\\":%d}\\n", summary.requests,
    summary.bytes, e.connect + e.read + e.write + e.status + e.timeout))
end
`

/** Asks for one address over and over. Throws when anything but success came back. */
export function wrk(
  folder: string,
  url: string,
  options: {
    readonly connections: number
    readonly secs: number
    readonly headers?: Readonly<Record<string, string>>
  },
): Load {
  const script = join(folder, 'counts.lua')
  writeFileSync(script, counts)
  const headers = Object.entries(options.headers ?? {}).flatMap(([k, v]) => ['-H', `${k}: ${v}`])
  const {connections, secs} = options
  const args = ['-t1', `-c${connections}`, `-d${secs}s`, '--timeout', '30s', ...headers]
  const text = execFileSync('wrk', [...args, '-s', script, url], {encoding: 'utf8'})
  const line = text.trim().split('\n').at(-1) ?? ''
  const {failed, ...load} = JSON.parse(line) as Load & {failed: number}
  if (failed > 0 || load.requests === 0)
    throw new Error(`${failed} of ${load.requests} requests failed at ${url}`)
  return load
}
