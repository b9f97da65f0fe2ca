import {existsSync, readFileSync, readlinkSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../../src/device/apply.ts'
import type {Device} from '../../../src/device/device.ts'
import {loadRecords, paths} from '../../../src/device/layout.ts'
import {repair} from '../../../src/device/repair.ts'
import {stage} from '../../../src/device/stage.ts'
import {statusOf} from '../../../src/device/status.ts'
import {signedAnchor, testAnchor, testNow} from '../../support/anchors.ts'
import {
  type GrantWorld,
  isOlder,
  NodeModel,
  type Step,
  wordOf,
} from '../../support/device/floor-model.ts'
import {grantSources, signedGrant} from '../../support/device/grants.ts'
import {deviceAt, type FakeWorld, installOne, plain} from '../../support/device/node.ts'
import {lazyFs} from '../../support/device/program-node.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const versions = ['1.0.0', '1.1.0', '1.2.0', '1.3.0']
const keys = ['r1', 'r2']
const roles = (key: string) =>
  testAnchor(
    {role: 'root', keys: ['root']},
    {role: 'manifest', keys: ['archive']},
    {role: 'rollback', keys: [key]},
  )
const anchors = keys.map(roles)

/** What a grant of the test world says, kept apart from the code that is tested. */
type Truth = {
  readonly signer: string
  readonly node: string
  readonly from: string
  readonly to: string
  readonly notAfter: number
}

/** Every step down, by each key, good and nearly good. */
const truths: readonly Truth[] = keys.flatMap((signer) =>
  versions.flatMap((from, at) =>
    versions.slice(0, at).flatMap((to) => {
      const good = {signer, node: 'berlin-7', from, to, notAfter: testNow + 7200}
      return [good, good, {...good, node: 'paris-1'}, {...good, notAfter: testNow + 1800}]
    }),
  ),
)

const good = truths.flatMap(({node, notAfter}, at) =>
  node === 'berlin-7' && notAfter > testNow + 3600 ? [at] : [],
)

const grants = await Promise.all(
  truths.map(({signer, node, from, to, notAfter}, at) =>
    signedGrant(
      {from, to, notAfter, nodes: [node], nonce: at.toString(16).padStart(32, '0')},
      signer,
    ),
  ),
)
const world: GrantWorld = {grants, anchors, start: testNow}

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const seed = Number(process.env.REL_TEST_SEED ?? Date.now() % 2 ** 31)
console.error(`REL_TEST_SEED=${seed}`)

/** Fourteen steps with two grants; old copies are of the records or of the floor, not of both: that is a whole disk. */
function historyOf(random: (below: number) => number): readonly Step[] {
  const what = random(2) === 0 ? 'state' : 'floor'
  const hand = [random(grants.length), good[random(good.length)] ?? 0]
  return Array.from({length: 14}, (): Step => {
    const kind = random(20)
    const grant = random(3) === 0 ? {} : {grant: hand[random(2)] ?? 0}
    if (kind < 7) return {op: 'update', version: versions[random(4)] ?? '', isGood: random(5) > 0}
    if (kind < 10) return {op: 'update', version: versions[random(3)] ?? '', isGood: true, ...grant}
    if (kind < 14) return {op: 'rollback', ...grant}
    if (kind === 14) return {op: 'rotate', key: random(2)}
    if (kind < 16) return {op: 'wait', secs: 1800 * random(5)}
    if (kind < 18) return {op: 'restore', what, ago: 1 + random(4)}
    return {op: 'repair'}
  })
}

/** Plays a history in the model and checks every promise after every step. */
function playChecked(model: NodeModel, step: Step): string {
  const before = {floor: model.floor, current: model.current, acted: model.acted.length}
  const outcome = model.play(step)
  assert.ok(!isOlder(model.floor, before.floor), `the floor fell from ${before.floor}`)
  if (isOlder(model.current, model.floor))
    assert.ok(['rollback', 'grant'].includes(model.arrival), `below the floor by ${model.arrival}`)
  assert.is(new Set(model.acted).size, model.acted.length, 'a grant was used twice')
  if (isOlder(model.current, before.current) && step.op !== 'rollback')
    assert.ok(step.op === 'update' && step.grant !== undefined, 'an update went down by itself')
  if (model.acted.length > before.acted && 'grant' in step) {
    const truth = truths[step.grant ?? -1]
    assert.is(truth?.signer, keys[model.key])
    assert.is(truth?.node, 'berlin-7')
    assert.is(truth?.from, before.current)
    assert.ok(model.now <= (truth?.notAfter ?? 0))
    if (outcome === 'done') assert.is(truth?.to, model.current)
  }
  return outcome
}

const seen = new Map<string, number>()

test('10,000 histories: the floor never falls, and nothing runs below it by itself', () => {
  const random = randomOf(seed)
  for (let count = 0; count < 10_000; count++) {
    const model = new NodeModel(world)
    const history = historyOf(random)
    for (const step of history) {
      try {
        const word = playChecked(model, step)
        const outcome = `${step.op} ${word}${word === 'done' ? ` ${model.arrival}` : ''}`
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
      } catch (error) {
        console.error(JSON.stringify(history))
        throw error
      }
    }
  }
})

test('the histories went everywhere', () => {
  for (const outcome of [
    'update done update',
    'update done grant',
    'update upgrade_rolled_back',
    'update upgrade_version_too_old',
    'update upgrade_layout_invalid',
    'update grant_wrong_version',
    'update grant_wrong_node',
    'update grant_expired',
    'update key_unknown',
    'rollback done rollback',
    'rollback done grant',
    'rollback upgrade_no_previous',
    'rollback grant_wrong_version',
    'rollback grant_used',
    'rollback key_unknown',
    'repair done grant',
    'restore done grant',
  ])
    assert.ok((seen.get(outcome) ?? 0) > 0, `${outcome}: ${seen.get(outcome) ?? 0} times`)
})

/** The same steps on a node with the code that ships. */
class RealNode {
  readonly #device: Device
  readonly #past: ReadonlyMap<string, Buffer | undefined>[] = []
  readonly #kept = [...paths.states, paths.floor]
  readonly #broken: string[] = []
  #now = testNow

  constructor(device: Device & {readonly broken: string[]}) {
    this.#broken = device.broken
    this.#device = {...device, world: {...device.world, now: () => this.#now}}
  }

  async play(step: Step): Promise<string> {
    const copy = this.#kept.map((path) => [path, this.#read(path)] as const)
    this.#past.push(new Map(copy))
    try {
      await this.#act(step)
      return 'done'
    } catch (error) {
      return wordOf(error)
    }
  }

  facts() {
    const {root} = this.#device
    const current = readlinkSync(join(root, 'current')).replace('versions/', '')
    return {current, floor: loadRecords(root).floor}
  }

  status() {
    return statusOf(this.#device)
  }

  #read(path: string): Buffer | undefined {
    const absolute = join(this.#device.root, path)
    return existsSync(absolute) ? readFileSync(absolute) : undefined
  }

  async #act(step: Step): Promise<void> {
    const device = this.#device
    const again = {...plain, isRetry: true}
    const file = 'grant' in step && step.grant !== undefined ? grants[step.grant] : undefined
    if (step.op === 'wait') this.#now += step.secs
    else if (step.op === 'rotate')
      writeFileSync(join(device.root, paths.anchor), anchorBytes[step.key] ?? '')
    else if (step.op === 'repair') await repair(device)
    else if (step.op === 'rollback') await rollback(device, file)
    else if (step.op === 'restore') this.#restore(step)
    else {
      this.#broken.splice(0, 1, step.isGood ? '' : step.version)
      const options = file === undefined ? again : {...again, grant: file}
      await stage(device, sources.of(step.version), options)
      await apply(device, again)
    }
  }

  #restore({what, ago}: Extract<Step, {op: 'restore'}>): void {
    const then = this.#past[Math.max(0, this.#past.length - 1 - ago)]
    for (const path of what === 'state' ? paths.states : [paths.floor]) {
      const bytes = then?.get(path)
      const absolute = join(this.#device.root, path)
      if (bytes === undefined) rmSync(absolute, {force: true})
      else writeFileSync(absolute, bytes)
    }
  }
}

const sources = await grantSources({keys: ['r1']}, ...versions)
const anchorBytes = await Promise.all(anchors.map((anchor) => signedAnchor(anchor, 'root')))

async function realNode(): Promise<RealNode> {
  const root = join(temporaryFolder(), 'node')
  const broken: string[] = []
  const fake: FakeWorld = {fs: lazyFs(root), broken}
  const device = deviceAt(root, fake, {node: 'berlin-7'})
  await installOne(device, sources)
  return new RealNode({...device, broken})
}

test('the code that ships does in 25 histories what the model does', async () => {
  const random = randomOf(seed)
  for (let count = 0; count < 25; count++) {
    const [model, real] = [new NodeModel(world), await realNode()]
    const history = historyOf(random)
    for (const [at, step] of history.entries()) {
      const [wanted, outcome] = [playChecked(model, step), await real.play(step)]
      const where = `history ${count}, step ${at}: ${JSON.stringify(history)}`
      assert.is(outcome, wanted, where)
      assert.equal(real.facts(), {current: model.current, floor: model.floor}, where)
      if (outcome === 'done' && step.op === 'rollback')
        assert.is(real.status().isBelowFloor, isOlder(model.current, model.floor), where)
    }
  }
})

test.run()
