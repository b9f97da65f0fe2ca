import {spawnSync} from 'node:child_process'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {temporaryFolder} from '../support/tmp.ts'

const root = join(import.meta.dirname, '../..')

type Ending = {readonly status: number | null; readonly output: string; readonly closing: string}

function run(paths: readonly string[], {ci = false, limitSecs = 60} = {}): Ending {
  const args = [join(root, 'test/run.ts'), '--limit', String(limitSecs), ...paths]
  const env = {...process.env, CI: ci ? 'true' : ''}
  const {status, stdout, stderr} = spawnSync(process.execPath, args, {encoding: 'utf8', env})
  const closing = stdout.trimEnd().split('\n').at(-1) ?? ''
  return {status, output: stdout + stderr, closing}
}

function suiteFile(name: string): string {
  return join(root, 'test/support/broken-suites', `${name}.test.ts`)
}

/** [file, what the report must say, closing line] */
const broken = [
  ['fails', 'one is two', '1 passed, 1 failed, 0 skipped'],
  ['before-throws', 'from before', '0 passed, 1 failed, 0 skipped'],
  ['after-throws', 'from after', '0 passed, 1 failed, 0 skipped'],
  ['after-each-throws', 'from after.each', '0 passed, 1 failed, 0 skipped'],
  ['own-suite', 'a hook threw', '0 passed, 1 failed, 0 skipped'],
  ['throws-null', 'threw no Error', '0 passed, 1 failed, 0 skipped'],
  ['no-run', 'is test.run() missing?', '0 passed, 1 failed, 0 skipped'],
  ['no-tests', 'it has no tests', '0 passed, 1 failed, 0 skipped'],
  ['hang-idle', 'it ended', '0 passed, 1 failed, 0 skipped'],
  ['exits-zero', 'it ended before its tests did', '0 passed, 1 failed, 0 skipped'],
  ['throws-at-load', 'while loading', '0 passed, 1 failed, 0 skipped'],
  ['rejects-later', 'nobody caught', '0 passed, 1 failed, 0 skipped'],
] as const

for (const [name, said, closing] of broken) {
  test(`is red for ${name}`, () => {
    const ending = run([suiteFile(name)])
    assert.is(ending.status, 1, ending.output)
    assert.ok(ending.output.includes(said), ending.output)
    assert.is(ending.closing, closing)
  })
}

test('kills a file that runs past its limit', () => {
  const ending = run([suiteFile('hang-busy')], {limitSecs: 2})
  assert.is(ending.status, 1)
  assert.ok(ending.output.includes('still running after 2 s'), ending.output)
})

for (const name of ['good', 'leaves-exit-code', 'leaves-server', 'leaves-process']) {
  test(`is green for ${name}`, () => {
    const ending = run([suiteFile(name)])
    assert.is(ending.status, 0, ending.output)
    assert.match(ending.closing, /^[12] passed, 0 failed, 0 skipped$/)
  })
}

for (const name of ['silent-skip', 'stray-only', 'named-skip']) {
  test(`names the skip of ${name}, and fails on it in CI`, () => {
    const local = run([suiteFile(name)])
    assert.is(local.status, 0, local.output)
    assert.is(local.closing, '1 passed, 0 failed, 1 skipped')
    assert.ok(local.output.includes(`- skipped support/broken-suites/${name}`), local.output)
    assert.is(run([suiteFile(name)], {ci: true}).status, 1)
  })
}

test('one broken file does not stop the others', () => {
  const names = ['exits-zero', 'throws-at-load', 'leaves-exit-code', 'good']
  const ending = run(names.map(suiteFile))
  assert.is(ending.status, 1)
  assert.is(ending.closing, '3 passed, 2 failed, 0 skipped')
})

test('is red when no test file is found', () => {
  assert.is(run([temporaryFolder()]).status, 1)
  assert.is(run([join(root, 'test/no-such-folder')]).status, 1)
})

test.run()
