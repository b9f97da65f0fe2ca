import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {helpText} from '../../src/cli/help.ts'
import {sourceManifest, sourceTree} from '../../src/cli/source-tree.ts'
import {isErrorCode} from '../../src/system/codes.ts'
import {checkout} from '../support/built.ts'
import {type CommandLine, runLines} from '../support/command-lines.ts'
import {inPairs, type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// What holds for every command, also for those that do not exist yet: the list is the source tree's.
// Each command is started once as a user starts it; its further command lines share a process.

const manifest = await sourceManifest(checkout)
const commands = Object.entries(manifest)
const CANARY = 'canary-7f3a9b'

type Checked = Ran & {readonly document: Record<string, unknown>}

/** Words that name the command. */
function wordsOf(id: string): string[] {
  return id.split(':')
}

/** One document whose exit code is the process's. */
function checked(id: string, ran: Ran): Checked {
  assert.is(ran.signal, null, `${id} had to be killed: it waited for something`)
  const document = JSON.parse(ran.stdout) as Record<string, unknown>
  assert.is(document.schema_version, 1, id)
  assert.type(document.ok, 'boolean')
  assert.ok(Array.isArray(document.warnings), id)
  if (document.ok === true) {
    assert.ok([0, 10].includes(ran.code ?? -1), `${id}: ok with exit ${ran.code}`)
    assert.type(document.result, 'object')
  } else {
    const error = document.error as Record<string, unknown>
    assert.is(error.exit, ran.code, `${id}: ${ran.stdout}`)
    assert.ok(isErrorCode(String(error.code)), `${id}: ${error.code}`)
    for (const key of ['message', 'hint', 'docs']) assert.type(error[key], 'string')
  }
  return {...ran, document}
}

/** What no output may ever show, in the places that rel takes secrets from. */
const secretEnv = {
  REL_TOKEN: CANARY,
  REL_PASSPHRASE: CANARY,
  REL_PANEL_TOKEN: CANARY,
  GITHUB_TOKEN: CANARY,
  REL_DEBUG: '1',
}

function checkSecret(ran: Ran, what: string): void {
  assert.not.match(ran.stdout + ran.stderr, new RegExp(CANARY), what)
}

function codeOf({document}: Checked): unknown {
  return (document.error as Record<string, unknown> | undefined)?.code
}

test('there are commands to check', () => {
  assert.ok(commands.length >= 5)
})

test('every command has a summary and 2 to 4 examples, and its help says so', async () => {
  const tree = sourceTree(checkout)
  for (const [id, {summary, examples}] of commands) {
    assert.ok(summary, `${id} has no summary`)
    const count = examples?.length ?? 0
    assert.ok(count >= 2 && count <= 4, `${id} has ${count} examples`)
    const text = await helpText(tree, wordsOf(id))
    assert.match(text, /EXAMPLES/, id)
    assert.ok(text.includes(`rel ${wordsOf(id).join(' ')}`), id)
  }
})

test('--help of a command is its help text, and nothing else', async () => {
  const ran = await runRel(['keys', 'new', '--help'])
  assert.equal([ran.code, ran.stderr], [0, ''])
  assert.is(ran.stdout.trimEnd(), await helpText(sourceTree(checkout), ['keys', 'new']))
})

test('without a terminal every command ends by itself, with one document and no secret', async () => {
  await inPairs(commands, async ([id, {args}]) => {
    const options = {cwd: temporaryFolder(), env: secretEnv}
    const ran = checked(id, await runRel([...wordsOf(id), '--json'], options))
    checkSecret(ran, id)
    assert.is.not(ran.code, 13)
    if (!Object.values(args).some((arg) => arg.required)) return
    assert.is(ran.code, 2, id)
    assert.is(codeOf(ran), 'usage_invalid', `${id} names the argument that is missing`)
  })
})

test('an unknown flag is one document, or three lines on stderr and nothing on stdout', async () => {
  const cwd = temporaryFolder()
  const lines = commands.flatMap(([id]) => [
    {id, args: ['--no-such-flag', '--json'], cwd},
    {id, args: ['--no-such-flag'], cwd},
  ])
  const all = await runLines(lines, secretEnv)
  assert.is(all.length, lines.length)
  for (const [at, [id]] of commands.entries()) {
    const [json, text] = all.slice(2 * at) as [Ran, Ran]
    assert.is(checked(id, json).code, 2, id)
    assert.is(codeOf(checked(id, json)), 'usage_invalid')
    assert.equal([text.code, text.stdout], [2, ''])
    assert.match(text.stderr, /^✖ usage_invalid: unknown flag --no-such-flag/)
    for (const ran of [json, text]) checkSecret(ran, id)
  }
})

test('a flag without its value is refused', async () => {
  const cwd = temporaryFolder()
  const lines = commands.flatMap(([id, {flags}]) =>
    Object.entries(flags)
      .filter(([, flag]) => flag.type === 'option')
      .map(([name]) => ({id, args: ['--json', `--${name}`], cwd})),
  )
  assert.ok(lines.length > commands.length)
  const all = await runLines(lines)
  for (const [at, {id, args}] of lines.entries()) {
    const ran = checked(id, all[at] as Ran)
    assert.is(ran.code, 2, `${id} ${args.join(' ')}`)
    assert.is(codeOf(ran), 'usage_invalid')
  }
})

test('no secret from the environment or from a file is ever printed', async () => {
  const crash = join(checkout, 'test/support/crash.cjs')
  const lines = commands.flatMap(([id, {flags}]) => secretLines(id, Object.entries(flags)))
  const crashing = lines.filter(({args}) => !args[0]?.startsWith('--'))
  const broken = {...secretEnv, NODE_OPTIONS: `--require=${JSON.stringify(crash)}`}
  const [all, crashed] = [await runLines(lines, secretEnv), await runLines(crashing, broken)]
  assert.equal([all.length, crashed.length], [lines.length, crashing.length])
  for (const [at, {id, args}] of lines.entries())
    checkSecret(all[at] as Ran, `${id} ${args.join(' ')}`)
  for (const [at, {id, args}] of crashing.entries())
    checkSecret(crashed[at] as Ran, `${id} ${args.join(' ')}, when the file system breaks`)
  // every line was heard, and the file system did break
  for (const {stdout, stderr} of [...all, ...crashed]) assert.is.not(stdout + stderr, '')
  assert.ok(crashed.some(({stderr}) => stderr.includes('internal_error')))
})

/** The file with a secret as an argument and as a flag, for people and as JSON. */
function secretLines(
  id: string,
  flags: readonly (readonly [string, {readonly type: string}])[],
): CommandLine[] {
  const cwd = join(temporaryFolder(), 'where-the-disk-breaks')
  mkdirSync(cwd)
  const file = join(cwd, 'secret')
  writeFileSync(file, `{"secret": "${CANARY}"`, {mode: 0o600})
  const option = flags.find(([, {type}]) => type === 'option')?.[0]
  const calls = [[file], ...(option === undefined ? [] : [[`--${option}`, file]])]
  return calls.flatMap((args) =>
    [[], ['--json']].map((json) => ({id, args: [...args, ...json], cwd})),
  )
}

test.run()
