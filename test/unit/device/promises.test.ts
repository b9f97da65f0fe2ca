import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {checkSource, stage} from '../../../src/device/stage.ts'
import {makeNode, makeSources, plain} from '../../support/device/node.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {treeState} from '../../support/tree-state.ts'

const sources = await makeSources('1.0.0', '1.1.0')

const promises = [
  ['version', {version: '1.2.0'}, 'version_mismatch'],
  ['channel', {version: '1.1.0', channel: 'beta'}, 'channel_mismatch'],
] as const

for (const [what, expect, code] of promises)
  test(`what is signed is not what a source has promised: its ${what}`, async () => {
    const device = await makeNode(sources)
    const before = treeState(device.root)
    const options = {...plain, expect}
    await rejectsCode(() => checkSource(device, sources.of('1.1.0'), options), code)
    await rejectsCode(() => stage(device, sources.of('1.1.0'), options), code)
    assert.equal(treeState(device.root), before)
    await stage(device, sources.of('1.1.0'), {
      ...plain,
      expect: {version: '1.1.0', channel: 'stable'},
    })
  })

test.run()
