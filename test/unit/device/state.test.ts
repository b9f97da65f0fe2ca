import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../../src/device/apply.ts'
import type {Device} from '../../../src/device/device.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {repair} from '../../../src/device/repair.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {checkTransition, keptStates, transitions} from '../../../src/device/state.ts'
import {makeNode, makeSources, plain} from '../../support/device/node.ts'
import {lazyFs} from '../../support/device/program-node.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0', '1.3.0')
const stagedOf = (device: Device, version: string) => stage(device, sources.of(version), plain)

/** A trial whose link has not changed yet is no record of its own. */
const keptMoves = new Set(
  transitions
    .map(({from, to}) => [from, to].map((name) => (name === 'applying' ? 'trial' : name)))
    .filter((names) => names.every((name) => keptStates.some((kept) => kept === name)))
    .map((names) => names.join(' -> ')),
)

test('the page has the table that the program has', () => {
  const page = readFileSync(
    join(import.meta.dirname, '../../../docs/formats/device-state.md'),
    'utf8',
  )
  const rows = /\n## Transitions\n[^#]*/.exec(page)?.[0].split('\n') ?? []
  assert.equal(
    rows.filter((line) => /^\| `/.test(line)),
    transitions.map(
      ({from, to, when, promise}) => `| \`${from}\` | \`${to}\` | ${when} | ${promise} |`,
    ),
  )
})

test('the table has each move once, and what it does not have is refused', () => {
  const moves = transitions.map(({from, to}) => `${from} ${to}`)
  assert.is(new Set(moves).size, moves.length)
  for (const from of keptStates)
    for (const to of keptStates)
      if (!moves.includes(`${from} ${to}`) && from !== to)
        throwsCode(() => checkTransition(from, to), 'internal_error')
})

test('nodes make every move of records that the table has, and no other', async () => {
  const seen = new Set<string>()
  const watched = async (broken: readonly string[], work: (device: Device) => Promise<void>) => {
    const made = await makeNode(sources, {broken})
    let before: string = loadRecords(made.root).record.state
    const fs = lazyFs(made.root)
    const run: typeof fs.run = (op) => {
      fs.run(op)
      if (op.op !== 'rename' || !op.to.startsWith('.rel/state.json')) return
      const {state} = loadRecords(made.root).record
      seen.add(`${before} -> ${state}`)
      before = state
    }
    await work({...made, world: {...made.world, fs: {root: made.root, run}}})
  }
  const dies = (device: Device, when: 'health' | 'restart'): Device => {
    const die = async (): Promise<never> => {
      throw new Error('killed')
    }
    return {...device, world: {...device.world, [when]: die}}
  }
  const killed = async (work: () => Promise<unknown>) => {
    try {
      await work()
    } catch (error) {
      assert.is((error as Error).message, 'killed')
    }
  }
  const damage = ({root}: Device, version: string) =>
    writeFileSync(join(root, 'versions', version, 'data.txt'), 'x')

  await watched(['1.2.0'], async (device) => {
    await stagedOf(device, '1.1.0')
    await stagedOf(device, '1.1.0')
    await killed(() => apply(dies(device, 'health'), plain))
    await resume(device)
    await stagedOf(device, '1.2.0')
    await rejectsCode(() => apply(device, plain), 'upgrade_rolled_back')
    await stagedOf(device, '1.3.0')
    await rollback(device)
  })
  await watched(['1.2.0'], async (device) => {
    await stagedOf(device, '1.1.0')
    await apply(device, plain)
    await stagedOf(device, '1.2.0')
    await rejectsCode(() => apply(device, plain), 'upgrade_rolled_back')
    await rollback(device)
  })
  await watched([], async (device) => {
    await stagedOf(device, '1.1.0')
    await apply(device, plain)
    await killed(() => rollback(dies(device, 'restart')))
    damage(device, '1.0.0')
    await rejectsCode(() => resume(device), 'upgrade_degraded')
    await stagedOf(device, '1.2.0')
  })
  await watched(['1.1.0'], async (device) => {
    await stagedOf(device, '1.1.0')
    damage(device, '1.0.0')
    await rejectsCode(() => apply(device, plain), 'upgrade_degraded')
    await repair(device)
  })
  await watched([], async (device) => {
    await stagedOf(device, '1.1.0')
    await apply(device, plain)
    await rollback(device)
  })
  assert.equal([...seen].sort(), [...keptMoves].sort())
})

test.run()
