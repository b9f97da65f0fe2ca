import {test} from 'uvu'
import {needs} from '../needs.ts'

test('passes', () => {})
if (needs('no-such-program')) test('is left out', () => {})
test.run()
