import {type ChildProcess, spawn} from 'node:child_process'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import type {FileRecord} from './run-file.ts'

export type FileResult = {
  readonly name: string
  readonly record: FileRecord
  /** What the file printed, for the report of a failure. */
  readonly output: string
  readonly secs: number
}

export type FileOptions = {
  readonly name: string
  /** The process and what it started are killed after this. */
  readonly limitSecs: number
  /** TMPDIR of the process, so that a killed one leaves nothing behind. */
  readonly tmpdir: string
}

const RUN_FILE = join(import.meta.dirname, 'run-file.ts')
const running = new Set<ChildProcess>()

/** Runs one test file in a process group of its own; never rejects because of what the file does. */
export async function runFile(file: string, options: FileOptions): Promise<FileResult> {
  const started = performance.now()
  const child = spawn(process.execPath, [RUN_FILE, file], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: {...process.env, TMPDIR: options.tmpdir},
    detached: true,
  })
  running.add(child)
  const texts = collect(child)
  const ending = await endOf(child, options.limitSecs)
  running.delete(child)
  const secs = (performance.now() - started) / 1000
  const record = recordOf(texts.record, ending)
  return {name: options.name, record, output: texts.output, secs}
}

/** Kills every file that is running, with what it started. */
export function stopFiles(): void {
  for (const child of running) killGroup(child)
}

function collect(child: ChildProcess): {output: string; record: string} {
  const texts = {output: '', record: ''}
  const [, stdout, stderr, record] = child.stdio as Readable[]
  for (const stream of [stdout, stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      texts.output += text
    })
  }
  record?.setEncoding('utf8').on('data', (text: string) => {
    texts.record += text
  })
  return texts
}

/** Undefined for a process that ended by itself with 0, else how it ended. */
function endOf(child: ChildProcess, limitSecs: number): Promise<string | undefined> {
  return new Promise((done) => {
    let isLate = false
    const limit = setTimeout(() => {
      isLate = true
      killGroup(child)
    }, limitSecs * 1000)
    // what the file started and left running would hold our pipes open for ever
    child.on('exit', () => killGroup(child))
    child.on('close', (code, signal) => {
      clearTimeout(limit)
      if (isLate) done(`it was still running after ${limitSecs} s`)
      else done(code === 0 ? undefined : `it ended with ${signal ?? code}`)
    })
  })
}

function killGroup({pid}: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // the group is empty already
  }
}

/** A file without a record never finished, whatever its exit code. */
function recordOf(text: string, ending: string | undefined): FileRecord {
  const nothing = {passed: 0, failed: 0, skips: [], silentSkips: 0, problems: []}
  const record = text === '' ? nothing : (JSON.parse(text) as FileRecord)
  const problem = ending ?? (text === '' ? 'it ended before its tests did' : undefined)
  if (problem === undefined) return record
  return {...record, failed: record.failed + 1, problems: [...record.problems, problem]}
}
