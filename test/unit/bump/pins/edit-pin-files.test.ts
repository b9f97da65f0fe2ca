import {execFileSync} from 'node:child_process'
import {globSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {isMap, isScalar, isSeq, parseAllDocuments} from 'yaml'
import {editPin} from '../../../../src/bump/pins/edit-pin.ts'
import {findPin} from '../../../../src/bump/pins/find-pin.ts'
import type {PinSpec} from '../../../../src/bump/playbook-pins.ts'
import {RelError} from '../../../../src/system/error.ts'
import {checkout} from '../../../support/built.ts'
import {temporaryFolder} from '../../../support/tmp.ts'

// Real files of installed packages, and what editors and systems make of them.

const common = {file: 'f', input: 'NEW', expect: 1} as const
/** Unlike anything in the files. */
const NEXT = 'v9.8.7-rel.1'

type Sample = {readonly name: string; readonly bytes: Buffer; readonly spec: PinSpec}

function realFiles(pattern: RegExp): {name: string; bytes: Buffer}[] {
  const root = join(checkout, 'node_modules')
  return readdirSync(root, {recursive: true, encoding: 'utf8'})
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => ({name, bytes: readFileSync(join(root, name))}))
}

/** The same file as other people write it; each must be edited as exactly. */
function variants({name, bytes}: {name: string; bytes: Buffer}): {name: string; bytes: Buffer}[] {
  const text = bytes.toString('utf8')
  if (!Buffer.from(text).equals(bytes) || text.includes('\r')) return [{name, bytes}]
  const body = text.replace(/\n+$/, '')
  return [
    {name, bytes},
    {name: `${name}, CRLF`, bytes: Buffer.from(text.replaceAll('\n', '\r\n'))},
    {name: `${name}, no final newline`, bytes: Buffer.from(body)},
    {name: `${name}, byte order mark`, bytes: Buffer.from(`\uFEFF${text}`)},
    {name: `${name}, a comment with emoji`, bytes: Buffer.from(`# 😀 ünïcode\n${text}`)},
  ]
}

/** A path to every plain text value that occurs once; keys with what separates paths are escaped. */
function yamlPaths(bytes: Buffer): string[] {
  const found: string[] = []
  const walk = (node: unknown, at: readonly string[]) => {
    if (isMap(node))
      for (const {key, value} of node.items)
        if (isScalar(key)) walk(value, [...at, String(key.value).replaceAll('.', '\\.')])
    if (isSeq(node))
      for (const [index, item] of node.items.entries()) walk(item, [...at, String(index)])
    if (isScalar(node) && typeof node.value === 'string') found.push(at.join('.'))
  }
  for (const document of parseAllDocuments(bytes.toString('utf8'), {logLevel: 'silent'}))
    walk((document as {contents?: unknown}).contents, [])
  return found
}

/** A date without quotes is no text to older readers of YAML: rel would not write it back. */
const plainDate = /^\d{4}-\d\d?-\d\d?([Tt ]|$)/

function found(bytes: Buffer, spec: PinSpec): boolean {
  try {
    return !plainDate.test(findPin(bytes, spec).value)
  } catch (error) {
    if (error instanceof RelError) return false
    throw error
  }
}

/** The first, the middle and the last place of a file that can be edited. */
function samples(file: {name: string; bytes: Buffer}, specs: readonly PinSpec[]): Sample[] {
  const usable = specs.filter((spec) => found(file.bytes, spec))
  const chosen = new Set([usable[0], usable[usable.length >> 1], usable.at(-1)])
  return [...chosen].flatMap((spec) => (spec === undefined ? [] : [{...file, spec}]))
}

/** JSON is YAML 1.2 in flow style, and there is plenty of it; every second package is enough. */
const packages = realFiles(/(^|\/)package\.json$/).filter((_, index) => index % 2 === 0)
const yamlFiles = realFiles(/\.ya?ml$/)

const yaml = [...yamlFiles.flatMap(variants), ...packages].flatMap((file) => {
  const paths = yamlPaths(file.bytes).slice(0, 200)
  return samples(
    file,
    paths.map((path) => ({kind: 'yaml_path', path, ...common})),
  )
})
/** Real ones, of npm packages and of Debian where this is one, wherever they set a plain value. */
function realMakefiles(): Sample[] {
  const debian = globSync(['/usr/share/dpkg/*.mk', '/usr/share/doc/git/contrib/**/Makefile'])
  const files = debian.map((name) => ({name, bytes: readFileSync(name)}))
  return [...realFiles(/(^|\/)Makefile$/), ...files].flatMap((file) => {
    const text = file.bytes.toString('utf8')
    const names = [...text.matchAll(/^(?:export )?([A-Za-z_][\w.-]*)[ \t]*[:?]?=/gm)]
    const specs = [...new Set(names.map(([, name = '']) => name))].map(
      (name): PinSpec => ({kind: 'make_variable', name, ...common}),
    )
    return variants(file).flatMap((variant) => samples(variant, specs))
  })
}

/** Packages carry next to no Makefiles, so every spelling of an assignment is generated. */
function makefiles(): Sample[] {
  const found: Sample[] = []
  for (const operator of ['=', ':=', '::=', '?='])
    for (const prefix of ['', 'export ', 'override ', '  '])
      for (const space of ['', ' ', '\t'])
        for (const comment of ['', ' # v1.2.3', '\t#v1.2.3']) {
          const line = `${prefix}TOOL_VERSION${space}${operator}${space}v1.2.3${comment}`
          const text = `TOOL = x\n# TOOL_VERSION := v1.2.3\n${line}\nall:\n\techo v1.2.3\n`
          const spec: PinSpec = {kind: 'make_variable', name: 'TOOL_VERSION', ...common}
          const file = {name: JSON.stringify(line), bytes: Buffer.from(text)}
          found.push(...variants(file).map((variant) => ({...variant, spec})))
        }
  return found
}

const make = [...realMakefiles(), ...makefiles()]

const count = (some: readonly Sample[]) => new Set(some.map(({name}) => name)).size
const real = new Set([...yamlFiles, ...packages].map(({name}) => name))
const realCount = new Set(yaml.flatMap(({name}) => (real.has(name) ? [name] : []))).size
const counts = `${count(yaml)} files of YAML, ${realCount} of them as packages have them, ${count(make)} Makefiles`

test(`there are enough: ${counts}`, () => {
  assert.ok(realCount >= 200, counts)
  assert.ok(count(yaml) >= 300, counts)
  assert.ok(count(make) >= 500, counts)
})

test(`only the bytes of the pin change, and they change back: ${counts}`, () => {
  for (const {name, bytes, spec} of [...yaml, ...make]) {
    const {bytes: edited, before} = editPin(bytes, spec, NEXT)
    const {start, end} = before.range
    const expected = Buffer.concat([
      bytes.subarray(0, start),
      Buffer.from(NEXT),
      bytes.subarray(end),
    ])
    assert.ok(expected.equals(edited), name)
    const back = editPin(edited, spec, before.value)
    assert.ok(bytes.equals(back.bytes), name)
  }
})

/** Every value of a file in order, with no help of what found the pin. */
function values({name, bytes}: {name: string; bytes: Uint8Array}): unknown[] {
  const text = Buffer.from(bytes).toString('utf8')
  const found: unknown[] = []
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) found.push(value)
    else for (const [key, inner] of Object.entries(value)) found.push(key) && walk(inner)
  }
  if (name.endsWith('.json')) walk(JSON.parse(text))
  else for (const document of parseAllDocuments(text, {logLevel: 'silent'})) walk(document.toJS())
  return found
}

test(`${count(yaml)} files read as before but for one value, which is the new one`, () => {
  for (const {name, bytes, spec} of yaml) {
    const {bytes: edited, before} = editPin(bytes, spec, NEXT)
    const [was, is] = [values({name, bytes}), values({name, bytes: edited})]
    assert.is(was.length, is.length, name)
    const changes = is.flatMap((value, at) => (value === was[at] ? [] : [[was[at], value]]))
    assert.equal(changes, [[before.value, NEXT]], name)
  }
})

test('git sees one line out and one line in, for each of them', () => {
  const folder = temporaryFolder()
  const git = (...args: readonly string[]) =>
    execFileSync('git', ['-c', 'core.autocrlf=false', ...args], {cwd: folder, encoding: 'utf8'})
  git('init', '--quiet')
  const all = [...yaml, ...make]
  for (const [index, {bytes}] of all.entries()) writeFileSync(join(folder, `f${index}`), bytes)
  git('add', '--all')
  for (const [index, {bytes, spec}] of all.entries())
    writeFileSync(join(folder, `f${index}`), editPin(bytes, spec, NEXT).bytes)
  const lines = git('diff', '--numstat').trim().split('\n')
  assert.is(lines.length, all.length)
  for (const line of lines) assert.match(line, /^1\t1\tf\d+$/)
})

test.run()
