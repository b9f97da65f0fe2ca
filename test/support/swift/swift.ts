import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync} from 'node:fs'
import {createServer} from 'node:net'
import {homedir} from 'node:os'
import {join} from 'node:path'
import {AwsClient} from 'aws4fetch'
import {temporaryFolder} from '../tmp.ts'

/** OpenStack Swift with its S3 interface, from Debian's packages, as private processes. */
export type Swift = {
  /** An empty place of its own in a bucket. */
  newUrl(): string
  readonly env: Readonly<Record<string, string>>
  /** Replaces an object behind the store's back; `url` is one of newUrl. */
  put(url: string, key: string, bytes: Uint8Array): Promise<void>
  /** The port of the proxy. */
  readonly port: number
  stop(): Promise<void>
}

const packages = ['swift-proxy', 'swift-account', 'swift-container', 'swift-object', 'memcached']

/** Their services are not run from here, and these are what only services need. */
const unneeded =
  /^(?:rsync|rsyslog|logrotate|intltool-debian|po-debconf|openstack-pkg-tools|uwsgi-.*)$/

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'rel-tests', 'swift')

const START_LIMIT_MS = 120_000

/** Starts it, or says why not, for a named skip. */
export async function startSwift(): Promise<Swift | string> {
  let root: string
  try {
    root = unpackedPackages()
  } catch (error) {
    const {stderr} = error as {stderr?: string}
    return `OpenStack Swift is not to be had through apt: ${stderr?.trim() || error}`
  }
  const folder = temporaryFolder('swift-')
  const env = {
    ...process.env,
    PYTHONPATH: join(root, 'usr/lib/python3/dist-packages'),
    LD_LIBRARY_PATH: libraryFolders(root).join(':'),
  }
  const memcachedPort = await freePort()
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const listen = ['-l', '127.0.0.1', '-p', String(memcachedPort), '-m', '16', ...user]
  const memcached = spawn(join(root, 'usr/bin/memcached'), listen, {env, stdio: 'ignore'})
  const script = join(import.meta.dirname, 'all-in-one.py')
  const args = ['-B', script, folder, String(memcachedPort)]
  const server = spawn('/usr/bin/python3', args, {env, stdio: ['pipe', 'pipe', 'pipe']})
  const children = [memcached, server]
  for (const child of children) child.on('error', () => undefined) // it ends, and that is told
  const port = await firstLine(server)
  if (typeof port === 'string') {
    await Promise.all(children.map(end))
    return `OpenStack Swift did not start: ${port}`
  }
  return running(port, children)
}

async function running(port: number, children: readonly ChildProcess[]): Promise<Swift> {
  const env = {AWS_ACCESS_KEY_ID: 'test:tester', AWS_SECRET_ACCESS_KEY: 'testing'}
  const aws = new AwsClient({
    accessKeyId: env.AWS_ACCESS_KEY_ID,
    secretAccessKey: env.AWS_SECRET_ACCESS_KEY,
    service: 's3',
    region: 'us-east-1',
  })
  const put = async (path: string, body?: Uint8Array): Promise<void> => {
    const url = `http://127.0.0.1:${port}/${path}`
    const init = body === undefined ? {} : {body: Buffer.from(body)}
    const answer = await aws.fetch(url, {method: 'PUT', ...init})
    if (!answer.ok) throw new Error(`PUT ${path}: ${answer.status} ${await answer.text()}`)
    await answer.body?.cancel()
  }
  await put('bucket')
  let count = 0
  return {
    port,
    env,
    newUrl: () => {
      count++
      return `s3+http://127.0.0.1:${port}/bucket/place-${count}`
    },
    put: (url, key, bytes) => put(`${new URL(url).pathname.slice(1)}/${key}`, bytes),
    stop: async () => {
      await Promise.all(children.map(end))
    },
  }
}

/** Unpacked without being installed: no service starts, no user is made, no root is needed. */
function unpackedPackages(): string {
  const root = join(cache, 'root')
  if (existsSync(join(root, 'usr/bin/memcached'))) return root
  mkdirSync(cache, {recursive: true})
  const work = mkdtempSync(join(cache, 'unpacking-'))
  try {
    const run = (program: string, ...args: readonly string[]): string =>
      execFileSync(program, args, {cwd: work, encoding: 'utf8', stdio: 'pipe', timeout: 600_000})
    const plan = ['install', '--simulate', '--no-install-recommends', ...packages]
    const names = run('apt-get', ...plan)
      .split('\n')
      .flatMap((line) => /^Inst (\S+)/.exec(line)?.[1] ?? [])
      .filter((name) => !unneeded.test(name))
    // what is installed already is downloaded too when it is one of the five
    run('apt-get', 'download', ...new Set([...names, ...packages]))
    const unpacked = join(work, 'root')
    mkdirSync(unpacked)
    for (const name of readdirSync(work).filter((one) => one.endsWith('.deb')))
      run('dpkg-deb', '--extract', name, unpacked)
    if (!existsSync(root)) renameSync(unpacked, root)
    return root
  } finally {
    rmSync(work, {recursive: true, force: true})
  }
}

function libraryFolders(root: string): readonly string[] {
  const lib = join(root, 'usr/lib')
  return readdirSync(lib)
    .filter((name) => name.includes('-linux-'))
    .map((name) => join(lib, name))
}

/** The port that a process prints when it is ready, or what it complained about. */
function firstLine(child: ChildProcess): Promise<number | string> {
  return new Promise((done) => {
    let complaint = ''
    const timer = setTimeout(
      () => done(`nothing after ${START_LIMIT_MS} ms: ${complaint}`),
      START_LIMIT_MS,
    )
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-2000)
    })
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      clearTimeout(timer)
      done(Number(text))
    })
    child.on('close', () => {
      clearTimeout(timer)
      done(complaint)
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      done(error.message)
    })
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const ended = new Promise((done) => child.once('exit', done))
  child.kill('SIGKILL')
  await ended
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer()
    server.on('error', fail).listen(0, '127.0.0.1', () => {
      const {port} = server.address() as {port: number}
      server.close(() => done(port))
    })
  })
}
