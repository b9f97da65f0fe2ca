import type {ListrRenderer, ListrTaskWrapper} from 'listr2'
import {printMessages} from './output.ts'
import {printable} from './printable.ts'

/** What a long step says while it works: how far it is, in units the text names. */
export type Progress = {readonly done: number; readonly total?: number; readonly text: string}
export type OnProgress = (progress: Progress) => void

/** How a step may be shown: the global flags of the command. */
export type ProgressMode = {readonly json?: boolean | undefined; readonly quiet: boolean}

/** Work shorter than this shows nothing on a terminal, so that small jobs neither flicker nor load listr2. */
const PATIENCE_MS = 400

/**
 * Runs one step and shows it on stderr: live on a terminal, as one line elsewhere, not at all with
 * --json or --quiet. The step's result and errors are its own.
 */
export async function withProgress<T>(
  title: string,
  mode: ProgressMode,
  work: (report: OnProgress) => Promise<T>,
): Promise<T> {
  if (mode.json === true || mode.quiet) return work(() => {})
  if (process.stderr.isTTY === true && process.env.TERM !== 'dumb') return live(title, work)
  printMessages([`${title} …`])
  return work(() => {})
}

async function live<T>(title: string, work: (report: OnProgress) => Promise<T>): Promise<T> {
  let latest: Progress | undefined
  const running = work((progress) => {
    latest = progress
  })
  let waiting: NodeJS.Timeout | undefined
  const patience = new Promise<'slow'>((resolve) => {
    waiting = setTimeout(() => resolve('slow'), PATIENCE_MS)
  })
  const first = await Promise.race([patience, running.then(ended, ended)])
  clearTimeout(waiting)
  if (first === 'slow') await show(title, running, () => latest)
  return running
}

const ended = () => 'ended' as const

/** listr2 over the work that is already running; it writes progress to stdout unless told otherwise. */
async function show(
  title: string,
  running: Promise<unknown>,
  latest: () => Progress | undefined,
): Promise<void> {
  const {Listr, ListrLogger, ProcessOutput} = await import('listr2')
  const logger = new ListrLogger({processOutput: new ProcessOutput(process.stderr, process.stderr)})
  const task = async (_context: unknown, item: Item) => {
    const timer = setInterval(() => {
      item.output = progressText(latest())
    }, 100)
    await running.then(ended, ended).finally(() => clearInterval(timer))
  }
  const rendererOptions = {logger, clearOutput: true}
  await new Listr([{title, task}], {
    renderer: 'default',
    rendererOptions,
    fallbackRendererOptions: {logger},
    registerSignalListeners: false, // signals are the frame's (guards.ts)
  }).run()
}

type Item = ListrTaskWrapper<unknown, typeof ListrRenderer, typeof ListrRenderer>

/** `1,234 of 5,000 files`, or without a total `1,234 files`. */
function progressText(progress: Progress | undefined): string {
  if (progress === undefined) return ''
  const {done, total, text} = progress
  const count = (amount: number) => amount.toLocaleString('en-US')
  const share = total === undefined ? count(done) : `${count(done)} of ${count(total)}`
  return printable(`${share} ${text}`)
}
