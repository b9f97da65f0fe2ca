import {spawnSync} from 'node:child_process'
import {join} from 'node:path'

/** Cost of one run of a whole process tree. */
export type Cost = {
  readonly wallSecs: number
  /** User and system time of the process and everything it waited for. */
  readonly cpuSecs: number
  /** Largest resident set of any one process, in MiB. */
  readonly peakMib: number
}

export type Subject = {
  /** As it is printed: what a person would type. */
  readonly label: string
  /** Run by a shell in the bench's folder; the shell is replaced when it is one command. */
  readonly command: string
  /** Run before each measurement, not measured. */
  readonly before?: string
}

const MEASURE = join(import.meta.dirname, 'measure.py')

/** Runs a subject once. Throws when it fails: a figure of a failed run would mean nothing. */
export function measure(subject: Subject, folder: string): Cost {
  if (subject.before !== undefined) shell(subject.before, folder)
  const words = subject.command.includes('|') || subject.command.includes(';')
  const command = words ? subject.command : `exec ${subject.command}`
  const {stdout, stderr} = spawnSync('python3', [MEASURE, 'sh', '-c', command], {
    encoding: 'utf8',
    env: {...process.env, REL_BENCH_CWD: folder},
    maxBuffer: 64 << 20,
  })
  const {wall, cpu, peak, exit} = JSON.parse(stdout) as Record<
    'wall' | 'cpu' | 'peak' | 'exit',
    number
  >
  if (exit !== 0) throw new Error(`${subject.command} ended with ${exit}: ${stderr.slice(-500)}`)
  return {wallSecs: wall, cpuSecs: cpu, peakMib: peak}
}

/** Runs a line of shell in a folder. Throws when it fails. */
export function shell(line: string, folder: string): string {
  const {status, stdout, stderr} = spawnSync('sh', ['-c', line], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  })
  if (status !== 0) throw new Error(`${line} ended with ${status}: ${stderr.slice(-500)}`)
  return stdout
}

export type Pairs = {readonly ours: readonly Cost[]; readonly theirs: readonly Cost[]}

/** Measures A B A B …, after one run of each to fill the page cache. */
export function measurePairs(
  ours: Subject,
  theirs: Subject,
  rounds: number,
  folder: string,
): Pairs {
  measure(ours, folder)
  measure(theirs, folder)
  const pairs = Array.from({length: rounds}, () => ({
    ours: measure(ours, folder),
    theirs: measure(theirs, folder),
  }))
  return {ours: pairs.map((pair) => pair.ours), theirs: pairs.map((pair) => pair.theirs)}
}

/** Median over the pairs of what ours takes more than theirs. */
export function medianDifference({ours, theirs}: Pairs, of: (cost: Cost) => number): number {
  return median(ours.map((cost, index) => of(cost) - of(theirs[index] as Cost)))
}

/** Median over the pairs of ours divided by theirs: a slow moment of the machine hits both. */
export function medianRatio({ours, theirs}: Pairs, of: (cost: Cost) => number): number {
  return median(ours.map((cost, index) => of(cost) / of(theirs[index] as Cost)))
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low = Number.NaN, high = Number.NaN] = [sorted[(sorted.length - 1) >> 1], sorted[middle]]
  return (low + high) / 2
}
