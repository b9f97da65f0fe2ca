import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../src/device/apply.ts'
import {bootId, bootSecs} from '../../src/device/boot-clock.ts'
import type {Device} from '../../src/device/device.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {resume} from '../../src/device/resume.ts'
import {stage} from '../../src/device/stage.ts'
import {verifyDevice} from '../../src/device/status.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {runGuard, shells} from '../support/device/guard.ts'
import {deviceAt, makeNode, makeSources, plain} from '../support/device/node.ts'
import {needsThat} from '../support/needs.ts'
import {rejectsCode} from '../support/rejects.ts'
import {inPairs} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')

const linkOf = (root: string) => readlinkSync(join(root, 'current'))
const at = (root: string, name: string) => join(root, '.rel', name)

/** The updater is gone while it waits: what a power cut or kill -9 leaves of a trial. */
async function onTrial(): Promise<string> {
  const device = await makeNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  const gone = async () => Promise.reject(new Error('killed'))
  const world = {...device.world, restart: gone}
  await apply({...device, world} as Device, plain).catch(() => undefined)
  assert.is(linkOf(device.root), 'versions/1.1.0')
  return device.root
}

const trialNode = await onTrial()

function copyOf(root = trialNode): string {
  const copy = join(temporaryFolder(), 'a node')
  cpSync(root, copy, {recursive: true, verbatimSymlinks: true})
  return copy
}

/** Every name below a folder, and what is there. */
function everything(root: string): readonly string[] {
  return readdirSync(root, {recursive: true, withFileTypes: true})
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      if (entry.isSymbolicLink()) return `${path} -> ${readlinkSync(path)}`
      return entry.isFile() ? `${path} ${sha256Hex(readFileSync(path))}` : path
    })
    .sort()
}

const present = (['dash', 'busybox'] as const).filter((shell) =>
  needsThat(shell, existsSync(shells[shell].words[0]), `${shells[shell].words[0]} is missing`),
)

for (const shell of present) {
  test(`${shell}: three starts are counted, the fourth leads back, the next does nothing`, async () => {
    const root = copyOf()
    for (const count of [1, 2, 3]) {
      assert.is((await runGuard(root, {shell})).code, 0)
      assert.match(readFileSync(at(root, 'attempts'), 'utf8'), `count=${count}\nend\n`)
      assert.is(linkOf(root), 'versions/1.1.0')
    }
    const {stderr, code} = await runGuard(root, {shell})
    assert.is(code, 0)
    assert.match(stderr, 'took 1.1.0 back to 1.0.0: 3 starts were not enough')
    assert.is(linkOf(root), 'versions/1.0.0')
    assert.ok(existsSync(at(root, 'reverted')))
    const before = everything(root)
    assert.is((await runGuard(root, {shell})).stderr, '')
    assert.equal(everything(root), before)
  })

  test(`${shell}: starts that somebody asked for while it ran use up no attempt`, async () => {
    const root = copyOf()
    const stop = (mainPid?: number) =>
      runGuard(root, {shell, args: ['stopping'], ...(mainPid === undefined ? {} : {mainPid})})
    const counted = () =>
      Number(/count=(\d+)/.exec(readFileSync(at(root, 'attempts'), 'utf8'))?.[1])
    // the updater starts the new version: what is stopped then is the old one
    await stop(7)
    await runGuard(root, {shell})
    assert.is(counted(), 1)
    for (let asked = 0; asked < 5; asked++) {
      await stop(7)
      await runGuard(root, {shell})
    }
    assert.is(counted(), 1)
    // it ended by itself; asked for once does not count for the start after that one
    await stop()
    await runGuard(root, {shell})
    await runGuard(root, {shell})
    assert.is(counted(), 3)
    // after another boot the mark is worth nothing
    await stop(7)
    const mark = readlinkSync(at(root, 'asked'))
    rmSync(at(root, 'asked'))
    symlinkSync(mark.replace(/\..*/, '.0000-1'), at(root, 'asked'))
    await runGuard(root, {shell})
    assert.is(linkOf(root), 'versions/1.0.0')
  })

  test(`${shell}: only files that are not the signed ones are refused at the start`, async () => {
    const folder = temporaryFolder()
    const rel = (name: string, script: string) => {
      writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, {mode: 0o755})
      return join(folder, name)
    }
    const says = (code: string) => `echo '{ "error": { "code": "${code}" } }'; exit 12`
    const cases: readonly [string, number][] = [
      [rel('good', '[ "$*" = "device verify . --json" ]'), 0],
      [rel('changed', says('upgrade_checksum_mismatch')), 1],
      [rel('revoked', says('upgrade_signature_invalid')), 0],
      [rel('broken', 'exit 1'), 0],
      [rel('slow', 'exec sleep 1000'), 0],
      [join(folder, 'missing'), 0],
    ]
    for (const [path, code] of cases) {
      const before = everything(trialNode)
      const ended = await runGuard(trialNode, {shell, args: ['verify', path], verifySecs: 1})
      assert.is(ended.code, code, path)
      assert.equal(everything(trialNode), before)
    }
  })

  test(`${shell}: the updater ends what the guard took back, with one event and no other swap`, async () => {
    const root = copyOf()
    for (let count = 0; count < 4; count++) await runGuard(root, {shell})
    const device = deviceAt(root)
    await rejectsCode(() => resume(device), 'upgrade_rolled_back')
    const {record} = await resume(device)
    assert.equal([record.state, record.running.version], ['rolled_back', '1.0.0'])
    assert.equal(
      record.failed.map(({version}) => version),
      ['1.1.0'],
    )
    assert.equal(
      device.events.map(({event}) => event),
      ['upgrade_rolled_back'],
    )
    assert.equal(readdirSync(join(root, '.rel')).filter(isOfGuard), [])
    const before = everything(root)
    await runGuard(root, {shell})
    assert.equal(everything(root), before)
    await verifyDevice(device)
    await rejectsCode(() => stage(device, sources.of('1.1.0'), plain), 'upgrade_blocked')
  })

  test(`${shell}: a window that is over takes the trial back and restarts once`, async () => {
    const root = copyOf()
    edit(root, 'trial', /deadline=\d+/, `deadline=${Math.floor(bootSecs())}`)
    const {restarts, code} = await runGuard(root, {shell, args: ['window', 'app.service']})
    assert.equal([code, restarts], [0, ['--no-block restart -- app.service']])
    assert.is(linkOf(root), 'versions/1.0.0')
    await runGuard(root, {shell})
    assert.ok(existsSync(at(root, 'attempts')) === false, 'the old version is not counted')
    const again = await runGuard(root, {shell, args: ['window', 'app.service']})
    assert.equal(again.restarts, [])
  })

  test(`${shell}: after a reboot the window begins with the first start`, async () => {
    const root = copyOf()
    edit(root, 'trial', /boot_id=.*/, 'boot_id=0000-1')
    edit(root, 'trial', /deadline=\d+/, 'deadline=1')
    await runGuard(root, {shell})
    const {id} = /id=(?<id>\d+)/.exec(readFileSync(at(root, 'attempts'), 'utf8'))?.groups ?? {}
    assert.match(readFileSync(at(root, 'attempts'), 'utf8'), `boot_id=${bootId()}`)
    const long = Math.floor(bootSecs()) - 31
    writeFileSync(
      at(root, 'attempts'),
      `rel-attempts 1\nid=${id}\nboot_id=${bootId()}\nsince=${long}\ncount=1\nend\n`,
    )
    await runGuard(root, {shell, args: ['window', '']})
    assert.is(linkOf(root), 'versions/1.0.0')
  })

  test(`${shell}: a program is brought back from beside it, without its node`, async () => {
    const root = copyOf()
    const program = join(temporaryFolder(), 'agent')
    edit(
      root,
      'trial',
      /kind=tree/,
      `kind=binary\npath=${program}\nfrom_sha256=${sha256Hex('old')}`,
    )
    writeFileSync(program, 'old', {mode: 0o755})
    writeFileSync(`${program}.rel-prev`, 'older')
    const before = everything(root)
    await runGuard(root, {shell})
    assert.equal(everything(root), before, 'what runs is what was committed: nothing is counted')
    writeFileSync(`${program}.rel-prev`, 'old', {mode: 0o755})
    rmSync(program)
    writeFileSync(program, 'new')
    for (let count = 0; count < 3; count++) await runGuard(root, {shell})
    assert.is(readFileSync(program, 'utf8'), 'new')
    await runGuard(root, {shell})
    assert.is(readFileSync(program, 'utf8'), 'old')
    assert.equal(readdirSync(join(program, '..')).sort(), ['agent', 'agent.rel-prev'])
    assert.ok(existsSync(at(root, 'reverted')))
  })

  test(`${shell}: without a way back the version on trial stays`, async () => {
    const root = copyOf()
    rmSync(join(root, 'versions/1.0.0'), {recursive: true})
    for (let count = 0; count < 5; count++) assert.is((await runGuard(root, {shell})).code, 0)
    assert.is(linkOf(root), 'versions/1.1.0')
    assert.ok(existsSync(at(root, 'trial')))
  })
}

const isOfGuard = (name: string) => /trial|reverted|attempts/.test(name)

function edit(root: string, name: string, from: RegExp, to: string): void {
  const text = readFileSync(at(root, name), 'utf8')
  assert.match(text, from)
  writeFileSync(at(root, name), text.replace(from, to))
}

const hostile: readonly [string, RegExp, string][] = [
  ['a path instead of a version', /from=.*/, 'from=../../etc'],
  ['an absolute path', /from=.*/, 'from=/etc'],
  ['a folder above', /from=.*/, 'from=..'],
  ['a hidden tree', /from=.*/, 'from=.1.0.0.partial'],
  ['a command', /from=.*/, 'from=1.0.0$(touch x)'],
  ['a longer name', /from=.*/, `from=1${'0'.repeat(200)}`],
  ['the same version', /from=.*/, 'from=1.1.0'],
  ['no number', /max_attempts=.*/, 'max_attempts=x'],
  ['octal', /max_attempts=.*/, 'max_attempts=00'],
  ['overflow', /max_attempts=.*/, 'max_attempts=99999999999999999999'],
  ['an unknown key', /max_attempts=.*/, 'max_attempts=0\nPATH=/tmp'],
  ['another kind', /kind=.*/, 'kind=other'],
  ['a tree with a path', /kind=.*/, 'kind=tree\npath=/bin/sh'],
  ['a program without its digest', /kind=.*/, 'kind=binary\npath=/bin/sh'],
  ['a path that goes up', /kind=.*/, 'kind=binary\npath=/tmp/../bin/sh'],
  ['another header', /rel-trial 1/, 'rel-trial 2'],
  ['more after the end', /end\n/, 'end\nmax_attempts=0\n'],
  ['no end', /end\n/, ''],
  ['endless', /end\n/, `${'id=1\n'.repeat(5000)}end\n`],
]

for (const [name, from, to] of hostile)
  test(`a trial that is not as it should be changes nothing: ${name}`, async () => {
    const root = copyOf()
    edit(root, 'trial', /max_attempts=.*/, 'max_attempts=0')
    edit(root, 'trial', from, to)
    const before = everything(root)
    for (const shell of present) {
      const {code, stderr} = await runGuard(root, {shell})
      assert.is(code, 0)
      assert.match(stderr, 'cannot be read')
      assert.equal(everything(root), before)
    }
  })

test('a trial cut off anywhere changes nothing', async () => {
  const root = copyOf()
  edit(root, 'trial', /max_attempts=.*/, 'max_attempts=0')
  const text = readFileSync(at(root, 'trial'), 'utf8')
  // without its last line break it is whole still
  const lengths = Array.from({length: Math.floor((text.length - 2) / 7)}, (_, n) => n * 7)
  for (const length of [...lengths, text.length - 2]) {
    writeFileSync(at(root, 'trial'), text.slice(0, length))
    const before = everything(root)
    await runGuard(root)
    assert.equal(everything(root), before, `${length} bytes`)
  }
})

test('attempts that cannot be read count as all of them', async () => {
  const root = copyOf()
  writeFileSync(at(root, 'attempts'), 'rel-attempts 1\nid=2\nco')
  await runGuard(root)
  assert.is(linkOf(root), 'versions/1.0.0')
})

test('attempts of an earlier trial do not count', async () => {
  const root = copyOf()
  writeFileSync(at(root, 'attempts'), 'rel-attempts 1\nid=999\nboot_id=0\nsince=1\ncount=99\nend\n')
  await runGuard(root)
  assert.is(linkOf(root), 'versions/1.1.0')
  assert.match(readFileSync(at(root, 'attempts'), 'utf8'), 'count=1\n')
})

test('it ends with 0 whatever it is given', async () => {
  const folder = temporaryFolder()
  const link = join(folder, 'link')
  mkdirSync(join(folder, 'x'))
  symlinkSync(at(trialNode, ''), join(folder, 'x/.rel'))
  symlinkSync(trialNode, link)
  for (const root of ['', 'relative', '/nowhere', folder, join(folder, 'x'), link])
    assert.is((await runGuard(root, {args: root === link ? ['nonsense'] : []})).code, 0)
  assert.not.ok(existsSync(at(trialNode, 'attempts')))
})

test('where nothing can be written the program starts uncounted', async () => {
  const root = copyOf()
  mkdirSync(at(root, '.attempts.rel-tmp'))
  writeFileSync(join(at(root, '.attempts.rel-tmp'), 'x'), '')
  const {code, stderr} = await runGuard(root)
  assert.is(code, 0)
  assert.match(stderr, 'could not be counted')
  assert.is(linkOf(root), 'versions/1.1.0')
})

/** The guard killed before and after each of its calls, then run again. */
async function killedEverywhere(
  make: () => Promise<string>,
  check: (root: string, at: string) => Promise<void>,
): Promise<void> {
  const {calls} = await runGuard(await make())
  assert.ok(calls.length >= 4, `${calls.length} calls`)
  const cases = calls.flatMap((_, index) =>
    (['before', 'after'] as const).map((when) => ({at: index + 1, when})),
  )
  await inPairs(cases, async (kill) => {
    const root = await make()
    const {signal} = await runGuard(root, {kill})
    assert.is(signal, 'SIGKILL', `${kill.when} ${kill.at}`)
    await verifyDevice(deviceAt(root))
    await check(root, `${kill.when} ${kill.at}`)
  })
}

test('killed anywhere while it counts, a start is counted at most twice and never lost', async () => {
  await killedEverywhere(
    async () => copyOf(),
    async (root, where) => {
      await runGuard(root)
      assert.match(readFileSync(at(root, 'attempts'), 'utf8'), /count=[12]\n/, where)
      assert.is(linkOf(root), 'versions/1.1.0')
    },
  )
})

test('killed anywhere while it leads back, the next run ends it, or the updater does', async () => {
  const full = copyOf()
  for (let count = 0; count < 3; count++) await runGuard(full)
  await killedEverywhere(
    async () => copyOf(full),
    async (root, where) => {
      const other = copyOf(root)
      await runGuard(root)
      assert.is(linkOf(root), 'versions/1.0.0', where)
      for (const node of [root, other]) {
        const device = deviceAt(node)
        // before the guard has decided, the updater tries the version once more
        const isDecided = existsSync(at(node, 'reverted'))
        if (isDecided) await rejectsCode(() => resume(device), 'upgrade_rolled_back')
        else await resume(device)
        const {record} = await resume(device)
        const expected = isDecided ? ['rolled_back', '1.0.0'] : ['committed', '1.1.0']
        assert.equal([record.state, record.running.version], expected, where)
        assert.is(device.events.length, 1, where)
        assert.is(linkOf(node), `versions/${expected[1]}`)
        assert.equal(readdirSync(join(node, '.rel')).filter(isOfGuard), [])
      }
    },
  )
})

test('what the guard leads back while the updater waits is not committed', async () => {
  const root = copyOf()
  const device = deviceAt(root)
  const health = async () => {
    for (let count = 0; count < 4; count++) await runGuard(root)
    return undefined
  }
  const watched = {...device, world: {...device.world, health}}
  await rejectsCode(() => resume(watched), 'upgrade_rolled_back')
  assert.equal(loadRecords(root).record.state, 'rolled_back')
  assert.is(linkOf(root), 'versions/1.0.0')
})

test('a version on trial that brings its own mv, ln and rm is led back by those of the machine', async () => {
  const root = copyOf()
  const bin = join(root, 'versions/1.1.0/bin')
  for (const name of ['mv', 'ln', 'rm', 'readlink', 'sync', 'sha256sum'])
    writeFileSync(join(bin, name), `#!/bin/sh\necho ${name} >>'${root}/ran-as-root'\n`, {
      mode: 0o755,
    })
  // as Environment=PATH=DIR/current/bin:... of a service
  const path = `${root}/current/bin:/usr/bin:/bin`
  for (let start = 1; start <= 4; start++) assert.is((await runGuard(root, {path})).code, 0)
  assert.is(linkOf(root), 'versions/1.0.0')
  assert.not.ok(existsSync(join(root, 'ran-as-root')))
})

test.run()
