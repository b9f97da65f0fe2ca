import {spawnSync} from 'node:child_process'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type CpioEntry, cpioArchive, cpioPadding} from '../../../src/gates/cpio.ts'
import {needs} from '../../support/needs.ts'

const entries: readonly CpioEntry[] = [
  {type: 'directory', path: 'dev', mode: 0o755},
  {type: 'character', path: 'dev/console', mode: 0o600, major: 5, minor: 1},
  {type: 'file', path: 'a-name-of-odd-length', mode: 0o755, content: Buffer.from('hello')},
  {type: 'file', path: 'empty', mode: 0o644, content: Buffer.alloc(0)},
]

test('the header of a file follows the format of the kernel, field by field', () => {
  const archive = cpioArchive([
    {type: 'file', path: 'a', mode: 0o644, content: Buffer.from('xyz')},
  ]).toString('latin1')
  const fields = archive
    .slice(6, 110)
    .match(/.{8}/g)
    ?.map((field) => Number.parseInt(field, 16))
  assert.is(archive.slice(0, 6), '070701')
  assert.equal(fields, [1, 0o100644, 0, 0, 1, 0, 3, 0, 0, 0, 0, 2, 0])
  assert.is(archive.slice(110, 116), 'a\0xyz\0')
})

test('archives are padded to whole words', () => {
  assert.is(cpioArchive(entries).length % 4, 0)
  assert.equal(
    [0, 1, 2, 3, 4].map((length) => cpioPadding(length).length),
    [0, 3, 2, 1, 0],
  )
})

if (needs('cpio')) {
  test('cpio lists what was written', () => {
    const {status, stdout} = spawnSync('cpio', ['-itv', '--quiet'], {
      input: cpioArchive(entries),
      encoding: 'utf8',
    })
    assert.is(status, 0)
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => line.replace(/ root| Jan|\s+\d+ +1970/g, '').split(/\s+/))
    assert.equal(
      lines.map(([mode, , , ...rest]) => [mode, rest.at(-1)]),
      [
        ['drwxr-xr-x', 'dev'],
        ['crw-------', 'dev/console'],
        ['-rwxr-xr-x', 'a-name-of-odd-length'],
        ['-rw-r--r--', 'empty'],
      ],
    )
  })

  test('cpio unpacks the bytes that were written', () => {
    const {stdout} = spawnSync('cpio', ['-i', '--quiet', '--to-stdout', 'a-name*'], {
      input: cpioArchive(entries),
      encoding: 'utf8',
    })
    assert.is(stdout, 'hello')
  })
}

test.run()
