import {randomBytes} from 'node:crypto'
import {join} from 'node:path'
import {openFileBlobs} from '../../../src/panel/blobs/files.ts'
import {openSqliteStore} from '../../../src/panel/store/sqlite.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {inPieces} from '../../unit/panel/blobs-conformance.ts'
import {by, draftOf, expected} from '../../unit/panel/store-conformance.ts'

/**
 * `killed-panel.ts FOLDER MAJOR`: puts or uploads blobs and publishes MAJOR.0.0, MAJOR.0.1, …
 * until it is killed; prints each version when it is confirmed.
 */
async function main(folder: string, major: string): Promise<never> {
  const store = await openSqliteStore({path: join(folder, 'panel.db')})
  const {blobs, uploads} = await openFileBlobs({folder})
  await store.addProduct('edge-agent', by)
  process.stdout.write('ready\n')
  for (let patch = 0; ; patch++) {
    const bytes = randomBytes(300_000)
    const sha256 = sha256Hex(bytes)
    if (patch % 2 === 0) await blobs.put(sha256, bytes.length, inPieces(bytes))
    else {
      const id = `U${major}x${patch}`
      await uploads.create({id, size: bytes.length})
      await uploads.append(id, 0, inPieces(bytes.subarray(0, 200_000)))
      await uploads.append(id, 200_000, inPieces(bytes.subarray(200_000)))
      await uploads.finish(id, sha256, blobs)
    }
    const draft = draftOf(`${major}.0.${patch}`, 'x')
    const artifacts = draft.artifacts.map((one) => ({...one, sha256, size: bytes.length}))
    await store.addDraft({...draft, artifacts}, by)
    await store.publish('edge-agent', draft.version, expected(draft), by)
    process.stdout.write(`${draft.version}\n`)
  }
}

const [folder = '', major = ''] = process.argv.slice(2)
await main(folder, major)
