import {join} from 'node:path'
import {type Subject, shell} from './measure.ts'
import type {Row} from './rows.ts'

const programs = join(import.meta.dirname, 'programs')

function program(name: string, ...words: readonly (string | number)[]): Subject {
  const text = [name, ...words].join(' ')
  return {
    label: `node test/bench/programs/${text}`,
    command: `${process.execPath} ${join(programs, name)} ${words.join(' ')}`.trim(),
  }
}

const runs = new Map<string, Record<string, unknown>>()

/** One figure of a program that prints several; rows of one program share its run. */
function figureOf(subject: Subject, pick: string | ((figures: never) => number)) {
  return (folder: string): number => {
    const known = runs.get(subject.command)
    const figures = known ?? JSON.parse(shell(subject.command, folder))
    runs.set(subject.command, figures)
    return typeof pick === 'string' ? Number(figures[pick]) : pick(figures as never)
  }
}

const base = {group: 'panel', programs: [], needs: [], rounds: 0} as const
const itself: Subject = {label: 'nothing else', command: 'true'}

/** What a panel costs beside nginx, what a fleet does to it, and what it must not tell by its time. */
export function panelRows(): Row[] {
  return [...nginxRows(), ...fleetRows(), memoryRow(), timingRow(), abortRow()]
}

function nginxRows(): Row[] {
  const beside = {...base, programs: ['wrk']}
  const static_: Subject = {label: 'nginx, the same bytes as a file', command: 'true'}
  const manifest = {...beside, ours: program('panel-http.ts', 'manifest', 5), theirs: static_}
  const downloads = {...beside, ours: program('panel-http.ts', 'downloads', 5), theirs: static_}
  const of = (row: typeof manifest, name: string) => ({...row, figure: figureOf(row.ours, name)})
  return [
    {...of(manifest, 'ok'), title: 'manifest, 200', goal: 3, unit: 'CPU'},
    {...of(manifest, 'notModified'), title: 'manifest, 304', goal: 3, unit: 'CPU'},
    {
      ...of(downloads, 'accel'),
      title: 'bytes per CPU second, handed over to nginx',
      goal: 0.8,
      unit: 'rate',
    },
    {
      ...of(downloads, 'embedded'),
      title: 'bytes per CPU second, by the panel itself',
      goal: 0.1,
      unit: 'rate',
    },
  ]
}

function fleetRows(): Row[] {
  const ours = program('panel-nodes.ts', 5000, 60)
  const row = {...base, needs: ['rel'] as const, ours, theirs: itself}
  const title = '5,000 nodes poll for 60 s, 64 slow readers, a tenth aborts'
  return [
    {...row, title, goal: 0, unit: 'errors', figure: figureOf(ours, 'errors')},
    {...row, title, goal: 300, unit: 'MiB', figure: figureOf(ours, 'peakMib')},
    {
      ...row,
      title: `event loop, 99th percentile: ${title}`,
      goal: 50,
      unit: 'ms',
      figure: figureOf(ours, 'loopP99Ms'),
    },
    {
      ...row,
      title: `a release is published meanwhile: ${title}`,
      goal: 1000,
      unit: 'ms',
      figure: figureOf(ours, 'publishMs'),
    },
  ]
}

/** The largest resident set for 1 GB against that for 64 MB: what grows with the artifact. */
function memoryRow(): Row {
  const ours = program('panel-upload.ts', 1_000_000_000, 64_000_000)
  const figure = figureOf(
    ours,
    ({peaks: [large = Number.NaN, small = Number.NaN]}: {peaks: number[]}) => large - small,
  )
  const theirs: Subject = {label: 'the same with 64 MB', command: 'true'}
  const title = 'publish an artifact of 1 GB'
  return {...base, needs: ['rel'], title, goal: 32, unit: 'MiB more', ours, theirs, figure}
}

function timingRow(): Row {
  const ours = program('panel-hidden.ts', 10_000)
  const title = '404 for a hidden release against one for an absent release, medians'
  return {
    ...base,
    title,
    goal: 5,
    unit: '%',
    ours,
    theirs: itself,
    figure: figureOf(ours, 'percent'),
  }
}

function abortRow(): Row {
  const ours = program('panel-aborts.ts', 10_000)
  const title = 'open files after 10,000 aborted downloads'
  const figure = figureOf(ours, 'left')
  return {...base, title, goal: 0, unit: 'descriptors', ours, theirs: itself, figure}
}
