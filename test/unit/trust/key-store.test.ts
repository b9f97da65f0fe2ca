import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {createKey, planKey} from '../../../src/trust/key-store.ts'
import {needsThat} from '../../support/needs.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const make = (root: string) => createKey(root, planKey(root, 'a', 'both'), {format: 'minisign'})

/** What somebody has prepared before the first key is made. */
const prepared: readonly (readonly [string, (root: string, rel: string) => void])[] = [
  ['git takes everything', (_, rel) => ignoring(rel, '!*\n')],
  ['git takes keys', (_, rel) => ignoring(rel, '*\n!keys\n')],
  ['nothing is ignored', (_, rel) => ignoring(rel, '')],
  [
    'the rule is a link',
    (root, rel) => {
      mkdirSync(rel, {mode: 0o700})
      writeFileSync(join(root, 'rule'), '*\n')
      symlinkSync('../rule', join(rel, '.gitignore'))
    },
  ],
  [
    '.rel is a link',
    (root, rel) => {
      mkdirSync(join(root, 'public'))
      symlinkSync('public', rel)
    },
  ],
  [
    '.rel/keys is a link',
    (root, rel) => {
      mkdirSync(rel, {mode: 0o700})
      mkdirSync(join(root, 'public'))
      symlinkSync('../public', join(rel, 'keys'))
    },
  ],
  ['all may write .rel', (_, rel) => folder(rel, 0o777)],
  [
    'the group may write .rel/keys',
    (_, rel) => {
      folder(rel, 0o700)
      folder(join(rel, 'keys'), 0o770)
    },
  ],
]

function folder(path: string, mode: number): void {
  mkdirSync(path)
  chmodSync(path, mode)
}

function ignoring(rel: string, text: string): void {
  mkdirSync(rel, {mode: 0o700})
  writeFileSync(join(rel, '.gitignore'), text)
}

for (const [name, prepare] of prepared)
  test(`no private key is written where ${name}`, async () => {
    const root = temporaryFolder()
    prepare(root, join(root, '.rel'))
    await rejectsCode(() => make(root), 'key_folder_unsafe')
    for (const path of ['.rel/keys/a.key', 'public/a.key', 'rel.keys/a.pub'])
      assert.is(existsSync(join(root, path)), false, path)
  })

if (needsThat('another owner', process.geteuid?.() === 0, 'only root can give files away'))
  test('no private key is written into the folder of another user', async () => {
    const root = temporaryFolder()
    folder(join(root, '.rel'), 0o700)
    chownSync(join(root, '.rel'), 12345, 12345)
    await rejectsCode(() => make(root), 'key_folder_unsafe')
  })

test('folders of ours are used, with and without a line end in the rule', async () => {
  const root = temporaryFolder()
  folder(join(root, '.rel'), 0o755)
  writeFileSync(join(root, '.rel/.gitignore'), '*')
  await make(root)
  assert.ok(existsSync(join(root, '.rel/keys/a.key')))
  const fresh = temporaryFolder()
  await make(fresh)
  assert.is(readFileSync(join(fresh, '.rel/.gitignore'), 'utf8'), '*\n')
})

test.run()
