import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {loadavg, tmpdir} from 'node:os'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {setUpDebian, setupLine} from '../../scripts/setup-debian.ts'
import {isOnPath} from '../support/needs.ts'
import {Fixtures, fullSizes, machineFacts, quickSizes} from './fixtures.ts'
import {measurePairs, median, medianDifference, medianRatio, type Pairs} from './measure.ts'
import {benchmarksPage, resultLine, type Unmeasured, verdict} from './report.ts'
import {allRows, inUnit, type Measured, type Row} from './rows.ts'

/**
 * Measures every goal of docs/benchmarks.md against the stock tools, in pairs of one run.
 *
 *     npm run bench [-- --only start,sign,verify,pack,unpack,peers,ed25519,boot,bump,delta,device,panel] [--quick] [--write]
 *
 * --quick takes small data: it tries the bench, its figures mean nothing. --write keeps the table;
 * with --only, the other rows stay as they are.
 * Needs up to 6 GB in the temporary directory, and a machine that does nothing else.
 */
async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {
      only: {type: 'string'},
      quick: {type: 'boolean', default: false},
      write: {type: 'boolean', default: false},
    },
  })
  const groups = values.only?.split(',')
  const rows = allRows().filter(({group}) => groups === undefined || groups.includes(group))
  if (rows.length === 0) throw new Error(`no rows are called ${values.only}`)
  print(setupLine(setUpDebian(join(import.meta.dirname, 'debian-packages.txt'))))
  const load = loadavg()[0] ?? 0
  const folder = mkdtempSync(join(tmpdir(), 'rel-bench-'))
  process.on('exit', () => rmSync(folder, {recursive: true, force: true}))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
  const fixtures = new Fixtures(folder, values.quick ? quickSizes : fullSizes)
  const {results, unmeasured} = await measureRows(rows, fixtures, values.quick)
  summarise(results, unmeasured)
  if (values.write) writePage(results, unmeasured, groups !== undefined, load)
  process.exitCode = unmeasured.length === 0 ? 0 : 1
}

type Results = {readonly results: Measured[]; readonly unmeasured: Unmeasured[]}

async function measureRows(
  rows: readonly Row[],
  fixtures: Fixtures,
  quick: boolean,
): Promise<Results> {
  const known = new Map<string, Pairs>()
  const outcome: Results = {results: [], unmeasured: []}
  for (const row of rows) {
    const absent = row.programs.filter((program) => !isOnPath(program))
    try {
      if (absent.length > 0) throw new Error(`${absent.join(', ')} not found`)
      await fixtures.make(row.needs)
      const measured = measureRow(row, fixtures.folder, quick ? 2 : row.rounds, known)
      outcome.results.push(measured)
      print(resultLine(measured))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      outcome.unmeasured.push({row, reason})
      print(`- ${row.title}: not measured: ${reason}`)
    }
  }
  return outcome
}

/** Rows that look at the same pair from another side share its runs. */
function measureRow(row: Row, folder: string, rounds: number, known: Map<string, Pairs>): Measured {
  const isCounted = row.unit === 'rate' || row.unit === 'API calls' || row.unit === 'bytes'
  if (isCounted || row.rounds === 0) return {row, value: row.figure?.(folder) ?? Number.NaN}
  const name = `${row.ours.command}\n${row.theirs.command}`
  const pairs = known.get(name) ?? measurePairs(row.ours, row.theirs, rounds, folder)
  known.set(name, pairs)
  if (row.figure !== undefined) return {row, value: row.figure(folder)}
  if (row.unit === 'MiB') return {row, value: median(pairs.ours.map(inUnit('MiB')))}
  if (row.unit === 'secs more' || row.unit === 'MiB more')
    return {row, value: medianDifference(pairs, inUnit(row.unit)), pairs}
  return {row, value: medianRatio(pairs, inUnit(row.unit)), pairs}
}

function summarise(results: readonly Measured[], unmeasured: readonly Unmeasured[]): void {
  const missed = results.filter((result) => verdict(result) === '✖')
  print('', `${results.length - missed.length} of ${results.length} goals are met`)
  print(...missed.map((result) => `  ${resultLine(result)}`))
  if (unmeasured.length > 0) print(`${unmeasured.length} rows could not be measured`)
}

function writePage(
  results: readonly Measured[],
  unmeasured: readonly Unmeasured[],
  isPartial: boolean,
  load: number,
): void {
  const facts = {
    machine: `${machineFacts()}, load average ${load.toFixed(1)} before`,
    command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
    date: new Date().toISOString().slice(0, 10),
  }
  const path = join(import.meta.dirname, '../../docs/benchmarks.md')
  const page = existsSync(path) && isPartial ? readFileSync(path, 'utf8') : undefined
  writeFileSync(path, benchmarksPage({results, unmeasured, facts, rows: allRows(), page}))
  print('wrote docs/benchmarks.md')
}

function print(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${line}\n`)
}

await main()
