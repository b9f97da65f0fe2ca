import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {chmodSync, chownSync, existsSync, mkdirSync, readdirSync, statSync} from 'node:fs'
import {delimiter, dirname, join} from 'node:path'
import {setTimeout} from 'node:timers/promises'
import pg from 'pg'
import {temporaryFolder} from './tmp.ts'

/** A PostgreSQL server of the tests' own: a private folder, a socket in it, no port. */
export type Postgres = {
  /** Makes an empty database and returns its URL. */
  createDatabase(): Promise<string>
  /** Kills it as a power cut would, and starts it again when `up` is called. */
  kill(): Promise<void>
  up(): Promise<void>
  stop(): Promise<void>
}

const START_LIMIT_MS = 60_000

let copies = 0

/** Debian keeps the programs of a server apart from PATH. */
function serverPrograms(): string | undefined {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian)
    ? readdirSync(debian).sort((a, b) => Number(b) - Number(a))
    : []
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  return folders.find((folder) => existsSync(join(folder, 'initdb')))
}

/** Starts one, or says why there is none, for a named skip. */
export async function startPostgres(): Promise<Postgres | string> {
  const programs = serverPrograms()
  if (programs === undefined) return 'no PostgreSQL server; install the package postgresql'
  const user = unprivileged()
  if (typeof user === 'string') return user
  // a socket's path has room for 107 bytes
  const folder = temporaryFolder('pg-')
  const data = join(folder, 'data')
  mkdirSync(data, {mode: 0o700})
  if (user !== undefined) handOver(user, folder, data)
  const as = {cwd: folder, ...user}
  // another collation than that of bytes, so that a forgotten COLLATE "C" shows
  const collation = ['--encoding=UTF8', '--locale-provider=icu', '--icu-locale=en-US', '--locale=C']
  const args = ['-D', data, '--username=rel', '--auth=trust', '--no-sync', ...collation]
  execFileSync(join(programs, 'initdb'), args, {...as, stdio: 'pipe'})
  const server = new Server(join(programs, 'postgres'), folder, as)
  await server.up()
  return server
}

/** Gives folders to the user, and lets it through the private ones above them. */
function handOver({uid, gid}: User, folder: string, data: string): void {
  for (const path of [folder, data]) chownSync(path, uid, gid)
  for (let above = dirname(folder); above !== dirname(above); above = dirname(above)) {
    const {mode} = statSync(above)
    if ((mode & 0o001) === 0) chmodSync(above, (mode & 0o7777) | 0o011)
  }
}

type User = {readonly uid: number; readonly gid: number}

/** PostgreSQL refuses to run as root. */
function unprivileged(): User | undefined | string {
  if (process.getuid?.() !== 0) return undefined
  try {
    const id = (flag: string): number =>
      Number(execFileSync('id', [flag, 'postgres'], {encoding: 'utf8', stdio: 'pipe'}))
    return {uid: id('-u'), gid: id('-g')}
  } catch {
    return 'PostgreSQL does not run as root, and there is no user postgres'
  }
}

class Server implements Postgres {
  readonly #program: string
  readonly #folder: string
  readonly #as: {readonly cwd: string}
  #child: ChildProcess | undefined
  #output = ''
  #count = 0

  constructor(program: string, folder: string, as: {readonly cwd: string}) {
    this.#program = program
    this.#folder = folder
    this.#as = as
  }

  async up(): Promise<void> {
    const settings = {
      unix_socket_directories: this.#folder,
      listen_addresses: '',
      // a killed server loses nothing by it, only a machine without power would
      fsync: 'off',
      shared_buffers: '16MB',
      max_connections: '60',
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const args = ['-D', join(this.#folder, 'data'), ...options]
    const child = spawn(this.#program, args, {...this.#as, stdio: ['ignore', 'ignore', 'pipe']})
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text
    })
    this.#child = child
    const deadline = Date.now() + START_LIMIT_MS
    while (!(await this.#answers())) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`PostgreSQL did not start: ${this.#output}`)
      await setTimeout(50)
    }
  }

  async #answers(): Promise<boolean> {
    const client = new pg.Client({connectionString: this.#url('postgres')})
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.query('select 1')
      return true
    } catch {
      return false
    } finally {
      await client.end().catch(() => undefined)
    }
  }

  async createDatabase(): Promise<string> {
    this.#count++
    const name = `panel${this.#count}`
    await runSql(this.#url('postgres'), `create database ${name} template template0`)
    return this.#url(name)
  }

  #url(database: string): string {
    return `postgres://rel@localhost/${database}?host=${encodeURIComponent(this.#folder)}`
  }

  async kill(): Promise<void> {
    await this.#end('SIGQUIT') // no checkpoint, no farewell: recovery at the next start
  }

  async stop(): Promise<void> {
    await this.#end('SIGINT')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise((done) => child.once('exit', done))
    child.kill(signal)
    await ended
  }
}

/** Runs statements in a connection of their own. */
export async function runSql(url: string, text: string): Promise<void> {
  const client = new pg.Client({connectionString: url})
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

/** A database of the same server with everything that is in another, which nobody is using. */
export async function copyDatabase(url: string): Promise<string> {
  copies++
  const [copy, maintenance] = [new URL(url), new URL(url)]
  const name = `${copy.pathname.slice(1)}copy${copies}`
  const from = copy.pathname.slice(1)
  copy.pathname = `/${name}`
  maintenance.pathname = '/postgres'
  await runSql(maintenance.href, `create database ${name} template ${from}`)
  return copy.href
}
