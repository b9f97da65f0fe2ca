import {test} from 'uvu'

test('forgets a promise that rejects', async () => {
  Promise.reject(new Error('nobody caught'))
  await new Promise((done) => setTimeout(done, 10))
})
test.run()
