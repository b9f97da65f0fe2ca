import {copyFileSync, existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {Anchor} from '../../../src/trust/anchor.ts'
import {planRenew} from '../../../src/trust/anchor-plan.ts'
import {
  findPrevious,
  loadAnchor,
  signVersion,
  writeNewVersion,
} from '../../../src/trust/anchor-store.ts'
import {
  anchorFile,
  signedAnchor,
  type TestGrant,
  testAnchor,
  testNow,
  testSigner,
} from '../../support/anchors.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const later = testNow + 180 * 86_400

/** Versions 1 to `count` of an anchor with these root keys, all of which must sign. */
function versions(count: number, ...roots: readonly string[]): Anchor[] {
  const root: TestGrant = {role: 'root', keys: roots, threshold: roots.length}
  const all = [testAnchor(root, {role: 'manifest', keys: roots.slice(0, 1)})]
  while (all.length < count) all.push(planRenew(all.at(-1) as Anchor, later + all.length))
  return all
}

type Folder = {readonly main: string; numbered(version: number): string}

/** A folder with trust.json at its last version, and what the owners have published so far. */
async function published(count: number, ...roots: readonly string[]): Promise<Folder> {
  const folder = temporaryFolder()
  const main = join(folder, 'trust.json')
  const numbered = (version: number) => join(folder, `${version}.trust.json`)
  for (const anchor of versions(count, ...roots))
    writeFileSync(numbered(anchor.version), await signedAnchor(anchor, ...roots))
  copyFileSync(numbered(count), main)
  return {main, numbered}
}

/** An attacker's chain: each version is signed by its own root, the attacker alone. */
async function foreign(version: number): Promise<Buffer> {
  const grants: TestGrant[] = [
    {role: 'root', keys: ['evil', 'good']},
    {role: 'manifest', keys: ['evil']},
  ]
  const first = testAnchor(...grants)
  return signedAnchor({...first, version, expires: later + version}, 'evil')
}

test('a chain that somebody put beside trust.json is neither signed nor put in its place', async () => {
  const {main, numbered} = await published(2, 'good', 'third')
  const before = readFileSync(main)
  writeFileSync(numbered(2), await foreign(2))
  writeFileSync(numbered(3), await foreign(3))
  const planted = readFileSync(numbered(3))
  await rejectsCode(() => signVersion(numbered(3), testSigner('good')), 'anchor_inconsistent')
  assert.equal(readFileSync(main), before)
  assert.equal(readFileSync(numbered(3)), planted)
  throwsCode(() => findPrevious(numbered(3), 3), 'anchor_inconsistent')
  throwsCode(() => loadAnchor(numbered(3)), 'anchor_inconsistent')
  throwsCode(() => loadAnchor(numbered(2)), 'anchor_inconsistent')
})

test('a version that skips what trust.json leads to is not signed', async () => {
  const {main, numbered} = await published(1, 'good', 'third')
  const before = readFileSync(main)
  writeFileSync(numbered(2), await foreign(2))
  writeFileSync(numbered(3), await foreign(3))
  await rejectsCode(() => signVersion(numbered(3), testSigner('good')), 'anchor_old_root')
  assert.equal(readFileSync(main), before)
})

test('a second version of a number that trust.json has is not written over it', async () => {
  const {main, numbered} = await published(1, 'good')
  const [first, second] = versions(2, 'good') as [Anchor, Anchor]
  writeFileSync(main, await signedAnchor({...second, expires: later + 9}, 'good'))
  const before = readFileSync(main)
  const previous = await anchorFile(first, 'good')
  await rejectsCode(
    () => writeNewVersion(numbered(1), second, previous, testSigner('good')),
    'anchor_inconsistent',
  )
  assert.equal(readFileSync(main), before)
  assert.is(existsSync(numbered(2)), false)
})

test('versions between trust.json and the one to sign are walked', async () => {
  const {main, numbered} = await published(3, 'good')
  copyFileSync(numbered(1), main)
  const {complete} = await signVersion(numbered(3), testSigner('good'))
  assert.is(complete, true)
  assert.is(loadAnchor(main).anchor.version, 3)
})

test('a version that waits for the roots of the one before is not trusted yet', async () => {
  const {main, numbered} = await published(1, 'good', 'third')
  const [, second] = versions(2, 'good', 'third') as [Anchor, Anchor]
  const own = {...second, roles: new Map(second.roles)}
  own.roles.set('root', [{keyIds: [testSigner('good').publicKey.keyId], threshold: 1}])
  writeFileSync(numbered(2), await signedAnchor(own, 'good'))
  throwsCode(() => loadAnchor(numbered(2)), 'anchor_old_root')
  copyFileSync(numbered(2), main)
  throwsCode(() => loadAnchor(main), 'anchor_old_root')
})

test.run()
