import {test} from 'uvu'

test.before(() => {
  throw new Error('from before')
})
test('never runs', () => {})
test.run()
