import {once} from 'node:events'
import {openPostgresStore} from '../../../src/panel/store/postgres.ts'
import {openSqliteStore} from '../../../src/panel/store/sqlite.ts'
import {RelError} from '../../../src/system/error.ts'
import {by, draftOf, expected} from '../../unit/panel/store-conformance.ts'

/** What one publisher of a race saw; printed as JSON. */
export type RaceResult = {
  readonly won: readonly string[]
  /** Versions that were refused with a conflict whose details name a differing digest. */
  readonly lost: readonly string[]
  /** Everything else, which should be nothing. */
  readonly others: readonly string[]
}

/** `racing-publisher.ts ADDRESS NAME COUNT`: drafts and publishes 1.0.0 to 1.0.COUNT-1 as its own. */
async function main(address: string, name: string, count: number): Promise<RaceResult> {
  const store = address.startsWith('postgres:')
    ? await openPostgresStore({url: address})
    : await openSqliteStore({path: address})
  await store.addProduct('edge-agent', by)
  process.stdout.write('ready\n')
  await once(process.stdin, 'data')
  const [won, lost, others]: string[][] = [[], [], []]
  for (let patch = 0; patch < count; patch++) {
    const draft = draftOf(`1.0.${patch}`, name)
    try {
      await store.addDraft(draft, by)
      await store.publish('edge-agent', draft.version, expected(draft), by)
      won?.push(draft.version)
    } catch (error) {
      const refusal = error instanceof RelError ? error : undefined
      const code = refusal?.code ?? String(error)
      const fields = (refusal?.details?.fields ?? []) as {field: string}[]
      const isConflict = code === 'release_conflict' && fields.some(({field}) => field === 'digest')
      if (isConflict) lost?.push(draft.version)
      else others?.push(`${draft.version} ${code}`)
    }
  }
  await store.close()
  return {won: won ?? [], lost: lost ?? [], others: others ?? []}
}

const [address = '', name = '', count = ''] = process.argv.slice(2)
const result = await main(address, name, Number(count))
process.stdout.write(`${JSON.stringify(result)}\n`)
process.stdin.destroy()
