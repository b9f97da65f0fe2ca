import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {makeRelease, panelAnchor, publish, startPanel, type TestPanel} from '../support/panel.ts'
import {runRel} from '../support/rel.ts'

type Document = {
  readonly ok: boolean
  readonly undo?: string
  readonly next?: string
  readonly result?: Record<string, unknown>
  readonly error?: {readonly code: string}
}

async function productCommand(
  {data}: TestPanel,
  ...words: readonly string[]
): Promise<Document & {readonly exit: number | null}> {
  const ran = await runRel(['panel', 'product', ...words, '--data', data, '--json'])
  return {...(JSON.parse(ran.stdout) as Document), exit: ran.code}
}

async function auditRows(running: TestPanel): Promise<number> {
  return (await running.panel.store.audit(-1, 1000)).length
}

test('a product is made by one command, beside a running panel, and takes a release', async () => {
  const running = await startPanel({products: {}})
  try {
    const anchor = join(running.data, '../trust.json')
    writeFileSync(anchor, await panelAnchor())
    const words = ['add', 'agent', '--anchor', anchor, '--require', 'agent/linux/amd64']

    const planned = await productCommand(running, ...words, '--dry-run')
    assert.equal(planned.result?.changed, ['anchor', 'matrix'])
    assert.equal([planned.result?.is_new, planned.undo, planned.next], [true, undefined, undefined])
    assert.is(await running.panel.store.product('agent'), undefined)

    const made = await productCommand(running, ...words)
    assert.is(made.exit, 0)
    assert.is(made.result?.is_new, true)
    await publish(running, await makeRelease({version: '1.4.1'}))

    const rows = await auditRows(running)
    const again = await productCommand(running, ...words)
    assert.equal([again.exit, again.result?.changed, again.undo], [0, [], undefined])
    assert.is(await auditRows(running), rows, 'the same again leaves no row')
  } finally {
    await running.stop()
  }
})

test('what is set can be undone by the line that is printed; a floor cannot', async () => {
  const running = await startPanel()
  try {
    const set = await productCommand(
      running,
      ...['set', 'agent', '--require', 'agent/linux/arm64', '--require', 'ui/any/any'],
      ...['--stopover', '2.0.0', '--floor', '1.4.0'],
    )
    assert.equal(set.result?.changed, ['floor', 'matrix', 'stopovers'])
    assert.is(
      set.undo,
      'rel panel product set agent --require agent/linux/amd64 --no-stopovers --data DIR',
    )
    const undo = String(set.undo)
      .replace(/^rel panel product /, '')
      .replace(' --data DIR', '')
    const undone = await productCommand(running, ...undo.split(' '))
    assert.is(undone.exit, 0)
    const shown = await productCommand(running, 'show', 'agent')
    const {matrix, stopovers, floor} = shown.result as {
      matrix: {required: unknown}
      stopovers: unknown
      floor: unknown
    }
    assert.equal(matrix.required, [{component: 'agent', os: 'linux', arch: 'amd64'}])
    assert.equal([stopovers, floor], [[], '1.4.0'])
    const listed = await productCommand(running, 'list')
    assert.equal(
      ((listed.result?.products ?? []) as readonly {name: string}[]).map(({name}) => name),
      ['agent'],
    )
    const lowered = await productCommand(running, 'set', 'agent', '--floor', '1.3.9')
    assert.equal([lowered.exit, lowered.error?.code], [24, 'floor_lowered'])
  } finally {
    await running.stop()
  }
})

const refusals: readonly (readonly [string, readonly string[], string])[] = [
  ['another name', ['set', 'other', '--floor', '1.0.0'], 'product_unknown'],
  ['shown', ['show', 'other'], 'product_unknown'],
  ['a path as a name', ['add', '../agent'], 'usage_invalid'],
  ['a matrix of two parts', ['set', 'agent', '--require', 'agent/linux'], 'usage_invalid'],
  ['no version', ['set', 'agent', '--floor', 'v1'], 'version_invalid'],
  [
    'a stop-over of no channel',
    ['set', 'agent', '--stopover', '1.0.0-x.1'],
    'channel_unknown_prerelease',
  ],
  ['an anchor that is none', ['set', 'agent', '--anchor', import.meta.filename], 'json_syntax'],
]

test('what is no product is refused and changes nothing', async () => {
  const running = await startPanel()
  try {
    const rows = await auditRows(running)
    for (const [name, words, code] of refusals)
      assert.is((await productCommand(running, ...words)).error?.code, code, name)
    assert.is(await auditRows(running), rows)
  } finally {
    await running.stop()
  }
})

test.run()
