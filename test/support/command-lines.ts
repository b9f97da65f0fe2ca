import {spawn} from 'node:child_process'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {quickConfig} from '../../src/cli/oclif-config.ts'
import {beginOutput} from '../../src/cli/output.ts'
import {sourceTree} from '../../src/cli/source-tree.ts'
import {checkout} from './built.ts'
import {cleanEnv, type Ran} from './rel.ts'
import {temporaryFolder} from './tmp.ts'

/** A command with its arguments, and the folder that it is run in. */
export type CommandLine = {
  /** `keys:new` */
  readonly id: string
  readonly args: readonly string[]
  readonly cwd: string
}

/** What a process may take for all of its command lines, on a machine that is busy with others. */
const PATIENCE_SECS = 300

type Runs = new (argv: string[], config: object) => {_run(): Promise<unknown>}

/**
 * Runs command lines one after the other in one process, from the sources and past bin/rel: what
 * a command prints and the exit code that it sets. A start of rel each would take a hundred times
 * as long. A process that does not end is killed, and everything in it has failed.
 */
export async function runLines(
  lines: readonly CommandLine[],
  env: Readonly<Record<string, string>> = {},
): Promise<readonly Ran[]> {
  const folder = temporaryFolder()
  const [asked, answered] = [join(folder, 'lines.json'), join(folder, 'ran.json')]
  writeFileSync(asked, JSON.stringify(lines))
  const child = spawn(process.execPath, [import.meta.filename, asked, answered], {
    cwd: folder,
    env: cleanEnv(env),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const said: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk))
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_SECS * 1000)
  const ended = await new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(`${signal ?? code}`))
  })
  clearTimeout(timer)
  if (ended === '0') return JSON.parse(readFileSync(answered, 'utf8')) as Ran[]
  throw new Error(`the command lines ended with ${ended}: ${Buffer.concat(said)}`)
}

async function main(asked: string, answered: string): Promise<void> {
  const lines = JSON.parse(readFileSync(asked, 'utf8')) as CommandLine[]
  const tree = sourceTree(checkout)
  const config = await quickConfig(tree)
  const ran: Ran[] = []
  for (const {id, args, cwd} of lines) {
    process.chdir(cwd)
    const Runnable = (await tree.load(id)) as unknown as Runs
    ran.push(await captured(() => new Runnable([...args], config)._run()))
  }
  writeFileSync(answered, JSON.stringify(ran))
  process.exit(0) // whatever a command has left open would have ended with its process
}

/** An error that gets past the frame of a command fails the whole process. */
async function captured(work: () => Promise<unknown>): Promise<Ran> {
  const out = {stdout: '', stderr: ''}
  const {stdout, stderr} = process
  const [toOut, toErr] = [stdout.write, stderr.write]
  stdout.write = taking((text) => {
    out.stdout += text
  })
  stderr.write = taking((text) => {
    out.stderr += text
  })
  process.exitCode = 0
  beginOutput()
  try {
    await work()
    return {code: Number(process.exitCode), signal: null, ...out}
  } finally {
    stdout.write = toOut
    stderr.write = toErr
    process.exitCode = 0
  }
}

function taking(take: (text: string) => void): typeof process.stdout.write {
  return (chunk: string | Uint8Array, ...rest: unknown[]) => {
    take(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8'))
    const done = rest.at(-1)
    if (typeof done === 'function') done()
    return true
  }
}

if (import.meta.main) {
  const [, , asked = '', answered = ''] = process.argv
  await main(asked, answered)
}
