import {test} from 'uvu'

test('waits for a promise that nothing keeps', () => new Promise<void>(() => {}))
test.run()
