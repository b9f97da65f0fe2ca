import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {runProcess} from '../../../src/system/processes.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const zeros = (bytes: number) => ['-c', String(bytes), '/dev/zero']
const options = {timeoutSecs: 10, maxOutput: 4096}

test('output up to the limit is returned whole', async () => {
  const {stdout, exitCode} = await runProcess('head', zeros(4096), options)
  assert.is(stdout.length, 4096)
  assert.is(exitCode, 0)
})

test('a program that ends well is refused all the same when it printed too much', async () => {
  for (let run = 0; run < 20; run += 1)
    await rejectsCode(() => runProcess('head', zeros(4097), options), 'process_failed')
})

test('the time limit holds whatever a program has started and left', async () => {
  const file = join(temporaryFolder(), 'pid')
  for (const after of ['', '; wait']) {
    const script = `sleep 985 & echo $! >'${file}'${after}`
    await rejectsCode(() => runProcess('sh', ['-c', script], {timeoutSecs: 1}), 'process_failed')
    process.kill(Number(readFileSync(file, 'utf8')))
  }
})

test.run()
