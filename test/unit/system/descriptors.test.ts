import {spawnSync} from 'node:child_process'
import {closeSync, constants, openSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {checkGiven, readInto} from '../../../src/system/descriptors.ts'
import {needsThat} from '../../support/needs.ts'
import {throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const module = new URL('../../../src/system/descriptors.ts', import.meta.url).href

/** What checkGiven says of the first descriptors of a fresh process, which are all Node.js's own. */
const askAll = `
import {readdirSync, fstatSync} from 'node:fs'
const {checkGiven} = await import(${JSON.stringify(module)})
const said = {}
for (const fd of readdirSync('/proc/self/fd').map(Number).filter((fd) => fd > 2 && fd < 60)) {
  try { fstatSync(fd) } catch { continue }
  try { checkGiven(fd); said[fd] = 'taken' } catch (error) { said[fd] = error.code }
}
console.log(JSON.stringify(said))`

if (needsThat('/proc', readdirSync('/').includes('proc'), 'only Linux shows descriptors there'))
  test('no descriptor of Node.js itself is taken for a passphrase', () => {
    const {stdout, stderr} = spawnSync(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', askAll],
      {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']},
    )
    assert.is(stderr, '')
    const said = Object.entries(JSON.parse(stdout) as Record<string, string>)
    assert.ok(said.length >= 5, stdout)
    for (const [fd, code] of said)
      assert.is(code, 'file_unreadable', `descriptor ${fd} of ${stdout}`)
  })

test('a file is taken, /dev/null and what is not open are not', () => {
  const path = join(temporaryFolder(), 'f')
  writeFileSync(path, 'secret\n')
  const [file, none] = [openSync(path, 'r'), openSync('/dev/null', 'r')]
  try {
    checkGiven(file)
    const buffer = Buffer.alloc(99)
    assert.is(readInto(file, buffer, 'it'), readFileSync(path).length)
    throwsCode(() => checkGiven(none), 'file_unreadable')
    throwsCode(() => checkGiven(7777), 'file_unreadable')
  } finally {
    closeSync(file)
    closeSync(none)
  }
})

test('a pipe to which nobody writes is not waited for without end', () => {
  const path = join(temporaryFolder(), 'pipe')
  assert.is(spawnSync('mkfifo', [path]).status, 0)
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(path, constants.O_WRONLY)
  try {
    throwsCode(() => readInto(reader, Buffer.alloc(9), 'the pipe', 0.1), 'file_unreadable')
    throwsCode(() => checkGiven(reader), 'file_unreadable')
  } finally {
    closeSync(writer)
    closeSync(reader)
  }
})

test.run()
