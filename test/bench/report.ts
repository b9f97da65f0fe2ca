import {median} from './measure.ts'
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

/** The page of docs/benchmarks.md. */
export function benchmarksPage(
  results: readonly Measured[],
  unmeasured: readonly Unmeasured[],
  facts: {readonly machine: string; readonly command: string; readonly date: string},
): string {
  const missed = results.filter((result) => verdict(result) === '✖').length
  return [
    '# Benchmarks',
    '',
    `<!-- Written by \`${facts.command}\`. -->`,
    '',
    `Measured on ${facts.date} with \`${facts.command}\`: ${facts.machine}.`,
    '',
    'Each pair ran in turns, rel, peer, rel, peer, after one run of each that does not count; page cache warm.',
    'A figure is the median of the ratios rel / peer of the pairs, so less is better; only ratios within one run mean anything.',
    '*wall* is time on the clock, *CPU* user and system time of the whole process tree, *MiB* the largest resident set of rel.',
    'rel is the built package, installed without its dev dependencies, as a process of its own, start included.',
    '',
    ...HEADER,
    ...results.map(tableLine),
    '',
    `${results.length - missed} of ${results.length} goals are met.`,
    ...(unmeasured.length === 0 ? [] : ['', 'Not measured:', '']),
    ...unmeasured.map(({row, reason}) => `- ${row.title} (${row.theirs.label}): ${reason}`),
    '',
  ].join('\n')
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
  if (unit === 'MiB') return `at most ${wanted} MiB`
  if (unit === 'secs more') return `at most ${wanted} s more`
  return unit === 'rate' ? `at least ${wanted}x` : `at most ${wanted}x ${unit}`
}

function figure({row, value, pairs}: Measured): string {
  if (row.unit === 'MiB') return `${value.toFixed(0)} MiB`
  const ratio = row.unit === 'secs more' ? `${value.toFixed(2)} s` : `${value.toFixed(2)}x`
  return pairs === undefined ? ratio : `${ratio} (${absolute(row, pairs)})`
}

/** Absolute medians, to see what a ratio is made of. */
function absolute({unit}: Row, {ours, theirs}: NonNullable<Measured['pairs']>): string {
  const of = (costs: typeof ours): string => {
    const secs = median(costs.map((cost) => (unit === 'CPU' ? cost.cpuSecs : cost.wallSecs)))
    return secs < 1 ? `${(secs * 1000).toFixed(0)} ms` : `${secs.toFixed(2)} s`
  }
  return `${of(ours)} / ${of(theirs)}`
}
