import {spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {createServer} from 'node:net'
import {dirname, join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {commandGate} from '../../../src/gates/command-gate.ts'
import type {GateResult, GateWorld} from '../../../src/gates/gate.ts'
import {hardwareEvidence, untestables} from '../../../src/gates/hardware-evidence.ts'
import {hasWords, type RunSpec, runCheck} from '../../../src/gates/run-check.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const require = createRequire(import.meta.url)
const native = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
const package_ = `@esbuild/linux-${process.arch}/package.json`
const esbuild = join(dirname(require.resolve(package_)), 'bin/esbuild')
const {version} = require(package_) as {version: string}
const folder = temporaryFolder()
const world: GateWorld = {
  path: process.env.PATH ?? '/usr/bin:/bin',
  evidence: join(folder, 'evidence'),
  scratch: folder,
}

function script(name: string, body: string): string {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${body}\n`, {mode: 0o644}) // as in a content cache
  return path
}

const command = {gate: 'rebuild image', cwd: folder, timeoutSecs: 20} as const

const base: RunSpec = {
  gate: 'run check',
  file: esbuild,
  machine: native,
  args: ['--version'],
  expect: version,
  timeoutSecs: 20,
}

/** A PATH with the programs of this machine but one. */
function toolsWithout(absent: string): string {
  const tools = join(folder, `without ${absent}`)
  mkdirSync(tools)
  for (const name of readdirSync('/usr/bin'))
    if (name !== absent) symlinkSync(join('/usr/bin', name), join(tools, name))
  return tools
}

function logOf({logs}: GateResult): string {
  const [log] = logs
  assert.ok(log)
  const text = readFileSync(log.path, 'utf8')
  assert.is(createHash('sha256').update(text).digest('hex'), log.sha256)
  return text
}

test('a real program says its version', async () => {
  const result = await runCheck(base, world)
  assert.is(result.verdict, 'passed', result.summary)
  assert.match(logOf(result), new RegExp(`^\\$ .*--version"\n${version}\n`))
})

const runs: readonly [string, string, ErrorCode, Partial<RunSpec>?][] = [
  ['another version', 'echo 3.3.4', 'run_text_missing'],
  ['a longer version', 'echo 3.3.50', 'run_text_missing'],
  ['a release candidate', 'echo 3.3.5-rc1', 'run_text_missing'],
  ['the version and exit code 1', 'echo 3.3.5; exit 1', 'run_failed'],
  ['the version and a signal', 'echo 3.3.5; kill -9 $$', 'run_failed'],
  ['the version, then a hang', 'echo 3.3.5; sleep 60', 'run_timeout', {timeoutSecs: 1}],
  [
    'endless output',
    'while :; do echo 3.3.5 3.3.5 3.3.5 3.3.5 3.3.5 3.3.5; done | cat',
    'run_log_limit',
    {timeoutSecs: 60},
  ],
]
for (const [name, body, code, rest] of runs) {
  test(`${name}: ${code}`, async () => {
    const file = script('program', body)
    const result = await runCheck({...base, file, args: [], expect: '3.3.5', ...rest}, world)
    assert.equal([result.verdict, result.code], ['refused', code], result.summary)
    logOf(result)
  })
}

test('the program sees no variable of ours, an empty folder, and no network', async () => {
  process.env.REL_TEST_TOKEN = 'secret-7f3a'
  try {
    const body =
      'env; echo cwd: $(ls -A | wc -l); echo links: $(cat /proc/net/dev | grep -c :); echo end'
    const file = script('program', body)
    const result = await runCheck({...base, file, args: [], expect: 'end'}, world)
    assert.is(result.verdict, 'passed')
    const log = logOf(result)
    assert.not.match(log, /secret-7f3a|REL_TEST_TOKEN/)
    assert.match(log, /^cwd: 0$/m)
    if (result.caveats.length === 0) assert.match(log, /^links: 1$/m)
    else assert.match(result.caveats.join(), /could reach the network/)
  } finally {
    delete process.env.REL_TEST_TOKEN
  }
})

test('a program reaches no file and no socket of the user, or a caveat says so', async () => {
  const secret = join(folder, 'id_ed25519')
  writeFileSync(secret, 'secret-91c2\n')
  const server = createServer((socket) => socket.end('agent-91c2\n'))
  const agent = join(folder, 'agent.sock')
  await new Promise<void>((ready) => server.listen(agent, ready))
  const call = `curl -s -m 5 --http0.9 --unix-socket "${agent}" http://agent/`
  const body = `cat "${secret}"; ${call}; ls -A /proc/1/root "${process.env.HOME}"; echo > /usr/rel-test; echo end`
  try {
    const result = await runCheck(
      {...base, file: script('program', body), args: [], expect: 'end'},
      world,
    )
    assert.is(result.verdict, 'passed', result.summary)
    const log = logOf(result).replace(/^\$ .*$/m, '')
    assert.not.ok(existsSync('/usr/rel-test'))
    if (result.caveats.length === 0) assert.not.match(log, /secret-91c2|agent-91c2/)
    else assert.match(result.caveats.join(), /could read the files of this user/)
  } finally {
    server.close()
  }
})

test('where nothing can hide them, a caveat says that files can be read', async () => {
  const tools = join(folder, 'few tools')
  mkdirSync(tools)
  const result = await runCheck(base, {...world, path: tools})
  assert.is(result.verdict, 'passed', result.summary)
  assert.equal(
    result.caveats.map((text) => /files|network|go on/.exec(text)?.[0]),
    ['files', 'network', 'go on'],
  )
})

test('a program runs under its own name, or under the given one', async () => {
  const file = script('tool-1.2', 'basename "$0"')
  const run = {...base, file, args: []}
  assert.is((await runCheck({...run, expect: 'tool-1.2'}, world)).verdict, 'passed')
  assert.is((await runCheck({...run, name: 'k3s', expect: 'k3s'}, world)).verdict, 'passed')
  for (const name of ['', '..', 'a/b', '../x'])
    await rejectsCode(() => runCheck({...run, name, expect: 'x'}, world), 'usage_invalid')
})

test('what a program leaves running ends with it', async () => {
  const file = script('program', 'sleep 987 & echo end')
  const result = await runCheck({...base, file, args: [], expect: 'end'}, world)
  assert.is(result.verdict, 'passed')
  const {stdout} = spawnSync('ps', ['-eo', 'args='], {encoding: 'utf8'})
  assert.not.match(stdout, /^sleep 987$/m)
})

/** A script whose child leaves its session and is there before the script ends. */
const leaving = (secs: number) =>
  `rm -f away; mkfifo away; setsid sh -c "echo >away; exec sleep ${secs}" & read line <away; echo end`

/** Whether the child went on; it does not afterwards. */
function isLeft(secs: number): boolean {
  const {stdout} = spawnSync('ps', ['-eo', 'pid=,args='], {encoding: 'utf8'})
  const left = new RegExp(`^ *(\\d+) sleep ${secs}$`, 'm').exec(stdout)?.[1]
  if (left !== undefined) process.kill(Number(left))
  return left !== undefined
}

test('what leaves the session of a program ends with it too, or a caveat says so', async () => {
  const file = script('program', leaving(986))
  const result = await runCheck({...base, file, args: [], expect: 'end'}, world)
  assert.is(result.verdict, 'passed', result.summary)
  const left = isLeft(986)
  if (result.caveats.length === 0) assert.not.ok(left)
  else assert.match(result.caveats.join(), /could go on after it had ended/)
})

test('what leaves the session of a command ends with it too', async () => {
  const argv = ['sh', '-c', leaving(985)] as const
  const result = await commandGate({...command, argv}, world)
  assert.is(result.verdict, 'passed', result.summary)
  assert.not.ok(isLeft(985))
})

test('without namespaces it ends all the same, and a caveat says what may not', async () => {
  const few = toolsWithout('unshare')
  const argv = ['sh', '-c', leaving(984)] as const
  const result = await commandGate({...command, argv}, {...world, path: few})
  assert.is(result.verdict, 'passed', result.summary)
  assert.not.ok(isLeft(984))
  assert.match(result.caveats.join(), /and hid could go on/)
})

test('the copy that was run is removed', () => {
  assert.equal(
    readdirSync(folder).filter((name) => name.startsWith('rel-run-')),
    [],
  )
})

test('no emulator is no pass', async () => {
  const result = await runCheck({...base, machine: 'loongarch64'}, {...world, path: folder})
  assert.equal([result.verdict, result.code], ['unavailable', 'gate_unavailable'])
})

test('nothing to expect, and nothing to run, are mistakes', async () => {
  await rejectsCode(() => runCheck({...base, expect: ''}, world), 'usage_invalid')
  await rejectsCode(() => runCheck({...base, file: join(folder, 'absent')}, world), 'file_missing')
})

const versions: readonly [string, string, boolean][] = [
  ['k3s version v1.28.5+k3s1 (5b2d1271)', 'v1.28.5+k3s1', true],
  ['k3s version v1.28.5+k3s10 (5b2d1271)', 'v1.28.5+k3s1', false],
  ['k3s version v1.28.5+k3s1', 'v1.28.5', false],
  ['Version:      3.3.5\nCodename: x', '3.3.5', true],
  ['v3.3.5', '3.3.5', true],
  ['rev3.3.5', '3.3.5', false],
  ['13.3.5', '3.3.5', false],
  ['version 3.3.5.', '3.3.5', true],
  ['version 3.3.5.1', '3.3.5', false],
  ['3.3.50 and 3.3.5', '3.3.5', true],
  ['', '3.3.5', false],
]
for (const [text, wanted, found] of versions) {
  test(`"${text}" ${found ? 'has' : 'lacks'} ${wanted}`, () =>
    assert.is(hasWords(text, wanted), found))
}

test('a command that ends well passes, with its log', async () => {
  const result = await commandGate(
    {...command, argv: ['sh', '-c', 'echo out; echo err >&2']},
    world,
  )
  assert.is(result.verdict, 'passed')
  assert.match(
    logOf(result),
    /^\$ ".*sh" "-c" "echo out; echo err >&2"\n[\s\S]*out\n[\s\S]*"exitCode":0/,
  )
})

test('a command has the variables it was given, and none of ours', async () => {
  process.env.REL_TEST_TOKEN = 'secret-7f3a'
  try {
    const result = await commandGate({...command, argv: ['env'], env: {ARCH: 'arm64'}}, world)
    assert.match(logOf(result), /^ARCH=arm64$/m)
    assert.not.match(logOf(result), /secret-7f3a/)
  } finally {
    delete process.env.REL_TEST_TOKEN
  }
})

test('a command finds nothing in its home that others could have left there', async () => {
  writeFileSync(join(folder, '.gitconfig'), '[core]\n\tfsmonitor = false\n')
  const argv = ['sh', '-c', 'echo "home: $HOME"; ls -A "$HOME" | wc -l'] as const
  const log = logOf(await commandGate({...command, argv}, world))
  const [, home = ''] = /^home: (.*)\n0$/m.exec(log) ?? []
  assert.is(dirname(home), folder)
  assert.not.ok(existsSync(home))
})

test('no shell reads the arguments', async () => {
  const result = await commandGate({...command, argv: ['echo', '$(id)', '; exit 1']}, world)
  assert.is(result.verdict, 'passed')
  assert.match(logOf(result), /^\$\(id\) ; exit 1$/m)
})

test('a command that fails, hangs, or is not there', async () => {
  const codeOf = async (argv: [string, ...string[]], timeoutSecs = 20) =>
    (await commandGate({...command, argv, timeoutSecs}, world)).code
  assert.is(await codeOf(['false']), 'run_failed')
  assert.is(await codeOf(['sleep', '60'], 1), 'run_timeout')
  assert.is(await codeOf(['no-such-program']), 'gate_unavailable')
  assert.is(await codeOf(['./no-such-program']), 'gate_unavailable')
})

test('hardware evidence is never a pass, and says what was not executed', () => {
  for (const what of untestables) {
    const result = hardwareEvidence('firmware', what)
    assert.equal([result.verdict, result.code], ['needs_evidence', 'gate_needs_evidence'])
    assert.match(result.caveats.join(), /not executed/)
  }
})

test.run()
