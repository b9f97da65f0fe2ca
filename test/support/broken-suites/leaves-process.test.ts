import {spawn} from 'node:child_process'
import {test} from 'uvu'

test('leaves a process that holds our pipes', () => {
  spawn('sleep', ['60'], {stdio: 'inherit'})
})
test.run()
