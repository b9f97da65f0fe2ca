import {test} from 'uvu'
import * as assert from 'uvu/assert'

test('passes', () => assert.ok(true))
test('passes too', async () => assert.is(await 1, 1))
test.run()
