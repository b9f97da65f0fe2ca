import {spawn} from 'node:child_process'
import {chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  isOfVersion,
  judgeSettled,
  judgeUnit,
  parseUnit,
  type UnitSeen,
} from '../../../src/device/health-rules.ts'
import {askProcess} from '../../../src/device/process-health.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const healthy: UnitSeen = {activeState: 'active', subState: 'running', restarts: 2, mainPid: 7}

test('what systemctl prints is read, and nothing less is believed', () => {
  const text = 'ActiveState=active\nSubState=running\nNRestarts=2\nMainPID=7\n'
  assert.equal(parseUnit(text), healthy)
  for (const key of ['ActiveState', 'SubState', 'NRestarts', 'MainPID'])
    assert.is(parseUnit(text.replace(`${key}=`, 'Other=')), undefined, key)
  assert.is(parseUnit(text.replace('=2', '=-1')), undefined)
  assert.is(parseUnit(''), undefined)
})

const states: readonly [string, UnitSeen | undefined][] = [
  ['no answer', undefined],
  ['starting', {...healthy, activeState: 'activating', subState: 'start'}],
  [
    'waiting to be started again',
    {...healthy, activeState: 'activating', subState: 'auto-restart'},
  ],
  ['failed', {...healthy, activeState: 'failed', subState: 'failed'}],
  ['ended well, and kept', {...healthy, subState: 'exited'}],
  ['without a process', {...healthy, mainPid: 0}],
]

for (const [name, seen] of states)
  test(`a service is not healthy: ${name}`, () => {
    assert.type(judgeUnit(seen), 'string')
    assert.type(judgeSettled(healthy, seen), 'string')
  })

test('a service that was started again between two looks is not healthy', () => {
  assert.is(judgeUnit(healthy), undefined)
  assert.is(judgeSettled(healthy, {...healthy}), undefined)
  assert.type(judgeSettled(healthy, {...healthy, restarts: 3}), 'string')
  assert.type(judgeSettled(healthy, {...healthy, mainPid: 8}), 'string')
})

test('a process is of a version by its program or its working directory', () => {
  const folder = '/opt/app/versions/1.1.0'
  const elsewhere = {exe: '/usr/bin/python3.11', cwd: '/'}
  assert.ok(isOfVersion({...elsewhere, exe: `${folder}/bin/app`}, folder))
  assert.ok(isOfVersion({...elsewhere, cwd: folder}, folder))
  assert.ok(isOfVersion({...elsewhere, cwd: `${folder}/bin`}, folder))
  const others = [
    elsewhere,
    {exe: '/opt/app/versions/1.0.0/bin/app', cwd: '/opt/app/versions/1.0.0'},
    {...elsewhere, cwd: `${folder}-rc.1`},
    {...elsewhere, exe: `${folder}-rc.1/bin/app`},
    {...elsewhere, cwd: `${folder} (deleted)`},
  ]
  for (const other of others) assert.not(isOfVersion(other, folder), JSON.stringify(other))
})

/** An imitation of systemctl: says what is in a file, and counts how often it was asked. */
function imitatedSystemctl(folder: string): void {
  const path = join(folder, 'systemctl')
  writeFileSync(
    path,
    `#!/bin/sh
[ "$*" = "show --property=ActiveState,SubState,NRestarts,MainPID -- app.service" ] || exit 1
echo asked >>${folder}/asked
asked=$(wc -l <${folder}/asked)
cat ${folder}/answer-$asked 2>/dev/null || cat ${folder}/answer
`,
  )
  chmodSync(path, 0o755)
}

/** Two versions of a program that waits, and one of them as a process. */
async function withProcess(
  run: 'bin/app' | 'sleep',
  work: (at: {root: string; folder: string; digest: string}) => Promise<void>,
): Promise<void> {
  const folder = temporaryFolder()
  imitatedSystemctl(folder)
  const root = join(folder, 'node')
  for (const version of ['1.0.0', '1.1.0']) {
    mkdirSync(join(root, 'versions', version, 'bin'), {recursive: true})
    copyFileSync('/bin/sleep', join(root, 'versions', version, 'bin/app'))
  }
  const child = spawn(run === 'sleep' ? run : join(root, 'versions/1.1.0', run), ['1000'])
  await new Promise((done) => child.once('spawn', done))
  const answer = `ActiveState=active\nSubState=running\nNRestarts=0\nMainPID=${child.pid}\n`
  writeFileSync(join(folder, 'answer'), answer)
  const {PATH} = process.env
  process.env.PATH = `${folder}:${PATH}`
  try {
    await work({root, folder, digest: sha256Hex(readFileSync('/bin/sleep'))})
  } finally {
    process.env.PATH = PATH
    child.kill('SIGKILL')
  }
}

const unit = {kind: 'process', unit: 'app.service', digest: ''} as const
const tree = {kind: 'tree'} as const
const binary = {kind: 'binary', path: '/opt/app', component: 'app'} as const

test('a real process of the version is healthy; of another one, or exchanged, it is not', async () => {
  await withProcess('bin/app', async ({root, folder}) => {
    const question = {...unit, root, profile: tree}
    assert.is(await askProcess(question, '1.1.0', undefined), undefined)
    assert.type(await askProcess(question, '1.0.0', undefined), 'string')
    const restarted = readFileSync(join(folder, 'answer'), 'utf8').replace('s=0', 's=1')
    writeFileSync(join(folder, 'answer-5'), restarted)
    assert.type(await askProcess(question, '1.1.0', undefined), 'string')
  })
})

test('with a program at its place, the bytes that run decide', async () => {
  await withProcess('bin/app', async ({root, digest}) => {
    const question = {...unit, root, profile: binary, digest}
    assert.is(await askProcess(question, '1.1.0', undefined), undefined)
    const other = {...question, digest: digest.replace(/^./, (it) => (it === '0' ? '1' : '0'))}
    assert.type(await askProcess(other, '1.1.0', undefined), 'string')
  })
})

test('neither a program of somebody else, nor silence, is healthy', async () => {
  await withProcess('sleep', async ({root, folder}) => {
    const question = {...unit, root, profile: tree}
    assert.type(await askProcess(question, '1.1.0', undefined), 'string')
    const answer = readFileSync(join(folder, 'answer'), 'utf8')
    // above every pid that Linux gives: one that has just ended
    writeFileSync(join(folder, 'answer'), answer.replace(/MainPID=.*/, 'MainPID=4194305'))
    assert.type(await askProcess(question, '1.1.0', undefined), 'string')
    writeFileSync(join(folder, 'systemctl'), '#!/bin/sh\nexit 1\n')
    assert.type(await askProcess(question, '1.1.0', undefined), 'string')
  })
})

test('who is told to stop does not wait', async () => {
  await withProcess('bin/app', async ({root}) => {
    const question = {...unit, root, profile: tree}
    assert.type(await askProcess(question, '1.1.0', AbortSignal.abort()), 'string')
  })
})

test.run()
