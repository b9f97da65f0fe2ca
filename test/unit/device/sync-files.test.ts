import {readdirSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {realFs, syncFiles} from '../../../src/device/durable-fs.ts'
import {temporaryFolder} from '../../support/tmp.ts'

// Several files are synced at once: no failure among them is lost, and no descriptor.

const names = Array.from({length: 50}, (_, at) => `file-${at}`)

function folderOf(): string {
  const root = temporaryFolder()
  for (const name of names) writeFileSync(join(root, name), name)
  symlinkSync('file-1', join(root, 'link'))
  return root
}

const descriptors = () => readdirSync('/proc/self/fd').length

test('all of them are synced', async () => {
  const root = folderOf()
  const before = descriptors()
  await syncFiles(realFs(root), names)
  assert.is(descriptors(), before)
})

for (const [bad, code] of [
  ['absent', 'ENOENT'],
  ['link', 'ELOOP'],
] as const)
  for (const at of [0, 25, 50])
    test(`one that cannot be synced is told: ${bad}, after ${at}`, async () => {
      const root = folderOf()
      const before = descriptors()
      const all = names.toSpliced(at, 0, bad)
      const error = await syncFiles(realFs(root), all).catch((thrown: unknown) => thrown)
      assert.is((error as NodeJS.ErrnoException | undefined)?.code, code)
      assert.is(descriptors(), before)
    })

test.run()
