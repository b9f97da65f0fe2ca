import {parentPort, workerData} from 'node:worker_threads'
import {isStopped, takeNext} from './file-table.ts'
import {makeFileHasher} from './hash-file.ts'
import type {HashJob} from './hash-tree.ts'

/** The second thread of hashFiles: takes files from the shared table until there are none. */
function work({root, table, names, ends}: HashJob): void {
  const text = Buffer.from(names.buffer)
  const hashFile = makeFileHasher(table)
  for (let at = takeNext(table); at !== undefined; at = takeNext(table)) {
    const path = text.toString('utf8', at === 0 ? 0 : ends[at - 1], ends[at])
    try {
      for (const _pause of hashFile(at, `${root}/${path}`)) if (isStopped(table)) return
    } catch {
      // stays pending: the main thread reads it again, and says what is wrong with it
    }
  }
}

work(workerData as HashJob)
parentPort?.postMessage('done')
