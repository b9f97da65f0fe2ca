import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {loadRelease} from '../../../src/release/publish/files.ts'
import {makeRelease} from '../../support/panel.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const slots = ['amd64', 'arm64'].map((arch) => ({component: 'agent', os: 'linux', arch}))
const {file, bytes} = await makeRelease({version: '1.0.0', slots})
const [first, second] = file.release.artifacts
const [a = Buffer.alloc(0), b = Buffer.alloc(0)] = bytes.values()
const name = `${first?.name}.sha256`

/** An artifact whose name is that of a file beside the other one, as it is signed. */
async function folder(): Promise<string> {
  if (first === undefined || second === undefined) throw new Error('no artifacts')
  const artifacts = [first, {...second, name}]
  const {text} = await makeRelease({version: '1.0.0', slots, terms: {artifacts}})
  const place = join(temporaryFolder(), 'dist')
  mkdirSync(place)
  writeFileSync(join(place, first.name), a)
  writeFileSync(join(place, name), b)
  writeFileSync(join(place, `${first.name}.sig`), 'of another maker')
  writeFileSync(join(place, 'release.json'), text)
  return place
}

function load(place: string) {
  const manifest = join(place, 'release.json')
  return loadRelease({
    manifest,
    attachments: [],
    withSidecars: true,
    withSigstore: true,
    readsArtifacts: true,
  })
}

test('a file beside an artifact goes with it, unless it is an artifact itself', async () => {
  const {assets} = await load(await folder())
  assert.equal(
    assets.map((asset) => [asset.name, asset.kind]),
    [
      [first?.name, 'artifact'],
      [name, 'artifact'],
      [`${first?.name}.sig`, 'sidecar'],
      ['release.json', 'manifest'],
    ],
  )
})

test('other bytes of the same size are not what was signed', async () => {
  const place = await folder()
  writeFileSync(join(place, first?.name ?? ''), Buffer.alloc(a.length))
  await rejectsCode(() => load(place), 'artifact_mismatch')
})

test.run()
