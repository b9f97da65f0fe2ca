import {chmodSync, copyFileSync, linkSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import {manifestLimits, sidecarNames} from '../../../src/bundle/manifest.ts'
import {verifyBundle, verifyDirectory} from '../../../src/bundle/verify.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {d2Files, makeTree, policyOf, signTree, testSigner} from '../../support/bundles.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const policy = policyOf([testSigner().publicKey])

async function bundle(): Promise<string> {
  const root = makeTree(d2Files)
  await signTree(root)
  return root
}

/** What somebody may do to a file that nothing in the manifest speaks about. */
const disguises: readonly [string, (path: string) => void, ErrorCode][] = [
  ['set-uid', (path) => chmodSync(path, 0o4755), 'mode_forbidden'],
  ['set-gid', (path) => chmodSync(path, 0o2644), 'mode_forbidden'],
  ['sticky', (path) => chmodSync(path, 0o1644), 'mode_forbidden'],
  ['runnable', (path) => chmodSync(path, 0o744), 'mode_forbidden'],
  ['writable by the group', (path) => chmodSync(path, 0o664), 'mode_forbidden'],
  ['writable by everybody', (path) => chmodSync(path, 0o646), 'mode_forbidden'],
  ['linked outside', (path) => linkSync(path, join(temporaryFolder(), 'x')), 'file_hardlinked'],
]

for (const name of sidecarNames)
  for (const [how, disguise, code] of disguises)
    test(`${name} that is ${how} is refused`, async () => {
      const root = await bundle()
      const path = join(root, name)
      if (name !== 'manifest.json') writeFileSync(path, 'x')
      chmodSync(path, 0o600)
      await verifyBundle(root, policy)
      disguise(path)
      await rejectsCode(() => verifyBundle(root, policy), code)
    })

test('a sidecar has a limit', async () => {
  const root = await bundle()
  const path = join(root, 'manifest.json.sig')
  writeFileSync(path, Buffer.alloc(manifestLimits.sidecarBytes))
  await verifyBundle(root, policy)
  writeFileSync(path, Buffer.alloc(manifestLimits.sidecarBytes + 1))
  await rejectsCode(() => verifyBundle(root, policy), 'manifest_limit')
})

test('a manifest in the tree is the one that was verified', async () => {
  const root = await bundle()
  const elsewhere = join(temporaryFolder(), 'm.json')
  const inside = join(root, 'manifest.json')
  copyFileSync(inside, elsewhere)
  await verifyDirectory(root, policy, {}, elsewhere)
  writeFileSync(inside, `${readFileSync(inside, 'utf8')}\n`)
  await rejectsCode(() => verifyDirectory(root, policy, {}, elsewhere), 'file_digest_mismatch')
})

test.run()
