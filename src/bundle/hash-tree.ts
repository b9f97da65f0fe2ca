import {fileError} from '../system/files.ts'
import {monotonicMilliseconds, Pace} from '../system/pace.ts'
import {type FileTable, progressOf, stop, takeNext, takePending} from './file-table.ts'
import {type FileHasher, makeFileHasher} from './hash-file.ts'
import {absoluteOf} from './scan.ts'

/** How far a long step is; `text` names the unit. */
export type OnProgress = (progress: {
  readonly done: number
  readonly total: number
  readonly text: string
}) => void

/** What the second thread is given; all of it but `root` is shared, not copied. */
export type HashJob = {
  readonly root: string
  readonly table: FileTable
  /** The paths in UTF-8, one after the other. */
  readonly names: Uint8Array<SharedArrayBuffer>
  /** Where each of them ends. */
  readonly ends: Uint32Array<SharedArrayBuffer>
}

/** From here on a second thread is worth its 15 ms and 10 MB at once. */
const MANY_FILES = 2000
/** Fewer files that take longer than this are large enough for one as well. */
const PATIENCE_MILLISECONDS = 50

/**
 * Reads and hashes files into their rows of the table, on two cores when there is enough to do;
 * signals and timers get their turn meanwhile. A thread that cannot start, or dies, costs time
 * only: what it did not finish is done here. Refuses with file_unreadable.
 */
export async function hashFiles(
  root: string,
  paths: readonly string[],
  table: FileTable,
  onProgress: OnProgress = () => undefined,
): Promise<void> {
  const started = monotonicMilliseconds()
  const isLong = () =>
    paths.length >= MANY_FILES || monotonicMilliseconds() - started > PATIENCE_MILLISECONDS
  let helper: Promise<void> | undefined
  const pace = new Pace()
  const rest = async () => {
    const {files, mebibytes} = progressOf(table)
    onProgress({done: files, total: table.count, text: `files, ${mebibytes} MiB`})
    if (isLong() && files < table.count) helper ??= startHelper(root, paths, table)
    await pace.rest()
  }
  const hashFile = makeFileHasher(table)
  const readAll = async (take: (table: FileTable) => number | undefined) => {
    for (let at = take(table); at !== undefined; at = take(table))
      for (const _pause of steps(hashFile, at, absoluteOf(root, paths[at] as string)))
        if (pace.isDue()) await rest()
  }
  try {
    await rest()
    await readAll(takeNext)
    await helper
    await readAll(takePending)
  } finally {
    stop(table)
  }
}

/** One pause more than the hasher makes, so that small files have one as well. */
function* steps(hashFile: FileHasher, at: number, path: string): Generator<void, void> {
  try {
    yield* hashFile(at, path)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  yield
}

/** Resolves when the second thread will take no more files, for whatever reason. */
async function startHelper(
  root: string,
  paths: readonly string[],
  table: FileTable,
): Promise<void> {
  const {Worker} = await import('node:worker_threads') // a small bundle starts none
  await new Promise<void>((resolve) => {
    try {
      const worker = new Worker(new URL('./hash-worker.ts', import.meta.url), {
        workerData: jobOf(root, paths, table),
        resourceLimits: {maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 64},
      })
      for (const event of ['message', 'error', 'exit']) worker.once(event, () => resolve())
    } catch {
      resolve() // no threads here, so this one does it all
    }
  })
}

function jobOf(root: string, paths: readonly string[], table: FileTable): HashJob {
  const ends = new Uint32Array(new SharedArrayBuffer(4 * paths.length))
  const length = paths.reduce((total, path) => total + Buffer.byteLength(path), 0)
  const names = new Uint8Array(new SharedArrayBuffer(length))
  const text = Buffer.from(names.buffer)
  let end = 0
  paths.forEach((path, at) => {
    end += text.write(path, end, 'utf8')
    ends[at] = end
  })
  return {root, table, names, ends}
}
