import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/decisions/source-flaws.md'), 'utf8')

/** Rows of the tables: their cells, without the heads. */
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (?:#|of) \|/.test(line))
  .map((line) => line.slice(2, -2).split(' | '))
const numbered = rows.filter(([first = '']) => /^\d+$/.test(first))

test('each of the 41 flaws of signing has a line', () => {
  assert.equal(
    numbered.map(([number]) => Number(number)),
    Array.from({length: 41}, (_, at) => at + 1),
  )
})

for (const cells of rows) {
  const name = cells.slice(0, -2).join(' ')
  test(`${name}: where it is mended and every test that is named exist`, () => {
    const paths = cells.at(-2)?.match(/(?:src|templates)\/[a-z0-9/.-]*[a-z0-9]/g) ?? []
    for (const path of paths) assert.ok(existsSync(join(root, path)), path)
    const tests = [...(cells.at(-1) ?? '').matchAll(/`(test\/[^`]+)`: "([^"]+)"/g)]
    assert.ok(tests.length > 0, 'no test is named')
    for (const [, path = '', title = ''] of tests) {
      assert.ok(existsSync(join(root, path)), path)
      assert.ok(readFileSync(join(root, path), 'utf8').includes(title), `${path}: ${title}`)
    }
  })
}

test.run()
