import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {codeAreas, codes} from '../../../src/system/codes.ts'

test('a code has one cause: no two areas share a name, and none is left out', () => {
  const names = Object.values(codeAreas).flatMap((area) => Object.keys(area))
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  assert.equal(twice, [])
  assert.equal(names.toSorted(), Object.keys(codes).toSorted())
})

test.run()
