import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {sourceManifest} from '../../src/cli/source-tree.ts'
import {isErrorCode} from '../../src/system/codes.ts'
import {checkout} from '../support/built.ts'
import {inPairs, type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// What holds for every command, also for those that do not exist yet: the list is the source tree's.

const manifest = await sourceManifest(checkout)
const commands = Object.entries(manifest)
const CANARY = 'canary-7f3a9b'

type Checked = Ran & {readonly document: Record<string, unknown>}

/** Words that name the command, and a scratch folder to run it in. */
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

function codeOf({document}: Checked): unknown {
  return (document.error as Record<string, unknown> | undefined)?.code
}

test('there are commands to check', () => {
  assert.ok(commands.length >= 5)
})

test('every command has a summary and 2 to 4 examples, and its help says so', async () => {
  await inPairs(commands, async ([id, {summary, examples}]) => {
    assert.ok(summary, `${id} has no summary`)
    const count = examples?.length ?? 0
    assert.ok(count >= 2 && count <= 4, `${id} has ${count} examples`)
    const ran = await runRel([...wordsOf(id), '--help'])
    assert.is(ran.code, 0, id)
    assert.match(ran.stdout, /EXAMPLES/)
    assert.is(ran.stderr, '')
  })
})

test('an unknown flag is one document, or three lines on stderr and nothing on stdout', async () => {
  await inPairs(commands, async ([id]) => {
    const json = checked(id, await runRel([...wordsOf(id), '--no-such-flag', '--json']))
    assert.is(json.code, 2, id)
    assert.is(codeOf(json), 'usage_invalid')
    const text = await runRel([...wordsOf(id), '--no-such-flag'])
    assert.equal([text.code, text.stdout], [2, ''])
    assert.match(text.stderr, /^✖ usage_invalid: unknown flag --no-such-flag/)
  })
})

test('a missing argument is named', async () => {
  const needing = commands.filter(([, {args}]) => Object.values(args).some((arg) => arg.required))
  assert.ok(needing.length > 0)
  await inPairs(needing, async ([id]) => {
    const ran = checked(id, await runRel([...wordsOf(id), '--json'], {cwd: temporaryFolder()}))
    assert.is(ran.code, 2, id)
    assert.is(codeOf(ran), 'usage_invalid')
  })
})

test('a flag without its value, or with a value of the wrong kind, is refused', async () => {
  const cases = commands.flatMap(([id, {flags}]) =>
    Object.entries(flags)
      .filter(([, flag]) => flag.type === 'option')
      .map(([name, flag]) => ({id, name, flag})),
  )
  const first = new Map(cases.map((entry) => [entry.id, entry]))
  await inPairs([...first.values()], async ({id, name}) => {
    const ran = checked(id, await runRel([...wordsOf(id), '--json', `--${name}`]))
    assert.is(ran.code, 2, `${id} --${name}`)
    assert.is(codeOf(ran), 'usage_invalid')
  })
})

test('without a terminal every command ends by itself, with one document', async () => {
  await inPairs(commands, async ([id]) => {
    const ran = checked(id, await runRel([...wordsOf(id), '--json'], {cwd: temporaryFolder()}))
    assert.is.not(ran.code, 13)
  })
})

test('no secret from the environment or from a file is ever printed', async () => {
  const crash = join(checkout, 'test/support/crash.cjs')
  await inPairs(commands, async ([id, {flags}]) => {
    const folder = join(temporaryFolder(), 'scratch')
    mkdirSync(folder)
    const secretFile = join(folder, 'secret')
    writeFileSync(secretFile, `{"secret": "${CANARY}"`, {mode: 0o600})
    const env = {REL_TOKEN: CANARY, REL_PASSPHRASE: CANARY, GITHUB_TOKEN: CANARY, REL_DEBUG: '1'}
    const option = Object.entries(flags).find(([, flag]) => flag.type === 'option')?.[0]
    const calls: [string[], Record<string, string>][] = [
      [[], env],
      [['--no-such-flag'], env],
      [[secretFile], env],
      ...(option === undefined
        ? []
        : [[[`--${option}`, secretFile], env] as [string[], typeof env]]),
      [[secretFile], {...env, NODE_OPTIONS: `--require=${crash}`}],
    ]
    for (const [args, variables] of calls)
      for (const json of [[], ['--json']]) {
        const ran = await runRel([...wordsOf(id), ...args, ...json], {cwd: folder, env: variables})
        const shown = ran.stdout + ran.stderr
        assert.not.match(shown, new RegExp(CANARY), `${id} ${args.join(' ')}`)
        assert.is(ran.signal, null)
      }
  })
})

test.run()
