import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {checkout} from '../support/built.ts'
import {runScript, splitWords} from '../support/script.ts'

const folder = join(checkout, 'test/cli/scripts')
const scripts = readdirSync(folder).filter((name) => name.endsWith('.txtar'))

test('there are scripts', () => assert.ok(scripts.length >= 4))

for (const name of scripts)
  test(name, async () => runScript(readFileSync(join(folder, name), 'utf8')))

const broken = {
  'an unknown verb': 'frob x',
  'a failure that is not expected': 'rel explain no_such_code_at_all',
  'a success that is not expected': '! rel explain',
  'another exit code': '! rel frob\nexit 3',
  'text that is not there': 'rel explain\nstdout nothing_like_this',
  'a file that is not there': 'exists nothing',
  'nothing at all': '# only a comment',
}

for (const [name, script] of Object.entries(broken))
  test(`a script fails on ${name}`, async () => {
    const failed = await runScript(script).then(
      () => false,
      () => true,
    )
    assert.ok(failed)
  })

test('words are apart by spaces, quotes keep them', () => {
  assert.equal(splitWords("a 'b c' d='e"), ['a', 'b c', "d='e"])
})

test.run()
