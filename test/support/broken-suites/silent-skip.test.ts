import {test} from 'uvu'

test('passes', () => {})
test.skip('is left out', () => {})
test.run()
