import {spawnSync} from 'node:child_process'
import {existsSync, readdirSync, readFileSync, realpathSync, writeFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {dirname, join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type ByteSource, elfMachines, readElf} from '../../../src/gates/elf.ts'
import {elfCheck, readElfFile} from '../../../src/gates/elf-check.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {RelError} from '../../../src/system/error.ts'
import {needs} from '../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const require = createRequire(import.meta.url)
const esbuild = join(
  dirname(require.resolve(`@esbuild/linux-${process.arch}/package.json`)),
  'bin/esbuild',
)
const folder = temporaryFolder()

const source = (bytes: Uint8Array): ByteSource => ({
  size: bytes.length,
  read: (offset, length) => {
    assert.ok(offset + length <= bytes.length, 'a read behind the end')
    return bytes.slice(offset, offset + length)
  },
})
const elf = (bytes: Uint8Array) => readElf(source(bytes))

type Parts = {
  readonly bits?: 32 | 64
  readonly big?: boolean
  readonly machine?: number
  readonly type?: number
  readonly interpreter?: string
  readonly dynamic?: readonly (readonly [number, number])[]
}

/** A synthetic ELF file: header, program headers, loader name, dynamic section. */
function made({
  bits = 64,
  big = false,
  machine = 62,
  type = 2,
  interpreter,
  dynamic,
}: Parts = {}): Buffer {
  const wide = bits === 64
  const [headerSize, entrySize, width] = wide ? [64, 56, 8] : [52, 32, 4]
  const bytes = Buffer.alloc(1024)
  const put = (value: number, at: number, size: number) =>
    big
      ? bytes.writeUIntBE(value, at + Math.max(0, size - 6), Math.min(size, 6))
      : bytes.writeUIntLE(value, at, Math.min(size, 6))
  bytes.write('\x7fELF', 0, 'latin1')
  bytes.set([wide ? 2 : 1, big ? 2 : 1, 1], 4)
  put(type, 16, 2)
  put(machine, 18, 2)
  put(headerSize, wide ? 32 : 28, width)
  put(entrySize, wide ? 54 : 42, 2)
  const segments: [number, number, number][] = [[1, 0, 1024]]
  if (interpreter !== undefined) {
    bytes.write(interpreter, 400, 'latin1')
    segments.push([3, 400, interpreter.length])
  }
  if (dynamic !== undefined) {
    for (const [index, [tag, value]] of dynamic.entries()) {
      put(tag, 600 + index * 2 * width, width)
      put(value, 600 + index * 2 * width + width, width)
    }
    segments.push([2, 600, (dynamic.length + 1) * 2 * width])
  }
  put(segments.length, wide ? 56 : 44, 2)
  for (const [index, [kind, offset, size]] of segments.entries()) {
    const at = headerSize + index * entrySize
    put(kind, at, 4)
    put(offset, at + (wide ? 8 : 4), width)
    put(size, at + (wide ? 32 : 16), width)
  }
  return bytes
}

const shapes: readonly [string, Parts, string, string, string | undefined, number][] = [
  ['static x86_64', {}, 'x86_64', 'program', undefined, 0],
  ['static aarch64', {machine: 183}, 'aarch64', 'program', undefined, 0],
  ['static arm', {machine: 40, bits: 32}, 'arm', 'program', undefined, 0],
  ['static s390x, big-endian', {machine: 22, big: true}, 's390x', 'program', undefined, 0],
  [
    'aarch64 with the byte order of nobody',
    {machine: 183, big: true},
    'e_machine 183',
    'program',
    undefined,
    0,
  ],
  ['x32, which is no x86_64', {bits: 32}, 'e_machine 62', 'program', undefined, 0],
  ['static-pie', {type: 3, dynamic: [[0x6ffffffb, 0x08000001]]}, 'x86_64', 'program', undefined, 0],
  [
    'static-pie, big-endian',
    {machine: 22, big: true, type: 3, dynamic: [[0x6ffffffb, 0x08000001]]},
    's390x',
    'program',
    undefined,
    0,
  ],
  [
    'a library',
    {
      type: 3,
      dynamic: [
        [1, 1],
        [0x6ffffffb, 1],
      ],
    },
    'x86_64',
    'library',
    undefined,
    1,
  ],
  ['an object file', {type: 1}, 'x86_64', 'other', undefined, 0],
  [
    'dynamic',
    {
      type: 3,
      interpreter: '/lib/ld.so\0',
      dynamic: [
        [1, 1],
        [1, 9],
      ],
    },
    'x86_64',
    'program',
    '/lib/ld.so',
    2,
  ],
  [
    'libraries behind the end of the list',
    {
      dynamic: [
        [0, 0],
        [1, 1],
      ],
    },
    'x86_64',
    'program',
    undefined,
    0,
  ],
]
for (const [name, parts, machine, type, interpreter, neededCount] of shapes) {
  test(`${name} is read`, () => {
    const {bits, ...facts} = elf(made(parts))
    assert.is(bits, parts.bits ?? 64)
    assert.equal(facts, {machine, type, interpreter, neededCount})
  })
}

test('every machine has a number of its own', () => {
  const numbers = [62, 3, 183, 40, 243, 21, 22, 258]
  const read = numbers.flatMap((machine) =>
    ([32, 64] as const).flatMap((bits) =>
      [false, true].map((big) => elf(made({machine, bits, big})).machine),
    ),
  )
  assert.equal(read.filter((name) => !name.startsWith('e_')).sort(), [...elfMachines].sort())
})

function changed(at: number, ...bytes: readonly number[]): Buffer {
  const file = made({interpreter: '/lib/ld.so\0', dynamic: [[1, 1]]})
  file.set(bytes, at)
  return file
}

const refusals: readonly [string, Buffer, ErrorCode][] = [
  ['nothing', Buffer.alloc(0), 'elf_not'],
  ['an HTML page', Buffer.from('<!DOCTYPE html><html>Not found</html>'), 'elf_not'],
  ['a gzip', Buffer.from([0x1f, 0x8b, 8, 0]), 'elf_not'],
  ['a script', Buffer.from('#!/bin/sh\nexec true\n'), 'elf_not'],
  ['an upper-case magic', changed(0, 0x7f, 0x45, 0x4c, 0x66), 'elf_not'],
  ['four bytes', made().subarray(0, 4), 'elf_truncated'],
  ['a header without its end', made().subarray(0, 63), 'elf_truncated'],
  ['program headers without their end', made().subarray(0, 119), 'elf_truncated'],
  ['a segment behind the end', made().subarray(0, 1023), 'elf_truncated'],
  ['program headers at 2^64 - 1', changed(32, ...Array(8).fill(255)), 'elf_truncated'],
  ['a segment at 2^64 - 1', changed(72, ...Array(8).fill(255)), 'elf_truncated'],
  ['a segment of 2^64 - 1 bytes', changed(96, ...Array(8).fill(255)), 'elf_truncated'],
  ['no class', changed(4, 0), 'elf_malformed'],
  ['no byte order', changed(5, 3), 'elf_malformed'],
  ['version 2', changed(6, 2), 'elf_malformed'],
  ['program headers of 57 bytes', changed(54, 57), 'elf_malformed'],
  ['65,535 program headers', changed(56, 255, 255), 'elf_malformed'],
  ['two loaders', changed(64, 3), 'elf_malformed'],
  ['a loader name without its end', made({interpreter: '/lib/ld.so'}), 'elf_malformed'],
  ['a loader name with two ends', made({interpreter: '/lib\0ld.so\0'}), 'elf_malformed'],
]
for (const [name, bytes, code] of refusals) {
  test(`${name}: ${code}`, () => {
    throwsCode(() => elf(bytes), code)
    const result = elfCheck({gate: 'elf', file: bytes, machine: 'x86_64', isStatic: true})
    assert.equal([result.verdict, result.code], ['refused', code])
  })
}

test('every cut and every changed byte ends in facts or in a refusal', () => {
  const file = made({
    interpreter: '/lib/ld.so\0',
    dynamic: [
      [1, 1],
      [1, 2],
    ],
  })
  const reads = (bytes: Uint8Array) => {
    try {
      elf(bytes)
    } catch (error) {
      if (!(error instanceof RelError)) throw error
    }
  }
  for (let size = 0; size < file.length; size++) reads(file.subarray(0, size))
  for (let at = 0; at < 700; at++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const copy = Buffer.from(file)
      copy[at] = value
      reads(copy)
    }
  }
})

const verdicts: readonly [string, Parts, boolean, ErrorCode | undefined][] = [
  ['a static program', {}, true, undefined],
  ['another machine', {machine: 183}, true, 'elf_machine'],
  ['a dynamic program', {interpreter: '/lib/ld.so\0'}, true, 'elf_dynamic'],
  ['libraries without a loader', {dynamic: [[1, 1]]}, true, 'elf_dynamic'],
  ['a dynamic program where that is allowed', {interpreter: '/lib/ld.so\0'}, false, undefined],
  ['a library', {type: 3}, false, 'elf_type'],
]
for (const [name, parts, isStatic, code] of verdicts) {
  test(`${name}: ${code ?? 'passes'}`, () => {
    const result = elfCheck({gate: 'elf', file: made(parts), machine: 'x86_64', isStatic})
    assert.is(result.code, code)
    assert.is(result.verdict, code === undefined ? 'passed' : 'refused')
  })
}

test('a real static program passes from its path', () => {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
  assert.is(elfCheck({gate: 'elf', file: esbuild, machine, isStatic: true}).verdict, 'passed')
  assert.is(
    elfCheck({gate: 'elf', file: esbuild, machine: 'riscv64', isStatic: true}).code,
    'elf_machine',
  )
})

test('a real dynamic program is told', () => {
  const file = realpathSync(process.execPath)
  const {machine, interpreter} = readElfFile(file)
  assert.ok(interpreter)
  if (machine.startsWith('e_machine')) throw new Error(machine)
  assert.is(
    elfCheck({gate: 'elf', file, machine: machine as 'x86_64', isStatic: true}).code,
    'elf_dynamic',
  )
})

test('a path that is none, and a directory', async () => {
  const check = (file: string) => async () =>
    elfCheck({gate: 'elf', file, machine: 'x86_64', isStatic: true})
  await rejectsCode(check(join(folder, 'absent')), 'file_missing')
  await rejectsCode(check(folder), 'file_unreadable')
})

test('half a real program is truncated', () => {
  const half = join(folder, 'half')
  writeFileSync(half, readFileSync(esbuild).subarray(0, 1 << 20))
  assert.is(
    elfCheck({gate: 'elf', file: half, machine: 'x86_64', isStatic: true}).code,
    'elf_truncated',
  )
})

if (needs('readelf')) {
  test('readelf sees the same in the programs and libraries of this machine', () => {
    const files = [...listed('/usr/bin'), ...listed('/usr/lib/x86_64-linux-gnu'), esbuild]
    assert.ok(files.length > 50, `${files.length} files`)
    const env = {LC_ALL: 'C', PATH: process.env.PATH}
    const whole = spawnSync('readelf', ['-hldW', ...files], {
      encoding: 'utf8',
      env,
      maxBuffer: 64 << 20,
    })
    const parts = whole.stdout.split(/^File: /m).slice(1)
    assert.is(parts.length, files.length)
    for (const [index, file] of files.entries()) {
      const stdout = parts[index] ?? ''
      assert.ok(stdout.startsWith(`${file}\n`))
      const {interpreter, neededCount, type} = readElfFile(file)
      assert.is(interpreter, /Requesting program interpreter: (.*)\]/.exec(stdout)?.[1], file)
      assert.is(neededCount, [...stdout.matchAll(/\(NEEDED\)/g)].length, file)
      const isProgram =
        /Type:\s+EXEC/.test(stdout) || interpreter !== undefined || /Flags:.*\bPIE\b/.test(stdout)
      assert.is(type === 'program', isProgram, file)
    }
  })
}

/** ELF files of a folder, at most 40. */
function listed(path: string): string[] {
  if (!existsSync(path)) return []
  return readdirSync(path, {withFileTypes: true})
    .filter((entry) => entry.isFile())
    .map(({name}) => join(path, name))
    .filter((file) => readFileSync(file).subarray(0, 4).toString('latin1') === '\x7fELF')
    .slice(0, 40)
}

test.run()
