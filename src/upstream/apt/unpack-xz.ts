import {spawn} from 'node:child_process'
import {once} from 'node:events'
import type {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {RelError} from '../../system/error.ts'

/** A kernel package of 60 MB takes 5 s on a slow machine. */
const TIMEOUT_MS = 300_000

/**
 * Unpacks xz with the program of that name, since Node has none; memory stays flat. Whoever stops
 * reading ends the program. Refuses with tool_missing, process_failed.
 */
export async function* unpackXz(packed: Readable): AsyncGenerator<Buffer> {
  const {PATH = '/usr/bin:/bin'} = process.env
  const child = spawn('xz', ['--decompress', '--stdout'], {
    env: {PATH, LC_ALL: 'C'},
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  // not the option of spawn: Node 24 keeps its timer when the program does not exist
  const timer = setTimeout(() => child.kill(), TIMEOUT_MS)
  const closed = once(child, 'close')
  closed.catch(() => {}) // reported below, or nobody reads on
  const fed = pipeline(packed, child.stdin).then(
    () => undefined,
    () => undefined, // a broken pipe shows in the exit code
  )
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer
    await fed
    const [code, signal] = (await closed.catch(xzMissing)) as [number | null, string | null]
    if (code !== 0) throw new RelError('process_failed', `xz was ended: ${signal ?? code}`)
  } finally {
    clearTimeout(timer)
    packed.destroy()
    child.kill()
  }
}

function xzMissing(cause: unknown): never {
  throw new RelError('tool_missing', 'xz was not found on PATH', {
    hint: 'install it: apt-get install xz-utils',
    cause,
  })
}
