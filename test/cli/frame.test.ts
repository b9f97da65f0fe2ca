import {spawn} from 'node:child_process'
import {existsSync, openSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {cleanEnv, type Ran, type RunOptions, run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const fixture = join(dirname(dirname(fileURLToPath(import.meta.url))), 'support/frame-fixture.ts')

function frame(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return run(process.execPath, ['--disable-warning=ExperimentalWarning', fixture, ...args], options)
}

/** The one document on stdout. */
function documentOf({stdout}: Ran): {ok: boolean; command: string; [key: string]: unknown} {
  return JSON.parse(stdout)
}

type Ending = {args: string[]; exit: number; code: string; env?: Record<string, string>}

/** Every way to fail, with the code and exit that it must have in text and in JSON, on both paths. */
const failures: Ending[] = [
  {args: ['refuses'], exit: 20, code: 'signature_invalid'},
  {args: ['failing'], exit: 28, code: 'doctor_failed'},
  {args: ['bug'], exit: 1, code: 'internal_error'},
  {args: ['syntax'], exit: 1, code: 'internal_error'},
  {args: ['value'], exit: 1, code: 'internal_error'},
  {args: ['rejection'], exit: 1, code: 'internal_error'},
  {args: ['later'], exit: 1, code: 'internal_error'},
  {args: ['unsettled'], exit: 1, code: 'internal_error'},
  {args: ['asks'], exit: 2, code: 'input_required'},
  {args: ['works', '--nope'], exit: 2, code: 'usage_invalid'},
  {args: ['works', 'surplus'], exit: 2, code: 'usage_invalid'},
  {args: ['works', '--count'], exit: 2, code: 'usage_invalid'},
  {args: ['works', '--count', 'many'], exit: 2, code: 'usage_invalid'},
  {args: ['works', '--kind', 'huge'], exit: 2, code: 'usage_invalid'},
  {args: ['works'], env: {FIXTURE_COUNT: 'many'}, exit: 2, code: 'usage_invalid'},
  {args: ['worsk'], exit: 2, code: 'command_unknown'},
  {args: ['--frob'], exit: 2, code: 'usage_invalid'},
]

for (const {args, exit, code, env = {}} of failures) {
  const name = [...Object.keys(env), ...args].join(' ')

  test(`${name}: exit ${exit} and ${code}, as text`, async () => {
    const ran = await frame(args, {env})
    assert.is(ran.code, exit, ran.stderr)
    assert.match(ran.stderr, new RegExp(`^✖ ${code}: `, 'm'))
    assert.match(ran.stderr, /^ {2}Fix: .+$/m)
    assert.match(ran.stderr, new RegExp(`^ {2}More: rel explain ${code}$`, 'm'))
    assert.not.match(ran.stderr, /^\s+at /m)
    if (code !== 'doctor_failed') assert.is(ran.stdout, '')
  })

  test(`${name}: the same document on the quick and on the full path`, async () => {
    const quick = await frame([...args, '--json'], {env})
    const full = await frame([...args, '--json'], {env: {...env, FIXTURE_PATH: 'full'}})
    const document = documentOf(quick)
    assert.equal(document, documentOf(full))
    assert.is(quick.code, exit)
    assert.is(full.code, exit)
    assert.is(document.ok, false)
    const error = document.error as Record<string, unknown>
    assert.is(error.code, code)
    assert.is(error.exit, exit)
    assert.equal(Object.keys(error), ['code', 'message', 'hint', 'docs', 'exit', 'details'])
  })
}

test('a library that calls process.exit(0) does not make a success', async () => {
  assert.is((await frame(['leaves'])).code, 1)
})

test('a success is one document, or lines on stdout and the rest on stderr', async () => {
  const json = await frame(['works', '--json'])
  assert.equal(documentOf(json), {
    schema_version: 1,
    ok: true,
    command: 'works',
    result: {done: true},
    warnings: ['a warning'],
    undo: 'rel undo',
    next: 'rel next',
  })
  assert.is(json.stderr, '')
  const text = await frame(['works'])
  assert.is(text.stdout, '✔ done\n')
  assert.is(text.stderr, '! a warning\nUndo: rel undo\nNext: rel next\n')
  const quiet = await frame(['works', '-q'])
  assert.equal([quiet.stdout, quiet.stderr, quiet.code], ['', '', 0])
})

test('global flags may stand before the command', async () => {
  assert.is(documentOf(await frame(['--json', 'works'])).command, 'works')
})

test('an exit code that is no failure is kept', async () => {
  const ran = await frame(['changed', '--json'])
  assert.is(ran.code, 10)
  assert.is(documentOf(ran).ok, true)
})

test('a trace is shown with REL_DEBUG=1, without the secret that is in its message', async () => {
  const env = {REL_DEBUG: '1', REL_PASSPHRASE: 'hunter2-canary'}
  const ran = await frame(['bug'], {env})
  assert.match(ran.stderr, /^\s+at /m)
  assert.match(ran.stderr, /\$REL_PASSPHRASE/)
  assert.not.match(ran.stderr, /canary/)
})

test('the message of a parser, which quotes its input, is withheld', async () => {
  const ran = await frame(['syntax'], {env: {REL_DEBUG: '1'}})
  assert.not.match(ran.stderr + ran.stdout, /secret-from-a-file/)
})

test('a value from the environment is not repeated when it is wrong', async () => {
  for (const env of [{FIXTURE_KIND: 'env-canary'}, {FIXTURE_COUNT: 'env-canary'}])
    for (const extra of [[], ['--json']]) {
      const ran = await frame(['works', ...extra], {env: {...env, REL_DEBUG: '1'}})
      assert.is(ran.code, 2)
      assert.not.match(ran.stdout + ran.stderr, /env-canary/)
    }
})

test('an unknown flag is named without its value, and near ones are suggested', async () => {
  const ran = await frame(['works', '--cuont=s3cret'])
  assert.match(ran.stderr, /unknown flag --cuont; did you mean --count\?/)
  assert.not.match(ran.stderr, /s3cret/)
})

test('terminal escapes in names are spelled out', async () => {
  const text = await frame(['escapes'], {env: {FORCE_COLOR: '1'}})
  assert.is(text.stdout, '\\u001b[2Jname\\u202e\n')
  const json = await frame(['escapes', '--json'])
  assert.not.match(json.stdout, /[\u001b\u009b\u202e]/)
  assert.equal(documentOf(json).result, {name: '\u001b[2J\u009b\u202e'})
})

test('colours: only where they are wanted', async () => {
  const colored = await frame(['works'], {env: {FORCE_COLOR: '1'}})
  assert.match(colored.stdout, /\u001b\[32m✔/)
  const refusals = [{env: {NO_COLOR: '1', FORCE_COLOR: '1'}}, {env: {FORCE_COLOR: '0'}}, {}]
  for (const options of refusals) assert.is((await frame(['works'], options)).stdout, '✔ done\n')
  const flag = await frame(['works', '--no-color'], {env: {FORCE_COLOR: '1'}})
  assert.is(flag.stdout, '✔ done\n')
  assert.not.match(flag.stderr, /Warning/)
})

test('progress is a line on stderr without a terminal, and nothing on stdout', async () => {
  const ran = await frame(['steps'])
  assert.is(ran.stderr, 'counting …\n')
  assert.is(ran.stdout, '✔ done\n')
})

for (const [signal, exit] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)
  for (const json of [false, true])
    test(`${signal} ends a command with ${exit} ${json ? 'and one document' : 'and its code'}`, async () => {
      const ran = await interrupted(['waits', ...(json ? ['--json'] : [])], signal)
      assert.is(ran.code, exit)
      if (!json) return assert.match(ran.stderr, /✖ interrupted: stopped by SIG/)
      const error = documentOf(ran).error as Record<string, unknown>
      assert.equal([error.code, error.exit], ['interrupted', exit])
    })

test('a signal that comes while work blocks the loop does not contradict what the work says', async () => {
  const ran = await interrupted(['blocks', '--json'], 'SIGINT')
  assert.equal([documentOf(ran).ok, ran.code], [true, 0])
})

test('an interrupted command leaves no unfinished file', async () => {
  const path = join(temporaryFolder(), 'half')
  const ran = await interrupted(['leftover'], 'SIGTERM', {LEFTOVER: path})
  assert.is(ran.code, 143)
  assert.is(existsSync(path), false)
})

async function interrupted(
  args: readonly string[],
  signal: NodeJS.Signals,
  env: Record<string, string> = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [fixture, ...args], {env: cleanEnv(env)})
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
    if (String(chunk).includes('ready')) child.kill(signal)
  })
  return new Promise((resolve) => {
    child.once('close', (code, ended) => resolve({code, signal: ended, stdout, stderr}))
  })
}

test('a reader that goes away is no failure and no trace', async () => {
  for (const extra of ['', '--json']) {
    const script = `"$0" "$1" loud ${extra} | head -0; echo "\${PIPESTATUS[0]}"`
    const ran = await run('bash', ['-c', script, process.execPath, fixture])
    assert.ok(['0\n', '141\n'].includes(ran.stdout), ran.stdout)
    assert.not.match(ran.stderr, /Error|EPIPE| at /)
  }
})

test('an output that cannot be written does not end in 0', async () => {
  const full = openSync('/dev/full', 'w')
  const child = spawn(process.execPath, [fixture, 'works'], {
    env: cleanEnv(),
    stdio: ['ignore', full, 'pipe'],
  })
  let stderr = ''
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  assert.is(code, 28)
  assert.match(stderr, /✖ (disk_full|write_failed): /)
})

test.run()
