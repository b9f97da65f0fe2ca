import {appendFileSync, mkdirSync, rmSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ReleaseFile} from '../../../src/release/release.ts'
import {signRelease} from '../../../src/release/release-manifest.ts'
import {type ReleaseCheck, verifyRelease, wholeBytes} from '../../../src/release/verify-release.ts'
import {parseAnchor} from '../../../src/trust/anchor-parse.ts'
import {testNow, testSigner} from '../../support/anchors.ts'
import {makeRelease, panelAnchor, panelSigners} from '../../support/panel.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {testArtifact} from '../../support/releases.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const {anchor} = parseAnchor(await panelAnchor())
const check: ReleaseCheck = {anchor, expect: {}, now: testNow}

/** A release as a download: its artifacts in a folder whose name has a space. */
async function downloaded(
  terms: Partial<Parameters<typeof makeRelease>[0]> = {},
): Promise<{file: ReleaseFile; folder: string; path: string}> {
  const folder = join(temporaryFolder('rel release '), 'down loads')
  mkdirSync(folder)
  const {file, bytes} = await makeRelease({version: '1.4.2', ...terms})
  for (const [name, content] of bytes) writeFileSync(join(folder, name), content)
  return {file, folder, path: join(folder, file.release.artifacts[0]?.name ?? '')}
}

test('a release that is as signed passes, with and without its artifacts', async () => {
  const {file, folder} = await downloaded()
  const expect = {product: 'agent', version: '1.4.2', channel: 'stable'}
  const {signedBy} = await verifyRelease(file, {...check, expect, folder})
  assert.equal(signedBy, [testSigner(panelSigners.manifest).publicKey.keyId])
  rmSync(folder, {recursive: true})
  await verifyRelease(file, check)
})

const damages = {
  'a bit is flipped': [
    'artifact_mismatch',
    (path: string) => writeFileSync(path, 'x'.repeat(1000)),
  ],
  'something is appended': ['artifact_mismatch', (path: string) => appendFileSync(path, 'x')],
  'the end is missing': ['artifact_mismatch', (path: string) => truncateSync(path, 999)],
  'it is not there': ['file_missing', (path: string) => rmSync(path)],
} as const

for (const [name, [code, damage]] of Object.entries(damages))
  test(`an artifact is refused when ${name}`, async () => {
    const {file, folder, path} = await downloaded()
    damage(path)
    await rejectsCode(() => verifyRelease(file, {...check, folder}), code)
  })

test('what was asked for is compared with what was signed', async () => {
  const {file} = await downloaded()
  const wrong = {product: 'other', version: '1.4.3', channel: 'beta'}
  for (const [name, value] of Object.entries(wrong))
    await rejectsCode(
      () => verifyRelease(file, {...check, expect: {[name]: value}}),
      `${name as keyof typeof wrong}_mismatch`,
    )
})

test('keys count for their role alone', async () => {
  const swapped = await makeRelease({version: '1.4.2', signers: {manifest: panelSigners.artifact}})
  await rejectsCode(() => verifyRelease(swapped.file, check), 'key_not_for_role')
  const other = await makeRelease({version: '1.4.2', signers: {artifact: panelSigners.manifest}})
  await rejectsCode(() => verifyRelease(other.file, check), 'key_not_for_role')
  const foreign = await makeRelease({version: '1.4.2', signers: {manifest: 'nobody'}})
  await rejectsCode(() => verifyRelease(foreign.file, check), 'key_unknown')
  await rejectsCode(
    () => verifyRelease({...swapped.file, signatures: []}, check),
    'signature_missing',
  )
})

test('the signature of one artifact does not vouch for another', async () => {
  const {file, folder} = await downloaded()
  const {file: older} = await makeRelease({version: '1.4.2', seed: 'older'})
  const [artifact] = file.release.artifacts
  const signature = older.release.artifacts[0]?.signature
  assert.ok(artifact && signature)
  const lent = {...file.release, artifacts: [{...artifact, signature}]}
  const resigned = await signRelease(lent, testSigner(panelSigners.manifest))
  await rejectsCode(() => verifyRelease(resigned, {...check, folder}), 'artifact_mismatch')
})

test('a release from the future, or one that has expired, is refused', async () => {
  const {file} = await downloaded({terms: {expires: testNow + 100}})
  await rejectsCode(() => verifyRelease(file, {...check, now: testNow - 3600}), 'timestamp_future')
  await rejectsCode(() => verifyRelease(file, {...check, now: testNow + 101}), 'release_expired')
})

test('an artifact that is not held in memory is judged alike', async () => {
  const {file: small, folder, path} = await downloaded()
  const bytes = Buffer.alloc(wholeBytes + 1)
  writeFileSync(path, bytes)
  const [before] = small.release.artifacts
  assert.ok(before)
  const artifact = await testArtifact(before, before.name, bytes, panelSigners.artifact)
  const release = {...small.release, artifacts: [{...before, ...artifact}]}
  const file = await signRelease(release, testSigner(panelSigners.manifest))
  await verifyRelease(file, {...check, folder})
  truncateSync(path, wholeBytes)
  appendFileSync(path, 'x')
  await rejectsCode(() => verifyRelease(file, {...check, folder}), 'artifact_mismatch')
})

test('an artifact that is read in pieces and could be a manifest is not believed', async () => {
  const {file: small, folder, path} = await downloaded()
  const bytes = Buffer.from(`{"manifest": "${'x'.repeat(wholeBytes)}"}`)
  writeFileSync(path, bytes)
  const [before] = small.release.artifacts
  assert.ok(before)
  const artifact = await testArtifact(before, before.name, bytes, panelSigners.artifact)
  const release = {...small.release, artifacts: [{...before, ...artifact}]}
  const file = await signRelease(release, testSigner(panelSigners.manifest))
  await rejectsCode(() => verifyRelease(file, {...check, folder}), 'cross_protocol')
})

test.run()
