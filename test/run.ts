import {mkdirSync, mkdtempSync, readdirSync, rmSync, statSync} from 'node:fs'
import {availableParallelism, tmpdir} from 'node:os'
import {join, relative, resolve} from 'node:path'
import {parseArgs} from 'node:util'
import {type FileResult, runFile, stopFiles} from './support/child-file.ts'

/**
 * Runs test files, each in a process of its own, and closes with `N passed, N failed, N skipped`.
 * uvu alone ends with 0 when a hook throws, a test throws null, or test.run() is missing.
 *
 *     node test/run.ts [--limit SECS] [--jobs N] FOLDER|FILE…
 *
 * Ends with 1 when a test failed or never ran, when there is no test, and in CI for any skip.
 */
async function main(): Promise<void> {
  const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {
      limit: {type: 'string', default: '900'},
      jobs: {type: 'string', default: String(Math.min(2, availableParallelism()))},
    },
  })
  const files = (positionals.length === 0 ? ['test'] : positionals).flatMap(testFiles)
  const scratch = mkdtempSync(join(tmpdir(), 'rel-run-'))
  process.on('exit', () => rmSync(scratch, {recursive: true, force: true}))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt)
  const limitSecs = Number(values.limit)
  const results = await runAll(files, Number(values.jobs), async (file, index) => {
    const folder = join(scratch, String(index))
    mkdirSync(folder)
    const result = await runFile(file, {limitSecs, tmpdir: folder, name: nameOf(file)})
    rmSync(folder, {recursive: true, force: true})
    print(progressLine(result))
    return result
  })
  process.exitCode = report(results, process.env.CI === 'true')
}

/** Test files at or below a path, sorted; a path that does not exist is an error. */
function testFiles(path: string): string[] {
  const full = resolve(path)
  if (!statSync(full).isDirectory()) return [full]
  return readdirSync(full, {recursive: true, encoding: 'utf8'})
    .filter((name) => name.endsWith('.test.ts'))
    .filter((name) => !name.startsWith('support/'))
    .sort()
    .map((name) => join(full, name))
}

function nameOf(file: string): string {
  return relative(process.cwd(), file)
    .replace(/^test\//, '')
    .replace(/\.test\.ts$/, '')
}

/** Calls `run` for every file, `jobs` at a time; results in the order of the files. */
async function runAll(
  files: readonly string[],
  jobs: number,
  run: (file: string, index: number) => Promise<FileResult>,
): Promise<FileResult[]> {
  const results: FileResult[] = []
  const waiting = files.entries()
  const worker = async (): Promise<void> => {
    for (const [index, file] of waiting) results[index] = await run(file, index)
  }
  await Promise.all(Array.from({length: Math.max(1, jobs)}, worker))
  return results
}

function progressLine({name, record, secs}: FileResult): string {
  const skips = record.skips.length + record.silentSkips
  const skipped = skips === 0 ? '' : `, ${skips} skipped`
  const failed = record.failed === 0 ? '' : `, ${record.failed} failed`
  const mark = record.failed === 0 ? '✔' : '✖'
  return `${mark} ${name}  ${record.passed} passed${failed}${skipped}  ${secs.toFixed(1)} s`
}

/** Prints failures, skips and the closing line; returns the exit code. */
function report(results: readonly FileResult[], isCi: boolean): 0 | 1 {
  const problems = results.flatMap(problemsOf)
  const skips = results.flatMap(skipsOf)
  if (results.length === 0) problems.push('no test files found')
  if (isCi) problems.push(...skips.map((skip) => `skipped in CI: ${skip}`))
  print(...problems.map((problem) => `\n✖ ${problem}`))
  if (skips.length > 0) print('', ...skips.map((skip) => `- skipped ${skip}`))
  const passed = sum(results, ({record}) => record.passed)
  const failed = sum(results, ({record}) => record.failed)
  print('', `${passed} passed, ${failed} failed, ${skips.length} skipped`)
  return problems.length === 0 && failed === 0 && passed > 0 ? 0 : 1
}

function problemsOf({name, record, output}: FileResult): string[] {
  if (record.problems.length === 0) return []
  return [[name, ...record.problems, output].join('\n').trimEnd()]
}

function skipsOf({name, record}: FileResult): string[] {
  const silent = Array.from({length: record.silentSkips}, () => `${name}: test.skip or .only`)
  return [...record.skips.map((skip) => `${name}: ${skip.name}: ${skip.reason}`), ...silent]
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0)
}

function print(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${line}\n`)
}

function interrupt(): void {
  stopFiles()
  process.exit(130)
}

await main()
