import {test} from 'uvu'

test('behaves like a command that failed', () => {
  process.exitCode = 20
})
test.run()
