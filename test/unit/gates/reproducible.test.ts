import {createHash} from 'node:crypto'
import {chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {compareTrees} from '../../../src/gates/compare-trees.ts'
import type {GateResult, GateWorld} from '../../../src/gates/gate.ts'
import {
  describeDifference,
  planBuilds,
  type ReproSpec,
  reproCaveats,
  variedOf,
} from '../../../src/gates/repro-plan.ts'
import {variedSettings} from '../../../src/gates/repro-settings.ts'
import {findReproTools, reproducible} from '../../../src/gates/reproducible.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {isOnPath, needs} from '../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const folder = temporaryFolder()
const source = join(folder, 'source')
mkdirSync(join(source, 'sub'), {recursive: true})
writeFileSync(join(source, 'a.txt'), 'hello\n')
writeFileSync(join(source, 'sub', 'B.txt'), 'world\n')
writeFileSync(join(source, 'run.sh'), '#!/bin/sh\necho run\n', {mode: 0o755})
symlinkSync('a.txt', join(source, 'link'))
const world: GateWorld = {
  path: process.env.PATH ?? '/usr/bin:/bin',
  evidence: join(folder, 'evidence'),
  scratch: folder,
}
const base: ReproSpec = {
  gate: 'reproducible',
  argv: ['true'],
  source,
  outputs: [],
  epoch: 1_700_000_000,
  keep: [],
  timeoutSecs: 60,
}
const tools = await findReproTools(world, folder)
const build = (script: string, rest: Partial<ReproSpec> = {}, changed = world) =>
  reproducible({...base, argv: ['sh', '-c', script], ...rest}, changed, tools)

function logText({logs}: GateResult, part: string): string {
  const log = logs.find(({path}) => path.includes(part))
  assert.ok(log, part)
  const text = readFileSync(log.path, 'utf8')
  assert.is(createHash('sha256').update(text).digest('hex'), log.sha256)
  return text
}

const normalised =
  'tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf out.tar a.txt sub run.sh link'

const same: readonly [string, string][] = [
  ['a normalised tar', normalised],
  ['a build that honours SOURCE_DATE_EPOCH', 'date -u -d @$SOURCE_DATE_EPOCH +%s >out.txt'],
  ['a list sorted in the C locale', 'find sub | LC_ALL=C sort >out.txt'],
  ['other times and modes of what was built', 'cat a.txt >out.txt'],
]
for (const [name, script] of same) {
  test(`${name} passes`, async () => {
    const result = await build(script)
    assert.is(result.verdict, 'passed', result.summary)
    assert.match(logText(result, 'first'), /^\$ "\/bin\/sh"/)
  })
}

const differing: readonly [string, string, RegExp, string?][] = [
  ['a naive tar', 'tar cf out.tar a.txt sub', /^out\.tar has other bytes from offset \d+ on/],
  [
    'times of files alone',
    'tar --mode=0644 -cf out.tar a.txt',
    /^out\.tar has other bytes from offset 1\d\d on/,
  ],
  ['the date', 'date >out.txt', /^out\.txt has other bytes from offset \d+ on/],
  ['the year', 'date +%Y >out.txt', /^out\.txt has other bytes from offset 3 on/, 'faketime'],
  ['the time zone', 'date -d @0 +%H:%M >out.txt', /^out\.txt has other bytes from offset 0 on/],
  ['the path', 'pwd >out.txt', /^out\.txt has other bytes/],
  ['the home folder', 'echo $HOME >out.txt', /^out\.txt/],
  ['the umask', 'umask >out.txt', /^out\.txt has other bytes from offset 2 on/],
  [
    'the order of a locale',
    'printf "a\\nB\\n" | sort >out.txt',
    /^out\.txt has other bytes from offset 0 on/,
    'localedef',
  ],
  ['a random name', 'mktemp ./out.XXXXXX', /^out\.\w+ is only in the (first|second) build/],
  ['a link to the place', 'ln -s "$(pwd)" out', /^out links to something else/],
]
for (const [name, script, summary, program] of differing) {
  if (program !== undefined && !needs(program)) continue
  test(`${name} is red`, async () => {
    const result = await build(script)
    assert.equal([result.verdict, result.code], ['refused', 'repro_differs'], result.summary)
    assert.match(result.summary, summary)
    assert.match(logText(result, 'differences'), summary)
  })
}

test('build-manifest.json is named first, whatever else differs', async () => {
  const result = await build('mkdir z; date +%s%N | tee a-file z/build-manifest.json')
  assert.match(result.summary, /^z\/build-manifest\.json has other bytes .*\(and 1 more\)$/)
})

test('a result that was there before and is made again counts', async () => {
  const result = await build('echo world >sub/B.txt', {outputs: ['sub/B.txt']})
  assert.is(result.verdict, 'passed', result.summary)
})

test('only the named outputs are compared', async () => {
  const script = 'mkdir out tmp; echo same >out/file; date +%s%N >tmp/file'
  assert.is((await build(script, {outputs: ['out']})).verdict, 'passed')
  assert.is((await build(script, {outputs: ['out', 'tmp/file']})).code, 'repro_differs')
})

test('what is kept is not varied, and the report says so', async () => {
  const result = await build('pwd | tail -c 6 >out.txt; umask >>out.txt', {keep: ['path', 'umask']})
  assert.is(result.verdict, 'passed')
  assert.match(result.caveats.join('\n'), /^path was the same in both builds: as asked$/m)
  assert.match(result.caveats.join('\n'), /^umask was the same/m)
  assert.not.match(result.summary, /umask/)
})

const failing: readonly [string, string, ErrorCode, Partial<ReproSpec>?][] = [
  ['a build that fails', 'exit 3', 'repro_build_failed'],
  ['a build that hangs', 'sleep 60', 'repro_build_failed', {timeoutSecs: 1}],
  [
    'a build that fails in the second place only',
    'case "$PWD" in *another*) exit 1;; esac',
    'repro_build_failed',
  ],
  ['a build that makes nothing', 'true', 'repro_output_missing'],
  ['a stale result in the source', 'echo x >out.txt', 'repro_output_missing', {outputs: ['sub']}],
  [
    'a build that makes something else',
    'echo x >out.txt',
    'repro_output_missing',
    {outputs: ['dist']},
  ],
]
for (const [name, script, code, rest] of failing) {
  test(`${name}: ${code}`, async () => {
    const result = await build(script, rest)
    assert.equal([result.verdict, result.code], ['refused', code], result.summary)
  })
}

test('which build failed is said', async () => {
  const result = await build('case "$PWD" in *another*) exit 7;; esac; date >out')
  assert.is(result.summary, 'the second build: it ended with 7')
})

/** A PATH whose faketime does nothing. */
function blindPath(): string {
  const tools = join(folder, 'blind')
  mkdirSync(tools)
  writeFileSync(join(tools, 'faketime'), '#!/bin/sh\nshift 2\nexec "$@"\n', {mode: 0o755})
  return `${tools}:${world.path}`
}

test('a setting that is only said to be varied makes the gate blind', async () => {
  const timezone = await build(normalised, {env: {TZ: 'UTC0'}})
  assert.is(timezone.code, 'repro_gate_blind')
  assert.match(timezone.summary, /not seen: timezone$/)
  const kept = await build(normalised, {env: {TZ: 'UTC0'}, keep: ['timezone']})
  assert.is(kept.verdict, 'passed', kept.summary)
})

test('a faketime that fakes nothing is found out by the clock it leaves', async () => {
  const argv = ['sh', '-c', 'date +%Y >out.txt'] as const
  const result = await reproducible({...base, argv}, {...world, path: blindPath()})
  // both builds run in one year: without the self-test this would pass
  assert.is(result.code, 'repro_gate_blind', result.summary)
  assert.match(result.summary, /clock/)
})

test('without faketime the clock is not said to be varied', () => {
  const tools = {faketime: undefined, locale: undefined}
  assert.equal(
    variedOf(base, tools),
    variedSettings.filter((setting) => setting !== 'clock' && setting !== 'locale'),
  )
  const caveats = reproCaveats(base, tools).join('\n')
  assert.match(caveats, /^clock was the same in both builds: this machine cannot vary it$/m)
  assert.match(caveats, /^locale was the same/m)
})

test('the source is not changed, and nothing is left', async () => {
  const before = readdirSync(source)
  await build('rm -rf a.txt sub; date >run.sh')
  assert.equal(readdirSync(source), before)
  assert.is(readFileSync(join(source, 'a.txt'), 'utf8'), 'hello\n')
  assert.equal(
    readdirSync(folder).filter((name) => name.startsWith('rel-repro-')),
    [],
  )
})

test('logs below the source are not copied', async () => {
  const evidence = join(source, 'evidence')
  mkdirSync(evidence)
  const result = await build('test ! -e evidence && echo x >out', {}, {...world, evidence})
  assert.is(result.verdict, 'passed', result.summary)
})

test('nothing of our environment reaches a build', async () => {
  process.env.REL_TEST_TOKEN = 'secret-7f3a'
  try {
    const result = await build('env; echo x >out')
    assert.is(result.verdict, 'passed', result.summary)
    assert.not.match(logText(result, 'second'), /secret-7f3a/)
    assert.match(logText(result, 'second'), /^SOURCE_DATE_EPOCH=1700000000$/m)
  } finally {
    delete process.env.REL_TEST_TOKEN
  }
})

test('diffoscope speaks when it is installed, and decides nothing', async () => {
  const fake = join(folder, 'fake-tools')
  mkdirSync(fake)
  writeFileSync(join(fake, 'diffoscope'), '#!/bin/sh\necho "diffoscope of $4 $5"\nexit 1\n', {
    mode: 0o755,
  })
  const result = await build('date +%s%N >out.txt', {}, {...world, path: `${fake}:${world.path}`})
  assert.is(result.code, 'repro_differs')
  assert.match(logText(result, 'diffoscope'), /^diffoscope of \S+out\.txt .+out\.txt$/m)
})

test('a command that is not there is no pass', async () => {
  const result = await reproducible({...base, argv: ['no-such-program']}, world)
  assert.equal([result.verdict, result.code], ['unavailable', 'gate_unavailable'])
})

test('mistakes are told before anything is built', async () => {
  for (const output of ['/etc', '../x', 'a/../../x', '.', '', 'a//b', './a', 'a/']) {
    await rejectsCode(() => build('true', {outputs: [output]}), 'usage_invalid')
  }
  await rejectsCode(() => build('true', {source: join(folder, 'absent')}), 'file_missing')
  await rejectsCode(() => build('true', {source: join(source, 'a.txt')}), 'file_missing')
  const tools = {faketime: undefined, locale: undefined}
  throwsCode(() => planBuilds({...base, epoch: -1}, tools), 'usage_invalid')
})

/** Two folders with one file each. */
function pair(name: string, make: (path: string, index: number) => void): [string, string] {
  const roots = [0, 1].map((index) => {
    const root = join(folder, `${name}-${index}`)
    mkdirSync(root)
    make(join(root, 'file'), index)
    return root
  })
  return roots as [string, string]
}

const trees: readonly [string, (path: string, index: number) => void, string | undefined][] = [
  ['equal bytes', (path) => writeFileSync(path, 'x'), undefined],
  [
    'a longer file',
    (path, index) => writeFileSync(path, 'x'.repeat(3 + index)),
    'file has other bytes from offset 3 on',
  ],
  [
    'a byte behind the first chunk',
    (path, index) => {
      const bytes = Buffer.alloc((2 << 20) + 7)
      bytes[(1 << 20) + 5] = index
      writeFileSync(path, bytes)
    },
    `file has other bytes from offset ${(1 << 20) + 5} on`,
  ],
  [
    'equal files of a whole number of chunks',
    (path) => writeFileSync(path, Buffer.alloc(2 << 20)),
    undefined,
  ],
  [
    'executable once',
    (path, index) => {
      writeFileSync(path, 'x')
      chmodSync(path, index === 0 ? 0o644 : 0o755)
    },
    'file is executable in one build only',
  ],
  [
    'a folder and a file',
    (path, index) => (index === 0 ? mkdirSync(path) : writeFileSync(path, '')),
    'file is of another type',
  ],
  [
    'a link and what it names',
    (path, index) => (index === 0 ? symlinkSync('/etc/passwd', path) : writeFileSync(path, '')),
    'file is of another type',
  ],
]
for (const [index, [name, make, want]] of trees.entries()) {
  test(`${name}: ${want ?? 'equal'}`, () => {
    const [difference] = compareTrees(...pair(`tree${index}`, make))
    assert.is(difference === undefined ? undefined : describeDifference(difference), want)
  })
}

test('the tools of this test are there', () => {
  assert.ok(isOnPath('tar') && isOnPath('sort'))
})

test.run()
