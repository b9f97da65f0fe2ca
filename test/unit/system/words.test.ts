import {spawnSync} from 'node:child_process'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {RelError} from '../../../src/system/error.ts'
import {shellWord, shellWords} from '../../../src/system/shell-word.ts'
import {visible} from '../../../src/system/visible.ts'

test('a name cannot begin a line, move the cursor or turn the text around', () => {
  const name = 'x\n::error title=pwn::\r\u001b[32m\u202e\u2028\u0085'
  assert.is(visible(name), 'x\\u{a}::error title=pwn::\\u{d}\\u{1b}[32m\\u{202e}\\u{2028}\\u{85}')
  assert.is(visible('dist/ä b'), 'dist/ä b')
  const error = new RelError('file_missing', `${name} is not there`, {hint: `find ${name}`})
  assert.not.match(`${error.message}${error.hint}`, /[\n\r\u001b\u202e\u2028\u0085]/)
})

const paths = [
  'dist/a-1.0_b',
  'x; touch pwned #',
  "it's",
  '$(id)',
  '`id`',
  '~',
  '-rf',
  '',
  'a\nb',
  '*',
]

test('a shell reads every path as one word', () => {
  const {stdout} = spawnSync('sh', ['-c', `printf '%s\\0' ${shellWords(paths)}`])
  const wanted = paths.map((path) => (path === '-rf' ? './-rf' : path))
  assert.equal(stdout.toString('utf8').split('\0').slice(0, -1), wanted)
  assert.is(shellWord('dist/a-1.0_b'), 'dist/a-1.0_b')
})

test.run()
