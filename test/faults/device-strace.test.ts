import {cpSync, readdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../src/device/apply.ts'
import type {Device} from '../../src/device/device.ts'
import {realFs} from '../../src/device/durable-fs.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {openSource} from '../../src/device/open-source.ts'
import {resume} from '../../src/device/resume.ts'
import {stage} from '../../src/device/stage.ts'
import {turn} from '../../src/device/update.ts'
import {builtPackage} from '../support/built.ts'
import {type Aim, beforeOf, checkAfter, fillFolders, runs} from '../support/device/after-each.ts'
import {hostilePanel} from '../support/device/hostile-panel.ts'
import {plain} from '../support/device/node.ts'
import {
  atTime,
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelNode,
} from '../support/device/panel-node.ts'
import {type SystemCall, traced, whyNotTraced} from '../support/device/strace.ts'
import {needsThat} from '../support/needs.ts'
import {inPairs} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// An oracle that knows nothing of the port: the built program, as the system sees it, is killed at
// its calls, or a call fails. `npm run test:long` takes every call, CI a spread of them.

const isLong = process.env.REL_TEST_LONG === '1'
const reason = whyNotTraced()

if (needsThat('strace', reason === undefined, reason ?? '')) {
  const bytes = await packedBundle({version: '1.1.0'})
  const server = await hostilePanel(await bundleRelease('1.1.0', bytes))
  test.after(() => server.close())
  const archive = join(temporaryFolder(), 'app-1.1.0.tar.gz')
  writeFileSync(archive, bytes)
  const rel = join(await builtPackage(), 'bin', 'rel')
  const terms = {
    url: server.url,
    anchor: await nodeAnchor(),
    license: await licenseText(),
    upgrade: {policy: 'auto'},
  }
  const now = Math.floor(Date.now() / 1000)
  const fresh = atTime(await panelNode(terms), now)
  fillFolders(fresh.root)

  const deviceIn = (root: string): Device => ({
    ...fresh,
    root,
    world: {...fresh.world, fs: realFs(root)},
  })

  const copyOf = ({root}: Device): Device => {
    const copy = join(temporaryFolder(), 'node')
    cpSync(root, copy, {recursive: true, verbatimSymlinks: true})
    return deviceIn(copy)
  }

  const PARTIAL = '/versions/.1.1.0.partial'

  type Flow = {
    readonly name: string
    readonly start: Device
    readonly words: readonly string[]
    readonly aim: Aim
  }

  const candidateOf = ({root}: Device) => {
    const {state, candidate} = loadRecords(root).record
    return state === 'staged' ? candidate?.version : undefined
  }
  const staged = copyOf(fresh)
  await stage(staged, archive, plain)
  const updated = copyOf(staged)
  await apply(updated, plain)

  /** A system call, how it fails, in CI how often, and the codes that name it. */
  const faults: readonly (readonly [string, string, number, ...string[]])[] = [
    ['fsync', 'EIO', 3, 'upgrade_io_error'],
    ['write', 'ENOSPC', 3, 'upgrade_disk_full'],
    ['rename', 'EROFS', 3, 'upgrade_io_error'],
    ['openat', 'EMFILE', 4, 'file_unreadable', 'write_failed'],
  ]

  const flows: readonly Flow[] = [
    {
      name: 'stage',
      start: fresh,
      words: ['stage', archive],
      aim: {
        name: 'staged',
        isThere: (device) => candidateOf(device) === '1.1.0',
        rerun: (device) => stage(device, archive, plain),
      },
    },
    {
      name: 'apply',
      start: staged,
      words: ['apply'],
      aim: {
        name: '1.1.0 runs',
        isThere: (device) => runs(device, '1.1.0', '1.1.0'),
        rerun: async (device) => {
          const {record} = await resume(device)
          if (record.running.version !== '1.1.0') await apply(device, plain)
        },
      },
    },
    {
      name: 'rollback',
      start: updated,
      words: ['rollback'],
      aim: {
        name: '1.0.0 runs',
        isThere: (device) => runs(device, '1.0.0', '1.1.0'),
        rerun: async (device) => {
          const {record} = await resume(device)
          if (record.running.version !== '1.0.0') await rollback(device)
        },
      },
    },
    {
      name: 'an update from a panel',
      start: fresh,
      words: ['run', '--once'],
      aim: {
        name: '1.1.0 runs',
        isThere: (device) => runs(device, '1.1.0', '1.1.0'),
        rerun: async (device) => turn(device, await openSource(device)),
      },
    },
  ]

  const commandOf = ({words}: Flow, {root}: Device) => {
    const [name = '', ...rest] = words
    return [rel, 'device', name, root, ...rest, '--json']
  }

  /** A run with one fault, and what must be so after it. */
  const tryOne = async (flow: Flow, call: SystemCall, fault: string) => {
    const device = copyOf(flow.start)
    const before = beforeOf(device.root)
    const ran = await traced(commandOf(flow, device), device.root, {call, fault})
    // how often Node opens and writes of its own is not the same in each run
    const hit = ran.calls.find(({line}) => line.endsWith('(INJECTED)'))
    const what = `${flow.name}, ${fault} at ${call.name} ${call.at}: ${(hit ?? call).line}`
    await checkAfter(device, before, flow.aim, {code: ran.code, what})
    return {...ran, what, isHit: hit !== undefined}
  }

  for (const flow of flows) {
    const whole = copyOf(flow.start)
    const {calls, code, stderr, stdout} = await traced(commandOf(flow, whole), whole.root)
    assert.is(code, 0, `${flow.name}: ${stdout}${stderr}`)
    assert.ok(flow.aim.isThere(whole), flow.name)
    if (flow.start === fresh)
      test(`${flow.name}: every file of the version is synced before it has its name`, () => {
        const version = join(whole.root, 'versions/1.1.0')
        const files = readdirSync(version, {recursive: true, withFileTypes: true})
          .filter((it) => it.isFile())
          .map((it) => join(it.parentPath, it.name).slice(version.length))
        const named = calls.findIndex(({name, path}) => name === 'rename' && path === PARTIAL)
        const synced = calls.slice(0, named).filter(({name}) => name === 'fsync')
        const missing = files.filter((it) => !synced.some(({path}) => path === PARTIAL + it))
        assert.is(files.length, 3, `${files}`)
        assert.equal(missing, [])
      })

    const spread = (all: readonly SystemCall[], every: number) =>
      all.filter((_, at) => isLong || at % every === every >> 1)

    test(`${flow.name}: killed at any system call, what runs is verified and one more run ends it`, async () => {
      let killed = 0
      const chosen = spread(calls, Math.ceil(calls.length / 12))
      await inPairs(chosen, async (call) => {
        const {signal} = await tryOne(flow, call, 'signal=KILL')
        if (signal === 'SIGKILL') killed++
      })
      console.log(`${flow.name}: ${killed} of ${chosen.length} killed, ${calls.length} calls`)
      assert.ok(calls.length > 50, `${calls.length} calls`)
      assert.ok(killed >= 0.9 * chosen.length, `${killed} of ${chosen.length} were killed`)
    })

    for (const [name, errno, most, ...named] of faults)
      test(`${flow.name}: ${errno} at any ${name} is named, and one more run ends it`, async () => {
        const all = calls.filter((it) => it.name === name)
        const chosen = spread(all, Math.ceil(all.length / most))
        const codes = new Set<string>()
        let hits = 0
        await inPairs(chosen, async (call) => {
          const {code, stdout, what, isHit} = await tryOne(flow, call, `error=${errno}`)
          if (!isHit) return
          hits++
          const told = JSON.parse(stdout) as {ok: boolean; error?: {code: string}}
          assert.is(told.ok, code === 0, what)
          if (told.error === undefined) return
          codes.add(told.error.code)
          assert.ok(named.includes(told.error.code), `${what}: ${told.error.code}`)
        })
        console.log(`${flow.name}, ${errno} at ${name}: ${hits} of ${chosen.length}, ${[...codes]}`)
        assert.ok(hits >= chosen.length / 2, `${hits} of ${chosen.length} calls failed`)
      })
  }
}

test.run()
