import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../src/device/apply.ts'
import type {Device} from '../../src/device/device.ts'
import {openSource} from '../../src/device/open-source.ts'
import {runLoop} from '../../src/device/poll.ts'
import {stage} from '../../src/device/stage.ts'
import {rememberTimes} from '../../src/device/staged-time.ts'
import {turn} from '../../src/device/update.ts'
import {testNow} from '../support/anchors.ts'
import {bundleWith, deltaOf} from '../support/delta.ts'
import {
  type Note,
  restore,
  type Snapshot,
  type Step,
  snapshotText,
  type View,
} from '../support/device/crash-model.ts'
import {grantSources, signedGrant, testGrant} from '../support/device/grants.ts'
import {
  hostilePanel,
  manifestBodyOf,
  type Script,
  sendBody,
  sendStatus,
} from '../support/device/hostile-panel.ts'
import {brokenPromise, observed, type Trees} from '../support/device/invariants.ts'
import {memoryAt, observedMemory, viewOf} from '../support/device/memory.ts'
import {
  cutEverywhere,
  judgeMutants,
  type Mutant,
  noScore,
  type Run,
  withoutSyncs,
  withSwaps,
} from '../support/device/mutants.ts'
import {deviceAt, installOne, plain} from '../support/device/node.ts'
import {bundleRelease, licenseText, nodeAnchor, packedBundle} from '../support/device/panel-node.ts'
import {lazyFs} from '../support/device/program-node.ts'
import {
  type Act,
  filesBelow,
  flowOf,
  judgeGrant,
  judgeMemory,
  panelGround,
} from '../support/device/remembered.ts'
import {
  type Do,
  type Ground,
  signedTrees,
  type Trace,
  traceOf,
  untilCut,
} from '../support/device/traces.ts'
import {temporaryFolder} from '../support/tmp.ts'

// What a node remembers beside its records, after a power cut at any moment:
//
// clock     the latest signed time. Never earlier than it was when something was told; may be learned
//           again, except where an answer is known that shows it no more (a 304).
// seen      how long the log was. Never shorter than when something was told.
// offered   the highest version that the source has shown. Kept once told; shown again before that.
// refused   an offer fetched in vain. Kept once it was told; before that it costs one more fetch.
// reported  and outbox: each result of the record waits to be told or has been, under one name, and
//           nothing waits that the record does not say.
// wait      when the source may be asked again. Kept once told; before that it costs one question.
// deltas    how often one has failed. Kept once told; before that it costs one more try.
// license   the old file or the new one, whole; never the old one after something was told.
// grants    a grant that has had its effect cannot be used; one that has not, can.

const isLong = process.env.REL_TEST_LONG === '1'

/** What one kind of node does, and what it promises besides what every node does. */
type Room = {
  readonly ground: Ground
  readonly trees: Trees
  readonly acts: readonly Act[]
  readonly judge?: (view: View, notes: readonly Note[]) => void
  /** Every how manieth cut of an act is gone on from; all of them in the long run. */
  readonly every?: number
}

const nothing: Do = async () => {}

async function ends(work: Promise<unknown>, ...codes: readonly string[]): Promise<void> {
  await work.then(
    () => assert.ok(codes.includes(''), 'it must not end well'),
    (error: {code?: string}) => {
      if (error.code === undefined || !codes.includes(error.code)) throw error
    },
  )
}

// grants

const granting = await grantSources({keys: ['rollback']}, '1.0.0', '1.1.0')
const grant = await signedGrant()
const updated: Do = async (device) => {
  await stage(device, granting.of('1.1.0'), plain)
  await apply(device, plain)
}
/** The record of a node that was updated once. */
const UPDATED = 3
const grants: Room = {
  ground: {
    at: (root, fake) => deviceAt(root, fake, {node: 'berlin-7'}),
    install: (device) => installOne(device, granting),
    memory: memoryAt,
  },
  trees: await signedTrees(),
  every: 5,
  judge: (view, notes) => judgeGrant(view, notes, {nonce: testGrant.nonce, seq: UPDATED}),
  acts: [
    {
      name: 'rollback by a grant',
      prepare: updated,
      act: (device) => ends(rollback(device, grant), '', 'upgrade_no_previous'),
    },
    {
      name: 'update to an older version by a grant',
      prepare: updated,
      act: async (device) => {
        await ends(
          stage(device, granting.of('1.0.0'), {...plain, grant}),
          '',
          // the run that was killed has done it already
          'upgrade_grant_invalid',
          'upgrade_not_newer',
        )
        await ends(apply(device, plain), '', 'upgrade_nothing_staged')
      },
    },
  ],
}

// a panel

const [bytes, wrong] = [
  await packedBundle({version: '1.1.0'}),
  await packedBundle({version: '1.2.0'}),
]
const [good, current, bad] = [
  await bundleRelease('1.1.0', bytes),
  await bundleRelease('1.0.0', bytes),
  await bundleRelease('1.1.0', wrong),
]
const anchor = await nodeAnchor()
const servers: {close(): Promise<void>}[] = []
test.after(async () => {
  for (const server of servers) await server.close()
})

async function panelRoom(
  release: typeof good,
  script: Script,
  upgrade: object,
  acts: readonly Act[],
  license?: string,
): Promise<Room> {
  const server = await hostilePanel(release, script)
  servers.push(server)
  const terms = {url: server.url, anchor, license: license ?? (await licenseText()), upgrade}
  return {ground: panelGround(terms), trees: await panelTrees(), acts, every: 14}
}

async function panelTrees(): Promise<Trees> {
  const ground = panelGround({url: 'http://127.0.0.1:9', anchor, license: await licenseText()})
  const root = join(temporaryFolder(), 'node')
  const device = ground.at(root, {})
  await ground.install(device)
  const archive = join(temporaryFolder(), '1.1.0.tar.gz')
  writeFileSync(archive, bytes)
  await stage(device, archive, plain)
  return new Map(
    ['1.0.0', '1.1.0'].map((it) => [it, filesBelow(join(root, 'versions', it))] as const),
  )
}

const turned = async (device: Device) => turn(device, await openSource(device))
const polled: Do = (device) => turned(device)

/** The statement of another hour, once the act has begun. */
let issued = testNow - 3600
const statement: Script = {
  manifest: (request, response) => {
    const {searchParams} = new URL(request.url ?? '', 'http://localhost')
    const terms = {current: searchParams.get('current') ?? '', issued}
    void manifestBodyOf(current, terms).then((body) => sendBody(request, response, body))
  },
}

const oldLicense = await licenseText({expires: testNow + 86_400})
const newLicense = await licenseText({serial: 2})

const loop = {random: () => 0, sleep: async () => {}, isStopping: () => false}

const panels: readonly Room[] = [
  await panelRoom(current, statement, {policy: 'manual'}, [
    {
      name: 'a poll without news',
      prepare: async () => {
        issued = testNow - 3600
      },
      act: polled,
    },
    {
      name: 'a newer statement without news',
      prepare: async (device) => {
        issued = testNow - 3600
        await turned(device)
        issued = testNow - 60
      },
      act: polled,
    },
  ]),
  await panelRoom(bad, {}, {policy: 'stage'}, [
    {
      name: 'an offer that is refused',
      prepare: nothing,
      act: (device) => ends(turned(device), 'upgrade_checksum_mismatch', 'version_mismatch', ''),
    },
  ]),
  await panelRoom(good, {}, {policy: 'auto'}, [
    {
      name: 'an update by turns',
      prepare: nothing,
      act: async (device) => {
        await turned(device)
        await turned(device)
      },
    },
    {
      name: 'an update by turns that fails',
      prepare: nothing,
      broken: ['1.1.0'],
      act: async (device) => {
        await ends(turned(device), '', 'upgrade_rolled_back')
        await turned(device)
      },
    },
  ]),
  await panelRoom(
    current,
    {license: (_request, response) => void response.end(newLicense)},
    {policy: 'manual'},
    [{name: 'a licence that is renewed', prepare: nothing, act: polled}],
    oldLicense,
  ),
  await panelRoom(
    current,
    {
      manifest: (_request, response) =>
        sendStatus(response, 429, undefined, {'retry-after': '600'}),
    },
    {policy: 'manual'},
    [
      {
        name: 'a panel that wants to be left alone',
        prepare: nothing,
        act: async (device) =>
          ends(
            runLoop(device, await openSource(device), loop, {
              isOnce: true,
              report: async () => {},
            }),
            '',
            'upgrade_source_unreachable',
          ),
      },
    ],
  ),
]

// bundles by hand, and deltas

const byHand: Room = {
  ground: {
    at: (root, fake) => deviceAt(root, fake),
    install: (device) => installOne(device, granting),
    memory: memoryAt,
  },
  trees: await signedTrees(),
  every: 8,
  acts: [
    {
      name: 'a bundle by hand',
      prepare: nothing,
      act: async (device) => {
        await stage(device, granting.of('1.1.0'), plain)
        rememberTimes(device)
      },
    },
    {
      name: 'a bundle that is staged again',
      prepare: async (device) => {
        await stage(device, granting.of('1.1.0'), plain)
      },
      act: (device) => stage(device, granting.of('1.1.0'), plain),
    },
  ],
}

const old = await bundleWith('1.0.0', {app: 'a'.repeat(3000), 'a/kept': 'kept'})
const next = await bundleWith('1.1.0', {app: `${'a'.repeat(3000)}b`, 'b/kept': 'kept', new: 'n'})
const other = await bundleWith('1.0.0', {app: 'c'.repeat(3000), 'a/kept': 'kept'})
const [delta, otherDelta] = [await deltaOf(old, next), await deltaOf(other, next)]
const deltas: Room = {
  ground: {
    at: (root, fake) => deviceAt(root, fake),
    install: (device) => installOne(device, {...granting, of: () => old.folder}),
    memory: memoryAt,
  },
  trees: new Map([
    ['1.0.0', filesBelow(old.folder)],
    ['1.1.0', filesBelow(next.folder)],
  ]),
  every: 12,
  acts: [
    {
      name: 'an update by a delta',
      prepare: nothing,
      act: async (device) => {
        await ends(stage(device, delta, plain), '', 'upgrade_not_newer')
        await ends(apply(device, plain), '', 'upgrade_nothing_staged')
      },
    },
    {
      name: 'a delta that fails twice',
      prepare: nothing,
      act: async (device) => {
        await ends(stage(device, otherDelta, plain), 'upgrade_delta_failed')
        await ends(stage(device, otherDelta, plain), 'upgrade_delta_failed')
      },
    },
  ],
}

type Judged = {readonly trace: Trace; readonly room: Room; readonly act: Act}

const outcomes = new Map<string, Promise<string>>()

/** The act once more, on a disk that a power cut has left like this. */
function outcomeIn({room, act}: Judged): (files: Snapshot) => Promise<string> {
  return (files) => {
    const key = `${act.name} ${snapshotText(files)}`
    const known = outcomes.get(key) ?? outcomeOf(files, room, act)
    outcomes.set(key, known)
    return known
  }
}

async function outcomeOf(
  files: Snapshot,
  {ground}: Room,
  {act, broken = []}: Act,
): Promise<string> {
  const root = join(temporaryFolder(), 'node')
  restore(files, root)
  const device = ground.at(root, {broken, fs: lazyFs(root)})
  const ended = await untilCut(() => act(device, granting, {step: () => {}, note: () => {}})).then(
    () => '',
    (error: {code?: string}) => String(error.code),
  )
  const {reported, outbox, grants: used, ...memory} = memoryAt(root)
  // numbers, times and names of reports are of this node alone
  const node = observed(viewOf(root)).replaceAll(
    /\\"(?:seq|verified_at)\\":\d+|sha256:[0-9a-f]{64}/g,
    '',
  )
  const told = outbox.map(({code, version}) => `${code} ${version}`).sort()
  return JSON.stringify([ended, node, memory, reported?.running, reported?.failed, told, used])
}

const broken = ({trace, room}: Judged) => {
  return (view: View, notes: readonly Note[]) => {
    const promise = brokenPromise(view, {...trace, trees: room.trees, notes})
    if (promise !== undefined) return promise
    try {
      judgeMemory(view, notes, trace)
      room.judge?.(view, notes)
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }
}

const rooms = [grants, ...panels, byHand, deltas]
const judged: Judged[] = []
for (const room of rooms)
  for (const act of room.acts) {
    const whole = await traceOf(flowOf(act), room.ground)
    judged.push({trace: whole, room, act})
    const ops = whole.steps.filter(({op}) => op !== 'note')
    for (const cut of ops.keys())
      if (isLong || cut % (room.every ?? 1) === 0 || isFolderMade(ops[cut - 1]))
        judged.push({trace: await traceOf(flowOf(act, cut), room.ground), room, act})
  }

/** Whoever finds it there would not make it durable. */
function isFolderMade(step: Step | undefined): boolean {
  return step?.op === 'mkdir' && step.path.startsWith('.rel/')
}

let all = 0
for (const each of judged)
  test(`no power cut breaks a promise: ${each.trace.name}`, () => {
    const {states, broken: promise} = cutEverywhere(each.trace, broken(each))
    all += states
    assert.is(promise, undefined)
    assert.ok(states >= each.trace.steps.length, `${states} states`)
  })

const kinds: readonly [string, (run: Run) => Mutant[]][] = [
  ['every sync that is left out', withoutSyncs],
  ['every swapped pair', withSwaps],
]

/** What a run that goes on does later is what the run without a cut does, which is judged as a whole. */
function isOfInterest({resumedAt}: Trace, index: number): boolean {
  return isLong || resumedAt === 0 || index < resumedAt + 20
}

for (const [name, mutantsOf] of kinds)
  test(`${name} is noticed, or proven to harm nobody`, async () => {
    const score = noScore()
    for (const each of judged)
      await judgeMutants(
        each.trace,
        mutantsOf(each.trace).filter(({index}) => isOfInterest(each.trace, index)),
        {
          broken: broken(each),
          observed: (view) => `${observed(view)} ${observedMemory(view)}`,
          outcome: outcomeIn(each),
        },
        score,
      )
    const {caught, same, mended, missed} = score
    console.log(`${judged.length} traces, ${all} states`)
    console.log(
      `${name}: ${caught} noticed, ${same} proven the same, ${mended} proven to come to the same, ${missed.length} missed`,
    )
    assert.equal(missed, [])
    assert.ok(caught > 100, `${caught} noticed`)
  })

test.run()
