import {cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {parseArgs} from 'node:util'
import {type FileResult, runFile} from '../support/child-file.ts'
import {temporaryFolder} from '../support/tmp.ts'
import type {Mutant} from './mutant.ts'
import {mutants} from './table.ts'

const ROOT = resolve(import.meta.dirname, '../..')
/** What tests read; the rest of the tree is left out. */
const PARTS = ['bin', 'docs', 'playbooks', 'schemas', 'scripts', 'src', 'templates', 'test']
const FILES = ['package.json', 'tsconfig.json', 'biome.json', 'README.md', 'CHANGELOG.md']
/** A fault may make a loop of what was none. */
const LIMIT_SECS = 240

type Outcome = {readonly mutant: Mutant; readonly killedBy?: string; readonly secs: number}

/**
 * Makes one fault at a time in a copy of the tree and runs the tests that must see it.
 *
 *     node test/mutants/run.ts [--only TEXT] [--jobs N] [--minutes M]
 *
 * Ends with 1 when a fault stays unseen that is not argued to be none, and when a text of the table
 * is not in its file once. TEXT is a part of a file's name or of what a fault means.
 */
async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {
      only: {type: 'string', default: ''},
      jobs: {type: 'string', default: '2'},
      minutes: {type: 'string', default: '60'},
    },
  })
  for (const mutant of mutants) checkPlace(mutant)
  const chosen = mutants.filter(({file, means}) => `${file} ${means}`.includes(values.only))
  const waiting = chosen.values()
  const deadline = Date.now() + Number(values.minutes) * 60_000
  const outcomes: Outcome[] = []
  const lane = async (tree: string): Promise<void> => {
    for (const mutant of waiting) {
      if (Date.now() > deadline) return
      const outcome = await tried(tree, mutant)
      outcomes.push(outcome)
      process.stdout.write(`${lineOf(outcome)}\n`)
    }
  }
  const trees = Array.from({length: Number(values.jobs)}, copyTree)
  await checkGreen(trees, chosen)
  await Promise.all(trees.map(lane))
  process.exitCode = report(outcomes, chosen.length)
}

/** A table that no longer fits its files tests nothing. */
function checkPlace({file, from, means}: Mutant): void {
  const count = readFileSync(join(ROOT, 'src', file), 'utf8').split(from).length - 1
  if (count !== 1) throw new Error(`${file}, ${means}: its text is there ${count} times`)
}

function copyTree(): string {
  const tree = temporaryFolder('rel-mutants-')
  for (const part of [...PARTS, ...FILES])
    cpSync(join(ROOT, part), join(tree, part), {recursive: true})
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'))
  return tree
}

/** A test that is red without any fault sees none. */
async function checkGreen(trees: readonly string[], chosen: readonly Mutant[]): Promise<void> {
  const waiting = new Set(chosen.flatMap(({tests}) => tests)).values()
  await Promise.all(
    trees.map(async (tree) => {
      for (const test of waiting) {
        const {record, output} = await runTest(tree, test)
        if (record.failed > 0) throw new Error(`${test} is red without a fault: ${output}`)
      }
    }),
  )
}

async function tried(tree: string, mutant: Mutant): Promise<Outcome> {
  const path = join(tree, 'src', mutant.file)
  const text = readFileSync(path, 'utf8')
  const began = performance.now()
  writeFileSync(
    path,
    text.replace(mutant.from, () => mutant.to),
  )
  try {
    for (const test of mutant.tests) {
      const {record, name} = await runTest(tree, test)
      if (record.failed > 0) return {mutant, killedBy: name, secs: secsSince(began)}
    }
    return {mutant, secs: secsSince(began)}
  } finally {
    writeFileSync(path, text)
  }
}

async function runTest(tree: string, name: string): Promise<FileResult> {
  const tmpdir = join(tree, 'tmp')
  mkdirSync(tmpdir)
  try {
    const file = join(tree, 'test', `${name}.test.ts`)
    return await runFile(file, {limitSecs: LIMIT_SECS, tmpdir, name})
  } finally {
    rmSync(tmpdir, {recursive: true, force: true})
  }
}

function secsSince(began: number): number {
  return (performance.now() - began) / 1000
}

function lineOf({mutant: {file, means, equivalent}, killedBy, secs}: Outcome): string {
  const seen = killedBy ?? (equivalent === undefined ? 'NOBODY' : `nobody; ${equivalent}`)
  return `${killedBy === undefined ? '✖' : '✔'} ${file}: ${means}  (${seen}, ${secs.toFixed(0)} s)`
}

function report(outcomes: readonly Outcome[], chosen: number): 0 | 1 {
  const unseen = outcomes.filter(({killedBy}) => killedBy === undefined)
  const argued = unseen.filter(({mutant}) => mutant.equivalent !== undefined)
  const survived = unseen.length - argued.length
  const untried = chosen - outcomes.length
  process.stdout.write(
    `\n${outcomes.length - unseen.length} seen, ${argued.length} argued, ${survived} unseen, ${untried} not tried\n`,
  )
  return survived + untried === 0 ? 0 : 1
}

await main()
