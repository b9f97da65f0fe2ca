import {type ChildProcess, spawn, spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {
  existsSync,
  globSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as after} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../src/device/apply.ts'
import {bootId, bootSecs} from '../../src/device/boot-clock.ts'
import type {Device} from '../../src/device/device.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {stage} from '../../src/device/stage.ts'
import {builtPackage} from '../support/built.ts'
import {beforeOf, checkStands, fillFolders} from '../support/device/after-each.ts'
import {guardScript} from '../support/device/guard.ts'
import {
  etagOf,
  hostilePanel,
  manifestBodyOf,
  type Script,
  sendBody,
  sendRange,
} from '../support/device/hostile-panel.ts'
import {plain} from '../support/device/node.ts'
import {
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelConfig,
  panelNode,
} from '../support/device/panel-node.ts'
import {needsThat} from '../support/needs.ts'
import {cleanEnv, type Ran, run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The built command under clocks that are wrong: the one of the wall by libfaketime, which Node.js
// obeys, and which is moved while the command runs; the one that goes on in a suspend by time
// namespaces, or, where it has to leap under a process that runs, by another /proc/uptime.

const isLong = process.env.REL_TEST_LONG === '1'
const [YEAR, HOUR] = [365 * 86_400, 3600]
const realNow = () => Math.floor(Date.now() / 1000)

const filler = createHash('shake256', {outputLength: 400_000}).update('filler').digest()
const bytes = await packedBundle({version: '1.1.0', filler})
const good = await bundleRelease('1.1.0', bytes)
const anchor = await nodeAnchor()
const license = await licenseText({expires: realNow() + 2 * YEAR})
const bundle = join(temporaryFolder(), '1.1.0.tar.gz')
writeFileSync(bundle, bytes)
const rel = join(await builtPackage(), 'bin', 'rel')

const [libfaketime] = globSync('/usr/lib/*/faketime/libfaketime.so.1')

/** A clock of the wall that is wrong by so many seconds, and can be moved under who reads it. */
class Wall {
  readonly #path = join(temporaryFolder(), 'clock')

  constructor(offset = 0) {
    this.move(offset)
  }

  move(offset: number): void {
    writeFileSync(this.#path, `${offset < 0 ? '' : '+'}${offset}\n`)
  }

  env(): Record<string, string> {
    return {
      LD_PRELOAD: libfaketime ?? '',
      FAKETIME_TIMESTAMP_FILE: this.#path,
      FAKETIME_NO_CACHE: '1',
      // nobody sets this one; and files have the times of the kernel
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    }
  }
}

const to1970 = () => 600 - realNow()

/** What the kernel says of the time since its start, which can leap as after a suspend. */
class Uptime {
  readonly #path = join(temporaryFolder(), 'uptime')
  readonly #fd = openSync(this.#path, 'w')
  #ahead = 0

  constructor() {
    this.#write()
  }

  /** Lets it go on beside the real one until the test ends it. */
  run(): () => void {
    const timer = setInterval(() => this.#write(), 20)
    return () => clearInterval(timer)
  }

  suspend(secs: number): void {
    this.#ahead += secs
    this.#write()
  }

  /** A command that sees it. */
  before(words: readonly string[]): readonly string[] {
    const script = 'mount --bind "$0" /proc/uptime && exec "$@"'
    return ['unshare', '--mount', 'sh', '-c', script, this.#path, ...words]
  }

  /** Always as long, and in one write: who reads it sees the old or the new one. */
  #write(): void {
    const text = (bootSecs() + this.#ahead).toFixed(2).padStart(15, '0')
    writeSync(this.#fd, `${text} 1.00\n`, 0)
  }
}

/** An honest panel whose online key has spoken a minute ago. */
const fresh = (script: Script = {}) =>
  hostilePanel(good, {
    manifest: (request, response) => {
      const issued = realNow() - 60
      void manifestBodyOf(good, {issued}).then((body) => sendBody(request, response, body))
    },
    ...script,
  })

type Node = Device & {readonly events: readonly {readonly event: string}[]}

/** A node whose health is a command, and that has seen the time. */
async function nodeOf(url: string, health: string, upgrade: object = {}): Promise<Node> {
  const terms = {url, anchor, license, upgrade}
  const node = await panelNode(terms)
  const config = {...panelConfig(terms), health: {command: ['sh', '-c', health]}}
  writeFileSync(join(node.root, 'device.json'), JSON.stringify(config))
  fillFolders(node.root)
  return node
}

/** A node whose updater was killed once 1.1.0 had been started. */
async function onTrial(health: string, upgrade: object = {}): Promise<Node> {
  const node = await nodeOf('http://127.0.0.1:9', health, upgrade)
  await stage(node, bundle, plain)
  const gone = async () => Promise.reject(new Error('killed'))
  await apply({...node, world: {...node.world, restart: gone}} as Device, plain).catch(() => {})
  assert.is(loadRecords(node.root).record.state, 'trial')
  return node
}

type Doc = {readonly error?: {readonly code: string}; readonly result?: Record<string, unknown>}
const docOf = ({stdout}: Ran) => JSON.parse(stdout) as Doc

async function relAt(
  wall: Wall,
  ...words: readonly string[]
): Promise<Doc & {code: number | null}> {
  const ran = await run(rel, ['device', ...words, '--json'], {env: wall.env()})
  return {...docOf(ran), code: ran.code}
}

/** Looks until it is so, for 60 s at most. */
async function eventually(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 60_000
  while (!holds() && performance.now() < end) await after(10)
  assert.ok(holds(), what)
}

const recordsIn = (root: string) =>
  ['state.json', 'state.json.1', 'floor.json', 'clock.json'].map((name) => {
    const path = join(root, '.rel', name)
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  })

/** A command in the background. */
function started(words: readonly string[], env: Record<string, string> = {}) {
  const [file = '', ...args] = words
  const child: ChildProcess = spawn(file, args, {
    env: cleanEnv(env),
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let stdout = ''
  child.stdout?.on('data', (piece) => {
    stdout += piece
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), 120_000)
  const ended = new Promise<Ran>((resolve) =>
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({code, signal, stdout, stderr: ''})
    }),
  )
  return {child, ended}
}

const canFake = needsThat('libfaketime', libfaketime !== undefined, 'install faketime')
const canName =
  process.getuid?.() === 0 &&
  spawnSync('unshare', ['--mount', '--time', '--boottime', '9', 'true']).status === 0
const canSuspend = needsThat('time namespaces', canName, 'unshare --mount --time needs root')

const clocks: readonly [string, () => number, string][] = [
  ['in 1970', to1970, 'upgrade_clock_untrusted'],
  ['a year ago', () => -YEAR, 'upgrade_clock_untrusted'],
  ['in ten years', () => 10 * YEAR, 'upgrade_license_frozen'],
]

if (canFake) {
  for (const [name, offset, code] of clocks)
    test(`a clock ${name}: nothing new is taken, what runs runs, and nothing of it is left`, async () => {
      const server = await fresh()
      try {
        const node = await nodeOf(server.url, 'true')
        const {root} = node
        const wall = new Wall()
        assert.is((await relAt(wall, 'check', root)).code, 0)
        const before = {...beforeOf(root), records: recordsIn(root)}
        assert.ok(before.records[3] !== '', 'the time was seen')
        wall.move(offset())
        for (const words of [[root], [root, bundle]])
          assert.is((await relAt(wall, 'stage', ...words)).error?.code, code, words.join(' '))
        assert.is((await relAt(wall, 'verify', root)).code, 0)
        assert.equal(recordsIn(root), before.records)
        await checkStands(node, before, name)
        wall.move(0)
        assert.is((await relAt(wall, 'stage', root)).result?.state, 'staged')
        wall.move(offset())
        const late = await relAt(wall, 'apply', root)
        wall.move(0)
        // what was staged in time is open; a clock that is behind opens nothing
        if (code === 'upgrade_license_frozen') assert.is(late.code, 0)
        else {
          assert.is(late.error?.code, code)
          assert.is((await relAt(wall, 'apply', root)).code, 0)
        }
        assert.is((await relAt(wall, 'verify', root)).code, 0)
        assert.is(loadRecords(root).floor, '1.1.0')
      } finally {
        await server.close()
      }
    })

  for (const [name, offset] of clocks)
    test(`a trial that ends under a clock ${name} is judged by its health alone`, async () => {
      for (const [health, code, running] of [
        ['true', 0, '1.1.0'],
        ['false', 25, '1.0.0'],
      ] as const) {
        const node = await onTrial(health, {boot_health_window_secs: 1})
        const before = beforeOf(node.root)
        assert.is((await relAt(new Wall(offset()), 'apply', node.root)).code, code)
        assert.is(loadRecords(node.root).record.running.version, running)
        await checkStands(node, before, name)
      }
    })

  test('the guard reads no clock of the wall', async () => {
    const {root} = await onTrial('true', {boot_health_window_secs: 3600})
    for (const [, offset] of clocks) {
      const words = ['2', 'sh', guardScript, root, 'window', '']
      const {code} = await run('timeout', words, {env: new Wall(offset()).env()})
      assert.is(code, 124, 'it still waits for the end of the window')
    }
    assert.not.ok(existsSync(join(root, '.rel/reverted')))
  })

  for (const [name, offset, refusal] of [
    ['back by a year', -YEAR, 'upgrade_clock_untrusted'],
    ['ahead by ten years', 10 * YEAR, 'upgrade_license_frozen'],
  ] as const)
    test(`a clock that is set ${name} within a download: the gates are asked again`, async () => {
      const half = Math.floor(bytes.length / 2)
      let goOn = () => {}
      const server = await fresh({
        download: (request, response, count) => {
          if (count > 0) return sendRange(request, response, bytes)
          response.writeHead(200, {etag: etagOf(bytes), 'content-length': bytes.length})
          response.write(bytes.subarray(0, half))
          goOn = () => response.end(bytes.subarray(half))
        },
      })
      try {
        const node = await nodeOf(server.url, 'true')
        const {root} = node
        const before = {...beforeOf(root), floor: loadRecords(root).floor}
        const wall = new Wall()
        const staging = started([rel, 'device', 'stage', root, '--json'], wall.env())
        const {sha256 = ''} = good.file.release.artifacts[0] ?? {}
        const part = join(root, '.rel/downloads', `${sha256}.part`)
        const there = () => statSync(part, {throwIfNoEntry: false})?.size ?? 0
        await eventually(() => there() >= half, 'half of it is there')
        wall.move(offset)
        goOn()
        const ran = await staging.ended
        assert.is(docOf(ran).error?.code, refusal, ran.stdout)
        await checkStands(node, before, name)
        assert.is(loadRecords(root).record.state, 'committed')
        wall.move(0)
        assert.is((await relAt(wall, 'stage', root)).result?.state, 'staged')
      } finally {
        await server.close()
      }
    })

  test('a clock that leaps while health is waited for ends no wait, and commits nothing', async () => {
    const folder = temporaryFolder()
    const [asked, ok] = [join(folder, 'asked'), join(folder, 'ok')]
    const {root} = await onTrial(`echo >>'${asked}'; test -e '${ok}'`)
    const times = () => (existsSync(asked) ? statSync(asked).size : 0)
    const wall = new Wall()
    const applying = started([rel, 'device', 'apply', root, '--json'], wall.env())
    for (const offset of [10 * YEAR, -YEAR, to1970(), 0]) {
      const before = times()
      wall.move(offset)
      await eventually(() => times() >= before + 2, 'it goes on asking')
      assert.is(loadRecords(root).record.state, 'trial')
    }
    writeFileSync(ok, '')
    const ran = await applying.ended
    assert.is(ran.code, 0, ran.stdout)
    assert.is(loadRecords(root).record.running.version, '1.1.0')
  })

  const windowSecs = isLong ? 100 : 5
  test(`a window of ${windowSecs} s lasts as long by the clock of boots, whatever the other one does`, async () => {
    const asked = join(temporaryFolder(), 'asked')
    const health = `cut -d ' ' -f 1 /proc/uptime >>'${asked}'; false`
    const {root} = await onTrial(health, {boot_health_window_secs: windowSecs})
    const wall = new Wall()
    const applying = started([rel, 'device', 'apply', root, '--json'], wall.env())
    for (const offset of [10 * YEAR, -YEAR, to1970()]) {
      await after((windowSecs * 1000) / 5)
      wall.move(offset)
    }
    assert.is((await applying.ended).code, 25)
    const end = bootSecs()
    const first = Number(readFileSync(asked, 'utf8').split('\n')[0])
    const lasted = end - first
    console.log(`a window of ${windowSecs} s lasted ${lasted.toFixed(2)} s`)
    // the first question is asked a little after the window began; how late the end is seen is
    // up to the machine, so that only the long one can be held to 2 %
    assert.ok(lasted > windowSecs * 0.98 - 0.5, `${lasted} s`)
    assert.ok(lasted < (isLong ? windowSecs * 1.02 : windowSecs + 60), `${lasted} s`)
  })
}

if (canSuspend) {
  test('eight hours of suspend are time for the guard; the clock that stands still meanwhile is not asked', async () => {
    const window = {boot_health_window_secs: 3600}
    const [awake, slept] = [await onTrial('true', window), await onTrial('true', window)]
    const guard = async (clock: string, root: string) => {
      const words = ['--time', `--${clock}`, String(8 * HOUR), 'timeout', '2']
      return (await run('unshare', [...words, 'sh', guardScript, root, 'window', ''])).code
    }
    assert.is(await guard('monotonic', awake.root), 124)
    assert.not.ok(existsSync(join(awake.root, '.rel/reverted')))
    assert.is(await guard('boottime', slept.root), 0)
    assert.ok(existsSync(join(slept.root, '.rel/reverted')))
    const told = docOf(await run(rel, ['device', 'apply', slept.root, '--json']))
    assert.is(told.error?.code, 'upgrade_rolled_back')
  })

  test('after eight hours of suspend the next run judges a trial by its health', async () => {
    const {root} = await onTrial('true')
    const words = ['--time', '--boottime', String(8 * HOUR), rel, 'device', 'apply', root, '--json']
    const ran = await run('unshare', words)
    assert.is(ran.code, 0, ran.stdout)
    assert.is(loadRecords(root).record.running.version, '1.1.0')
    assert.ok(bootId() !== '0')
  })

  for (const [name, health, code] of [
    ['is healthy when it wakes up, if slowly', 'sleep 0.7', 0],
    ['is not', 'false', 25],
  ] as const)
    test(`a suspend of eight hours while health is waited for: the program ${name}`, async () => {
      const asked = join(temporaryFolder(), 'asked')
      const woken = Math.floor(bootSecs()) + 4 * HOUR
      const hasWoken = `test "$(cut -d . -f 1 /proc/uptime)" -gt ${woken}`
      const {root} = await onTrial(`echo >>'${asked}'; ${hasWoken} && ${health}`)
      const uptime = new Uptime()
      const stop = uptime.run()
      try {
        const words = uptime.before([rel, 'device', 'apply', root, '--json'])
        const applying = started(words)
        await eventually(() => existsSync(asked), 'it is asked')
        uptime.suspend(8 * HOUR)
        const ran = await applying.ended
        assert.is(ran.code, code, ran.stdout)
        assert.is(loadRecords(root).record.running.version, code === 0 ? '1.1.0' : '1.0.0')
      } finally {
        stop()
      }
    })

  for (const [name, hours, wanted] of [
    ['of eight hours is gone on with', 8, 'staged'],
    ['of thirteen hours is ended, and gone on with by the next run', 13, 'upgrade_download_failed'],
  ] as const)
    test(`a download after a suspend ${name}`, async () => {
      const half = Math.floor(bytes.length / 2)
      let drop = () => {}
      const server = await fresh({
        download: (request, response, count) => {
          if (count > 0) return sendRange(request, response, bytes)
          response.writeHead(200, {etag: etagOf(bytes), 'content-length': bytes.length})
          response.write(bytes.subarray(0, half))
          drop = () => response.destroy()
        },
      })
      const uptime = new Uptime()
      const stop = uptime.run()
      try {
        const {root} = await nodeOf(server.url, 'true')
        const staging = started(uptime.before([rel, 'device', 'stage', root, '--json']))
        const {sha256 = ''} = good.file.release.artifacts[0] ?? {}
        const part = join(root, '.rel/downloads', `${sha256}.part`)
        const there = () => statSync(part, {throwIfNoEntry: false})?.size ?? 0
        await eventually(() => there() >= half, 'half of it is there')
        uptime.suspend(hours * HOUR)
        drop()
        const {result, error} = docOf(await staging.ended)
        assert.is(result?.state ?? error?.code, wanted)
        if (wanted !== 'staged')
          assert.is((await relAt(new Wall(), 'stage', root)).result?.state, 'staged')
        const ranges = server.seen
          .filter(({path}) => path.startsWith('/download'))
          .map(({headers}) => headers.range)
        assert.equal(ranges, [undefined, `bytes=${half}-`])
      } finally {
        stop()
        await server.close()
      }
    })

  if (isLong)
    test('a poll that was due in a suspend is made within a minute after it', async () => {
      const server = await fresh()
      const uptime = new Uptime()
      const stop = uptime.run()
      const {root} = await nodeOf(server.url, 'true', {poll_interval_secs: 4 * HOUR})
      const running = started(uptime.before([rel, 'device', 'run', root, '--json']))
      try {
        await after(3000)
        uptime.suspend(8 * HOUR)
        const begun = performance.now()
        while (server.seen.length === 0 && performance.now() - begun < 70_000) await after(100)
        assert.ok(server.seen.length > 0, 'it polls')
      } finally {
        stop()
        running.child.kill('SIGTERM')
        await running.ended
        await server.close()
      }
    })
}

test.run()
