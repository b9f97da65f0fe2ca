import {test} from 'uvu'

test('is forgotten', () => {})
