import {writeSync} from 'node:fs'
import {pathToFileURL} from 'node:url'
import type * as Uvu from 'uvu'
import {type NamedSkip, namedSkips} from './needs.ts'

/** What the tests of one file came to; test/run.ts reads it from file descriptor 3. */
export type FileRecord = {
  readonly passed: number
  readonly failed: number
  /** Left out by name, with the reason (test/support/needs.ts). */
  readonly skips: readonly NamedSkip[]
  /** Left out by test.skip or by another test's .only: nobody said why. */
  readonly silentSkips: number
  /** Reports of failures, and of tests that never ran. */
  readonly problems: readonly string[]
}

type Run = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>
type Totals = {passed: number; total: number; silentSkips: number; problems: string[]}

/** uvu 0.5.6 keeps its suites here while UVU_DEFER is set; the version is pinned for that reason. */
const uvuQueue = globalThis as {
  UVU_DEFER?: number
  UVU_INDEX?: number
  UVU_QUEUE?: [string | null, ...Run[]][]
}
const [file] = process.argv.slice(2)
if (file === undefined) throw new Error('want the path of one test file')

let hookError: unknown
uvuQueue.UVU_DEFER = 1
uvuQueue.UVU_QUEUE = [['']]
uvuQueue.UVU_INDEX = 0
keepHookErrors(await import('uvu'))
await import(pathToFileURL(file).href)
const runs = uvuQueue.UVU_QUEUE.flatMap(([, ...queued]) => queued)
const totals: Totals = {passed: 0, total: 0, silentSkips: 0, problems: []}
for (const run of runs) await runSuite(run, totals)
if (runs.length === 0) totals.problems.push('no suite was registered; is test.run() missing?')
else if (isEmpty(totals)) totals.problems.push('it has no tests')
writeSync(3, JSON.stringify(recordOf(totals)))
process.exit(0) // whatever exit code a test left behind, and whatever it left open

async function runSuite(run: Run, sums: Totals): Promise<void> {
  hookError = undefined
  try {
    const [errors, passed, skipped, total] = await run()
    if (typeof errors === 'string') sums.problems.push(errors)
    else if (passed < total) sums.problems.push(neverRan(total - passed))
    sums.passed += passed
    sums.total += total
    sums.silentSkips += skipped
  } catch (error) {
    sums.problems.push(`after() threw ${textOf(error)}`)
  }
}

/** uvu swallows what a hook threw, and what a test threw when it is no Error. */
function neverRan(count: number): string {
  const cause = hookError === undefined ? '' : `: ${textOf(hookError)}`
  return `${count} test(s) did not run to their end; a hook threw, or a test threw no Error${cause}`
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function isEmpty({total, silentSkips}: Totals): boolean {
  return total === 0 && silentSkips === 0 && namedSkips().length === 0
}

function recordOf({passed, total, silentSkips, problems}: Totals): FileRecord {
  const failed = Math.max(total - passed, problems.length === 0 ? 0 : 1)
  return {passed, failed, skips: namedSkips(), silentSkips, problems}
}

/** Remembers what the hooks of uvu's plain `test` threw. */
function keepHookErrors({test}: typeof Uvu): void {
  for (const kind of ['before', 'after'] as const) {
    const {each} = test[kind]
    test[kind] = Object.assign(keeping(test[kind]), {each: keeping(each)})
  }
}

type Hook = (handler: Uvu.Callback<Record<string, unknown>>) => void

function keeping(register: Hook): Hook {
  return (handler) => {
    register(async (context) => {
      try {
        await handler(context as never)
      } catch (error) {
        hookError = error
        throw error
      }
    })
  }
}
