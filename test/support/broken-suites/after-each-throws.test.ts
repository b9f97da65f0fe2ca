import {test} from 'uvu'

test.after.each(() => {
  throw new Error('from after.each')
})
test('passes', () => {})
test.run()
