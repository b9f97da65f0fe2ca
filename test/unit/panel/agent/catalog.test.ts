import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {Catalog} from '../../../../src/panel/agent/catalog.ts'
import {agentPanel} from '../../../support/agent-panel.ts'
import {testRelease} from '../../../support/releases.ts'

test('what another instance changes is seen within a second', async () => {
  const agents = await agentPanel()
  const {now} = performance
  let aheadMs = 0
  performance.now = () => now.call(performance) + aheadMs
  try {
    await agents.publish(await testRelease({version: '1.4.1'}))
    // another process over the same store: nobody tells it of a change
    const catalog = new Catalog({...agents.panel, changes: {of: () => 0, mark: () => undefined}})
    const seen = async () => {
      const view = await catalog.view('edge-agent', ['stable'])
      const versions = view?.published.map(({version}) => version)
      return [versions, view?.product.floor, view?.product.stopovers]
    }
    const by = {id: 'test'}
    const {store} = agents.panel
    const steps: readonly [() => Promise<unknown>, unknown][] = [
      [async () => undefined, [['1.4.1'], undefined, []]],
      [
        async () => agents.publish(await testRelease({version: '1.4.2'})),
        [['1.4.2', '1.4.1'], undefined, []],
      ],
      [() => store.setProduct('edge-agent', {floor: '1.4.2'}, by), [['1.4.2'], '1.4.2', []]],
      [
        () => store.setProduct('edge-agent', {stopovers: ['1.4.2']}, by),
        [['1.4.2'], '1.4.2', ['1.4.2']],
      ],
      [() => agents.recall('1.4.2'), [[], '1.4.2', ['1.4.2']]],
    ]
    for (const [change, wanted] of steps) {
      await change()
      aheadMs += 1000
      assert.equal(await seen(), wanted)
    }
  } finally {
    performance.now = now
    await agents.close()
  }
})

test.run()
