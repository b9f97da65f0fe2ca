import {test} from 'uvu'

test.after(() => {
  throw new Error('from after')
})
test('passes', () => {})
test.run()
