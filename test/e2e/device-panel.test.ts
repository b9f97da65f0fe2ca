import {readdirSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  nodeAnchor,
  panelLicense,
  panelNode,
  publishBundle,
  startAppPanel,
} from '../support/device/panel-node.ts'
import type {TestPanel} from '../support/panel.ts'
import {runRel} from '../support/rel.ts'

type Doc = {
  readonly ok: boolean
  readonly result: Record<string, unknown>
  readonly error: {readonly code: string; readonly details: Record<string, unknown>}
}

async function rel(
  ...args: readonly string[]
): Promise<Doc & {code: number | null; stderr: string}> {
  const {stdout, stderr, code} = await runRel(['device', ...args, '--json'])
  return {...(JSON.parse(stdout) as Doc), stderr, code}
}

async function nodeOf(panel: TestPanel, change: object = {}) {
  const {file, id} = await panelLicense(panel)
  const anchor = await nodeAnchor(panel)
  const node = await panelNode({url: panel.url, anchor, license: file, ...change})
  return {...node, licenseId: id}
}

/** A panel with the clock of this machine, as the built command has. */
const realTime = {clock: () => Math.floor(Date.now() / 1000)}

for (const protocol of ['d0', 'd2'] as const)
  test(`${protocol}: a node checks, stages and applies what its panel published`, async () => {
    const panel = await startAppPanel(realTime)
    try {
      const {root} = await nodeOf(panel, {protocol})
      const none = await rel('check', root, '--exit-code')
      assert.equal([none.code, none.result.offer], [0, undefined])
      await publishBundle(panel, '1.1.0')
      await publishBundle(panel, '1.2.0-beta.1')
      const some = await rel('check', root, '--exit-code')
      assert.equal([some.code, some.result.closed], [10, []])
      assert.is((some.result.offer as {version: string}).version, '1.1.0')
      assert.is((await rel('stage', root, '--dry-run')).code, 0)
      assert.is((await rel('stage', root)).result.state, 'staged')
      assert.equal(readdirSync(join(root, '.rel/downloads')), [])
      assert.is((await rel('apply', root)).result.floor, '1.1.0')
      assert.is(readlinkSync(join(root, 'current')), 'versions/1.1.0')
      assert.is((await rel('verify', root)).code, 0)
      assert.is((await rel('stage', root)).error.code, 'upgrade_not_newer')
    } finally {
      await panel.stop()
    }
  })

test.run()
