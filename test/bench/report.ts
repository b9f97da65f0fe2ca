import {median, type Pairs} from './measure.ts'
import type {Measured, Row} from './rows.ts'

/** A row that was not measured, and why. */
export type Unmeasured = {readonly row: Row; readonly reason: string}

const HEADER = ['| | row | goal | measured | rel | against |', '|---|---|---|---|---|---|']

/** ✔ for a goal that was met, ✖ for one that was missed. */
export function verdict({row, value}: Measured): '✔' | '✖' {
  return (row.unit === 'rate' ? value >= row.goal : value <= row.goal) ? '✔' : '✖'
}

/** One line for the terminal, printed as soon as the row is measured. */
export function resultLine(measured: Measured): string {
  const {row} = measured
  const against = row.unit === 'MiB' ? '' : `  against ${row.theirs.label}`
  return `${verdict(measured)} ${row.title}: ${figure(measured)}, goal ${goal(row)}${against}`
}

export type Run = {
  readonly results: readonly Measured[]
  readonly unmeasured: readonly Unmeasured[]
  readonly facts: {readonly machine: string; readonly command: string; readonly date: string}
  /** All rows there are, in their order. */
  readonly rows: readonly Row[]
  /** The page so far, when only some rows were measured: it keeps the others. */
  readonly page: string | undefined
}

/** The page of docs/benchmarks.md. */
export function benchmarksPage(run: Run): string {
  const lines = tableLines(run)
  const met = lines.filter((line) => line.startsWith('| ✔')).length
  return [
    '# Benchmarks',
    '',
    '<!-- Written by `npm run bench -- --write`. -->',
    '',
    'Each pair ran in turns, rel, peer, rel, peer, after one run of each that does not count; page cache warm.',
    'A figure is the median of the ratios rel / peer of the pairs, so less is better; only ratios within one run mean anything.',
    '*wall* is time on the clock, *CPU* user and system time of the whole process tree, *MiB* the largest resident set of rel.',
    'rel is the built package, installed without its dev dependencies, as a process of its own, start included.',
    '',
    ...HEADER,
    ...lines,
    '',
    `${met} of ${lines.length} goals are met.`,
    ...notMeasured(run),
    '',
    'Runs, the latest of each command:',
    '',
    ...runLines(run),
    '',
  ].join('\n')
}

/** The lines of this run, and those of earlier ones for what it did not measure. */
function tableLines({results, rows, page}: Run): string[] {
  const known = [...(page ?? '').split('\n'), ...results.map(tableLine)]
  const byRow = new Map(known.filter(isRow).map((line) => [keyOf(line), line]))
  // a row that is not measured any more, or under another goal, is not kept
  return rows.flatMap((row) => byRow.get(keyOf(tableLine({row, value: 0}))) ?? [])
}

function isRow(line: string): boolean {
  return /^\| [✔✖] \|/.test(line)
}

/** What a line is about: all of it but the verdict and the figure. */
function keyOf(line: string): string {
  const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim())
  return cells.filter((_, index) => index !== 1 && index !== 4).join('|')
}

function notMeasured({unmeasured}: Run): string[] {
  if (unmeasured.length === 0) return []
  const lines = unmeasured.map(({row, reason}) => `- ${row.title} (${row.theirs.label}): ${reason}`)
  return ['', 'Not measured:', '', ...lines]
}

function runLines({facts, page}: Run): string[] {
  const mark = `\`${facts.command}\``
  const earlier = (page ?? '').split('\n').filter((line) => line.startsWith('- `npm run bench'))
  const kept = earlier.filter((line) => !line.startsWith(`- ${mark}`))
  return [...kept, `- ${mark} on ${facts.date}: ${facts.machine}`]
}

function tableLine(measured: Measured): string {
  const {row} = measured
  const cell = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``
  const against = row.unit === 'MiB' ? '' : cell(row.theirs.label)
  const cells = [
    verdict(measured),
    row.title,
    goal(row),
    figure(measured),
    cell(row.ours.label),
    against,
  ]
  return `| ${cells.join(' | ')} |`
}

function goal({unit, goal: wanted}: Row): string {
  switch (unit) {
    case 'MiB':
    case 'MiB more':
    case 'API calls':
    case 'bytes':
    case 'errors':
    case 'descriptors':
    case 'ms':
    case '%':
      return `at most ${wanted} ${unit}`
    case 'secs more':
      return `at most ${wanted} s more`
    case 'rate':
      return `at least ${wanted}x`
    default:
      return `at most ${wanted}x ${unit}`
  }
}

function figure({row, value, pairs}: Measured): string {
  const {unit} = row
  if (unit === 'ms' || unit === '%') return `${value.toFixed(1)} ${unit}`
  if (['MiB', 'API calls', 'bytes', 'errors', 'descriptors'].includes(unit))
    return `${value.toFixed(0)} ${unit}`
  if (unit === 'MiB more') return `${value.toFixed(0)} MiB${ofPairs(row, pairs)}`
  if (unit === 'secs more') return `${value.toFixed(2)} s${ofPairs(row, pairs)}`
  return `${value.toFixed(2)}x${ofPairs(row, pairs)}`
}

/** Absolute medians, to see what a ratio or a difference is made of. */
function ofPairs(row: Row, pairs: Measured['pairs']): string {
  if (pairs === undefined) return ''
  const of = (costs: Pairs['ours']): string => absolute(row, costs)
  return ` (${of(pairs.ours)} / ${of(pairs.theirs)})`
}

function absolute({unit}: Row, costs: Pairs['ours']): string {
  if (unit === 'MiB more') return `${median(costs.map((cost) => cost.peakMib)).toFixed(0)} MiB`
  const secs = median(costs.map((cost) => (unit === 'CPU' ? cost.cpuSecs : cost.wallSecs)))
  return secs < 1 ? `${(secs * 1000).toFixed(0)} ms` : `${secs.toFixed(2)} s`
}
