import {test} from 'uvu'

test('is left out', () => {})
test.only('passes', () => {})
test.run()
