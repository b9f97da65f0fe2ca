import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {filesAt, writeTree} from '../../src/bump/repository.ts'
import {openGit} from '../../src/system/git.ts'
import {gitEnv, sampleRepository} from '../support/bump/repository.ts'
import {rejectsCode} from '../support/rejects.ts'

const MEBIBYTE = 1024 * 1024

test('files come as git keeps them, also more than one call of git is asked for', async () => {
  const large = ['a', 'b', 'c', 'd'].map((name) => [name, name.repeat(3 * MEBIBYTE)] as const)
  const small = [
    ['empty', ''],
    ['line ends', '\r\n\n'],
    ['looks like an answer', `${'0'.repeat(40)} blob 3\nabc\n`],
    ['same', 'x'],
    ['same again', 'x'],
  ] as const
  const {root} = sampleRepository(Object.fromEntries([...large, ...small]))
  const git = await openGit(root, gitEnv)
  const wanted = [...large, ...small]
  const files = await filesAt(git, 'HEAD', [...wanted.map(([path]) => path), 'absent'])
  assert.is(files.size, wanted.length)
  for (const [path, content] of wanted)
    assert.ok(Buffer.from(content).equals(files.get(path) ?? Buffer.from('absent')), path)
  assert.is((await filesAt(git, 'HEAD', ['absent'])).size, 0)
})

test('a file that is larger than a pin file may be is refused before it is read', async () => {
  const {root} = sampleRepository({large: 'x'.repeat(5 * MEBIBYTE)})
  const git = await openGit(root, gitEnv)
  await rejectsCode(() => filesAt(git, 'HEAD', ['large']), 'file_too_large')
})

test('a tree is written with the modes that its files had, and new ones beside them', async () => {
  const repository = sampleRepository({script: 'old\n', other: 'other\n'})
  repository.git('update-index', '--chmod=+x', 'script')
  repository.git('commit', '--quiet', '--message', 'feat: a program')
  const git = await openGit(repository.root, gitEnv)
  const files = new Map([
    ['script', Buffer.from('new\n')],
    ['a folder/with spaces', Buffer.from('new as well\n')],
  ])
  const index = `${repository.root}/.git/test-index`
  const tree = await writeTree(git, {from: 'HEAD', files, index})
  const listed = repository.git('ls-tree', '-r', '--format=%(objectmode) %(path)', tree)
  assert.equal(listed.split('\n'), ['100644 a folder/with spaces', '100644 other', '100755 script'])
  assert.is(repository.git('show', `${tree}:script`), 'new')
})

test.run()
