import {execFileSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {editPin} from '../../../../src/bump/pins/edit-pin.ts'
import type {PinSpec} from '../../../../src/bump/playbook-pins.ts'
import {RelError} from '../../../../src/system/error.ts'
import {needs} from '../../../support/needs.ts'
import {temporaryFolder} from '../../../support/tmp.ts'

// Makefiles made at random, in all spellings that people and editors use; make itself says what
// the variable is before and after.

const MAKEFILES = 500
/** Fewer that can be edited would prove little. */
const ENOUGH = 250
const NEXT = 'v9.8.7-rel.1'
const spec: PinSpec = {
  kind: 'make_variable',
  name: 'TOOL_VERSION',
  file: 'Makefile',
  input: 'NEW',
  expect: 1,
}

/** Numbers that are the same in each run (Lehmer, with the constants of minstd). */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (state * 48271) % 0x7fffffff
    return state % sides
  }
}

type Roll = ReturnType<typeof dice>
const one = <T>(roll: Roll, from: readonly T[]): T => from[roll(from.length)] as T

function assignment(roll: Roll): string {
  const prefix = one(roll, ['', '', 'export ', 'override ', 'export\toverride ', '  ', ' export '])
  const space = () => one(roll, ['', ' ', '\t', '  \t'])
  const operator = one(roll, ['=', ':=', '::=', '?='])
  const value = one(roll, ['v1.2.3', '1.2', 'v3.3.5-rc.1+k3s1', 'abc', '20250101T000000Z'])
  const end = one(roll, ['', '', ' ', '\t', ' # pinned', ' # was v0 \\\n  and more', '#x'])
  return `${prefix}TOOL_VERSION${space()}${operator}${space()}${value}${end}`
}

/** What may stand around it; some of it sets the variable as well, some only looks like it. */
const around: readonly string[] = [
  '',
  '',
  '# TOOL_VERSION := v0 \\\nTOOL_VERSION = v0',
  'TOOL = v1.2.3',
  'TOOL_VERSIONS := v0',
  'MY_TOOL_VERSION ?= v0',
  'OTHER = $(TOOL_VERSION)-x',
  'LONG = a \\\n\tTOOL_VERSION = v0 \\\n  b',
  'define TEXT\nTOOL_VERSION = v0\nendef',
  'target: ; @echo $(TOOL_VERSION) TOOL_VERSION=v0',
  'other:\n\t@TOOL_VERSION=v0 true\n\n# between\n\t@echo v1.2.3 \\\nTOOL_VERSION = v0',
  'ifdef NOTHING\nA = 1\nelse\n  A = 2\nendif',
  'third: $(OTHER:a=b) third.c\nifdef NOTHING\n\tTOOL_VERSION = v0\nendif',
  '\tB = tabbed',
  '\tTOOL_VERSION = v0',
  'C = 1\n\tTOOL_VERSION ?= v0',
  'fourth: TOOL_VERSION = v0',
  'TOOL_VERSION += v0',
  'undefine TOOL_VERSION',
  'ifdef NOTHING\nTOOL_VERSION = v0\nendif',
]

function makefile(roll: Roll): Buffer {
  const parts = Array.from({length: roll(4)}, () => one(roll, around))
  parts.splice(roll(parts.length + 1), 0, assignment(roll))
  const text = parts.join(one(roll, ['\n', '\n', '\n\n', '\n# ünï 😀\n']))
  const whole = text + one(roll, ['\n', '\n', '\n\n', ''])
  const lines = roll(4) === 0 ? whole.replaceAll('\n', '\r\n') : whole
  return Buffer.from(roll(8) === 0 ? `\uFEFF${lines}` : lines)
}

const folder = temporaryFolder()

/** What make takes the variable for; undefined when it does not read the file. */
function makeSays(bytes: Uint8Array): string | undefined {
  writeFileSync(join(folder, 'Makefile'), bytes)
  writeFileSync(join(folder, 'show'), '$(info [$(strip $(TOOL_VERSION))])\nrel-nothing: ;@:\n')
  try {
    const args = ['-rRs', '-f', 'Makefile', '-f', 'show', 'rel-nothing']
    const env = {PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C'}
    const said = execFileSync('make', args, {cwd: folder, encoding: 'utf8', env, stdio: 'pipe'})
    return /^\[(.*)\]$/m.exec(said)?.[1]
  } catch {
    return undefined
  }
}

type Edited = {readonly bytes: Buffer; readonly result: ReturnType<typeof editPin>}

function editable(bytes: Buffer): Edited[] {
  try {
    return [{bytes, result: editPin(bytes, spec, NEXT)}]
  } catch (error) {
    if (error instanceof RelError) return []
    throw error
  }
}

const roll = dice(20_250_401)
const all = Array.from({length: MAKEFILES}, () => makefile(roll))
const edited = all.flatMap(editable)

test(`${edited.length} of ${MAKEFILES} random Makefiles can be edited, the others are refused`, () => {
  assert.ok(edited.length >= ENOUGH, `${edited.length}`)
  assert.ok(edited.length < MAKEFILES)
})

test(`in ${edited.length} random Makefiles only the bytes of the pin change, and change back`, () => {
  for (const {bytes, result} of edited) {
    const {start, end} = result.before.range
    const [head, tail] = [bytes.subarray(0, start), bytes.subarray(end)]
    assert.ok(Buffer.concat([head, Buffer.from(NEXT), tail]).equals(result.bytes), `${bytes}`)
    const back = editPin(result.bytes, spec, result.before.value)
    assert.ok(bytes.equals(back.bytes), `${bytes}`)
  }
})

if (needs('make'))
  test(`make takes the new value in all ${edited.length}, and had the old one before`, () => {
    let read = 0
    for (const {bytes, result} of edited) {
      const was = makeSays(bytes)
      if (was === undefined) continue // nothing that make would read
      read += 1
      assert.is(was, result.before.value, JSON.stringify(bytes.toString()))
      assert.is(makeSays(result.bytes), NEXT, JSON.stringify(bytes.toString()))
    }
    assert.ok(read >= 200, `make reads ${read}`)
  })

test.run()
