import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {sourceManifest} from '../../src/cli/source-tree.ts'
import {checkout} from '../support/built.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// What scripts of other people rely on: commands, flags and the keys of documents. A change here is
// a change of the interface. `UPDATE_SNAPSHOT=1 node test/cli/snapshot.test.ts` writes it anew.

const path = join(checkout, 'test/cli/snapshot.json')

/** Runs whose documents show their keys; commands that need more have their own tests. */
const runs: Readonly<Record<string, readonly string[]>> = {
  'config schema': ['config', 'schema'],
  'config show': ['config', 'show'],
  doctor: ['doctor'],
  'explain CODE': ['explain', 'signature_invalid'],
  explain: ['explain'],
  'init --dry-run': ['init', '--yes', '--dry-run'],
  version: ['--version'],
  'a failure': ['explain', '--no-such-flag'],
}

type Snapshot = {
  readonly commands: Readonly<Record<string, {args: string[]; flags: string[]}>>
  readonly documents: Readonly<Record<string, string[]>>
}

async function current(): Promise<Snapshot> {
  const manifest = await sourceManifest(checkout)
  const commands = Object.entries(manifest).map(([id, {args, flags}]) => {
    const spelled = Object.entries(flags).map(([name, flag]) => {
      const short = flag.char === undefined ? '' : ` -${flag.char}`
      const aliases = (flag.aliases ?? []).map((alias) => ` --${alias}`).join('')
      return `--${name}${short}${aliases} ${flag.type}`
    })
    return [id.replaceAll(':', ' '), {args: Object.keys(args), flags: spelled.sort()}] as const
  })
  const documents: Record<string, string[]> = {}
  for (const [name, args] of Object.entries(runs)) {
    const {stdout} = await runRel([...args, '--json'], {cwd: temporaryFolder()})
    documents[name] = keyPaths(JSON.parse(stdout)).filter((key) => !key.includes('.schema.'))
  }
  return {commands: Object.fromEntries(commands.sort(([a], [b]) => (a < b ? -1 : 1))), documents}
}

/** `error.code`, `result.checks[].status`: every key, whatever the values are. */
function keyPaths(value: unknown, at = ''): string[] {
  if (Array.isArray(value))
    return [...new Set(value.flatMap((item) => keyPaths(item, `${at}[]`)))].sort()
  if (typeof value !== 'object' || value === null) return [at]
  const inner = Object.entries(value).flatMap(([key, item]) => {
    return [at === '' ? key : `${at}.${key}`, ...keyPaths(item, at === '' ? key : `${at}.${key}`)]
  })
  return [...new Set(inner)].sort()
}

test('commands, flags and keys are those of the snapshot', async () => {
  const snapshot = await current()
  const text = `${JSON.stringify(snapshot, null, 2)}\n`
  if (process.env.UPDATE_SNAPSHOT === '1') writeFileSync(path, text)
  const kept = JSON.parse(readFileSync(path, 'utf8')) as Snapshot
  assert.equal(snapshot.commands, kept.commands)
  assert.equal(snapshot.documents, kept.documents)
})

test.run()
