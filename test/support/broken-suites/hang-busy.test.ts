import {test} from 'uvu'

test('waits for ever', () => new Promise<void>(() => setInterval(() => {}, 1000)))
test.run()
