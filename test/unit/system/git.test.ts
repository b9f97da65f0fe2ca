import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {gitFailure, openGit} from '../../../src/system/git.ts'
import {gitEnv, sampleRepository} from '../../support/bump/repository.ts'

test('a program that the repository configures is not run by a look at it', async () => {
  const {root, git: personal} = sampleRepository({file: 'text'})
  const proof = join(root, '../ran')
  personal('config', 'core.fsmonitor', `touch '${proof}'; true`)
  const git = await openGit(root, gitEnv)
  assert.is(await git.text(['status', '--porcelain']), '')
  assert.not.ok(existsSync(proof))
})

test('a replaced object is read as the commit has it', async () => {
  const {root, git: personal} = sampleRepository({file: 'honest', other: 'replaced'})
  personal('replace', personal('rev-parse', 'HEAD:file'), personal('rev-parse', 'HEAD:other'))
  assert.is(personal('cat-file', 'blob', 'HEAD:file'), 'replaced')
  const git = await openGit(root, gitEnv)
  assert.is(await git.text(['cat-file', 'blob', 'HEAD:file']), 'honest')
})

const secrets = [
  'https://ada:s3cret@git.example.org/x.git',
  'https://ada:s3cret@more@git.example.org/x.git',
  'https://ada:a/s3cret@git.example.org/x.git',
  'https://s3cret@git.example.org/x.git',
]
for (const url of secrets) {
  test(`a failure shows nothing of the password in ${url}`, () => {
    const {message} = gitFailure('push_failed', 'push', `fatal: unable to access '${url}/': no`)
    assert.not.match(message, /s3cret|ada|more/)
    assert.match(message, /…@git\.example\.org/)
  })
}

test.run()
