import {join} from 'node:path'
import {Parser} from '@oclif/core'
import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type PlainCommand, type PlainFlag, plainParse} from '../../../scripts/plain/parse.ts'
import {commandFiles, commandId} from '../../../src/cli/source-tree.ts'
import {checkout} from '../../support/built.ts'

// What is read without oclif is what oclif would have read, for every command of rel.

type Command = PlainCommand & {readonly args: Record<string, {ignoreStdin?: boolean}>}

const folder = join(checkout, 'src/commands')
const commands = new Map<string, Command>()
for (const file of commandFiles(folder)) {
  const {default: command} = (await import(join(folder, file))) as {default: Command}
  for (const arg of Object.values(command.args)) arg.ignoreStdin = true
  commands.set(commandId(file), command)
}

const json: PlainFlag = {type: 'boolean'}

async function byOclif(command: Command, argv: readonly string[]) {
  const flags = {json, ...command.baseFlags, ...command.flags}
  const definition = {...command, flags} as unknown as Parameters<typeof Parser.parse>[1]
  const {args, argv: words, flags: values} = await Parser.parse([...argv], definition)
  return {args, argv: words, flags: values}
}

/** oclif's integer has a parser, the stand-in's a mark. */
function marked(command: Command): PlainCommand {
  const flags = Object.entries(command.flags ?? {}).map(([name, flag]) => {
    const parse = (flag as {parse?: () => unknown}).parse?.toString() ?? ''
    return [name, parse.includes('Expected an integer') ? {...flag, integer: true} : flag]
  })
  return {
    args: command.args,
    baseFlags: command.baseFlags,
    strict: command.strict,
    flags: Object.fromEntries(flags),
  }
}

/** Properties that the plain reader looks at, or that change nothing but help. */
const understood = new Set([
  ...['type', 'char', 'allowNo', 'default', 'dependsOn', 'env', 'exclusive', 'multiple'],
  ...['multipleNonGreedy', 'options', 'required', 'min', 'max', 'parse', 'input', 'name'],
  ...['summary', 'description', 'helpGroup', 'helpValue', 'helpLabel', 'aliases', 'hidden'],
  ...['noCacheDefault', 'ignoreStdin'],
])

test('no command defines what the plain reader does not understand', () => {
  for (const [id, {args, baseFlags, flags}] of commands)
    for (const definition of Object.values({...baseFlags, ...flags, ...args})) {
      const unknown = Object.keys(definition).filter((name) => !understood.has(name))
      assert.equal(unknown, [], id)
    }
  assert.ok(commands.size > 50)
})

/** Words that a person or an attacker of the parser would give to this command. */
function wordsFor(command: Command): fc.Arbitrary<string> {
  const flags = Object.entries({json, ...command.baseFlags, ...command.flags})
  const names = flags.flatMap(([name, {char}]) => [
    ...[`--${name}`, `--${name}`, `--no-${name}`, `--${name}=v`, `--${name}=a=b`, `--${name}=7`],
    ...(char === undefined ? [] : [`-${char}`, `-${char}v`]),
  ])
  const values = flags.flatMap(([, {options}]) => [...(options ?? [])])
  const odd = [
    '',
    '-',
    '--',
    '-1',
    '--nope',
    '-x',
    '--=',
    '=',
    '007',
    '0',
    '99999999999',
    '__proto__',
    '--__proto__',
  ]
  return fc.constantFrom(...names, ...values, 'a', 'b', 'a', '1', '42', 'a b', 'é', ...odd)
}

test('every command line that is plain is read as oclif reads it', async () => {
  let plain = 0
  for (const [id, command] of commands) {
    const mark = marked(command)
    const lines = fc.array(wordsFor(command), {maxLength: 5})
    const check = async (argv: readonly string[]) => {
      const ours = plainParse(mark, argv, {})
      if (ours === undefined) return
      plain += 1
      assert.equal(ours, await byOclif(command, argv), `${id} ${argv.join(' ')}`)
      assert.equal(Object.keys(ours.flags), Object.keys((await byOclif(command, argv)).flags), id)
    }
    await fc.assert(fc.asyncProperty(lines, check), {numRuns: 300})
  }
  assert.ok(plain > 1000, `${plain} lines were plain`)
})

const verify = commands.get('verify') as Command

test('what people type most is plain', () => {
  const lines = [
    ['verify', ['dist', '--trust', 'trust.json', '--product=app', '--json', '-q']],
    ['sign', ['dist', '--key', 'release', '--product', 'app', '--version', '1.0.0']],
    ['device:status', ['/opt/app', '--explain', '--no-color']],
    ['verify', ['dist', '--public-key', 'a', '--public-key', 'b']],
  ] as const
  for (const [id, argv] of lines) {
    const command = commands.get(id) as Command
    assert.ok(plainParse(marked(command), argv, {}) !== undefined, `${id} ${argv.join(' ')}`)
  }
})

test('a flag that the environment sets is left to oclif', () => {
  const env = Object.values(verify.flags ?? {}).find((flag) => flag.env !== undefined)?.env
  const command = {...verify, flags: {...verify.flags, where: {type: 'option', env: 'WHERE'}}}
  assert.ok(plainParse(command as PlainCommand, ['dist'], {}) !== undefined, env)
  assert.is(plainParse(command as PlainCommand, ['dist'], {WHERE: 'here'}), undefined)
  assert.ok(plainParse(command as PlainCommand, ['dist', '--where', 'x'], {WHERE: 'here'}))
})

test('a number outside of its limits is left to oclif', () => {
  const count = {type: 'option', integer: true, min: 1, max: 5} as const
  const command = {args: {}, baseFlags: {}, strict: true, flags: {count}}
  const taken = ['0', '1', '5', '6', '-1', 'x', '1.0'].filter((word) => {
    return plainParse(command, ['--count', word], {}) !== undefined
  })
  assert.equal(taken, ['1', '5'])
})

test('what oclif would refuse or ask is left to it', () => {
  const refused = [[], ['a', 'b'], ['a', '--nope'], ['a', '--trust'], ['a', '--legacy', 'x'], ['-']]
  for (const argv of refused) assert.is(plainParse(marked(verify), argv, {}), undefined, `${argv}`)
})

test.run()
