import {suite} from 'uvu'

const own = suite('own')
own.before(() => {
  throw new Error('from a suite')
})
own('never runs', () => {})
own.run()
