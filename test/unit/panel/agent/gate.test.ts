import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {LicenseGate} from '../../../../src/panel/agent/gate.ts'
import type {Panel} from '../../../../src/panel/panel.ts'
import type {PanelStore} from '../../../../src/panel/store/store.ts'
import {licenseHeader} from '../../../../src/release/license-file.ts'
import {RelError} from '../../../../src/system/error.ts'
import {type AgentPanel, agentPanel} from '../../../support/agent-panel.ts'
import {testNow} from '../../../support/anchors.ts'
import {rejectsCode, throwsCode} from '../../../support/rejects.ts'
import {signedLicense, testLicense} from '../../../support/releases.ts'

/** A gate over a panel whose store counts what it is asked, and may fail. */
function watched(agents: AgentPanel) {
  const state = {asked: [] as string[], isDown: false}
  const store = new Proxy(agents.panel.store, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        state.asked.push(String(name))
        if (state.isDown) throw new RelError('store_unavailable', 'the database does not answer')
        return Reflect.apply(value, target, args)
      }
    },
  }) as PanelStore
  const panel: Panel = {...agents.panel, store}
  return {state, gate: new LicenseGate(panel)}
}

test('a licence is verified once, then remembered', async () => {
  const agents = await agentPanel()
  try {
    const header = await agents.register(await signedLicense())
    const {gate, state} = watched(agents)
    const holder = await gate.admit(header)
    assert.equal([...holder.channels], ['stable'])
    assert.equal(state.asked.toSorted(), ['latestTime', 'license', 'licenseEpoch', 'product'])
    assert.equal(await gate.admit(header), holder)
    assert.not(state.asked.slice(4).includes('license'), 'verified again')
  } finally {
    await agents.close()
  }
})

test('a signature is verified again after ten minutes: keys end too', async () => {
  const agents = await agentPanel()
  const {now} = performance
  try {
    const header = await agents.register(await signedLicense())
    const {gate, state} = watched(agents)
    const verified = () => state.asked.filter((name) => name === 'license').length
    await gate.admit(header)
    await gate.admit(header)
    assert.is(verified(), 1)
    performance.now = () => now.call(performance) + 601_000
    await gate.admit(header)
    assert.is(verified(), 2)
  } finally {
    performance.now = now
    await agents.close()
  }
})

test('what another instance does to a licence is seen within a second', async () => {
  const agents = await agentPanel()
  const {now} = performance
  let aheadMs = 0
  performance.now = () => now.call(performance) + aheadMs
  try {
    const header = await agents.register(await signedLicense())
    // another process over the same store: nobody tells it of a change
    const gate = new LicenseGate({
      ...agents.panel,
      changes: {of: () => 0, mark: () => undefined},
    })
    await gate.admit(header)
    for (const [state, code] of [
      ['frozen', 'license_frozen'],
      ['active', undefined],
      ['revoked', 'license_revoked'],
    ] as const) {
      await agents.panel.store.setLicense(testLicense.id, {state}, {id: 'test'})
      aheadMs += 1000
      if (code === undefined) await gate.admit(header)
      else await rejectsCode(async () => gate.admit(header), code)
    }
  } finally {
    performance.now = now
    await agents.close()
  }
})

test('nobody is let in while the store does not answer, and all are afterwards', async () => {
  const agents = await agentPanel()
  try {
    const header = await agents.register(await signedLicense())
    const {gate, state} = watched(agents)
    state.isDown = true
    await rejectsCode(async () => gate.admit(header), 'store_unavailable')
    await rejectsCode(async () => gate.admit(header), 'store_unavailable')
    state.isDown = false
    assert.is((await gate.admit(header)).id, testLicense.id)
  } finally {
    await agents.close()
  }
})

test('the panel’s own key signs for every product, a trusted one for its own alone', async () => {
  const agents = await agentPanel()
  try {
    const {gate} = watched(agents)
    const own = await signedLicense({id: '01JD000000000000000000000A'}, 'panel licence')
    assert.is((await gate.admit(await agents.register(own))).product, 'edge-agent')
    await agents.panel.store.addProduct('other', {id: 'test'})
    const foreign = await signedLicense({id: '01JD000000000000000000000B', product: 'other'})
    const header = await agents.register(foreign)
    await rejectsCode(async () => gate.admit(header), 'license_invalid')
    const unregistered = await signedLicense({id: '01JD000000000000000000000C'})
    const stranger = `Bearer ${licenseHeader(unregistered)}`
    await rejectsCode(async () => gate.admit(stranger), 'license_unknown')
  } finally {
    await agents.close()
  }
})

test('a forged copy of a registered licence is refused although the true one is remembered', async () => {
  const agents = await agentPanel()
  try {
    const {gate} = watched(agents)
    const file = await signedLicense()
    await gate.admit(await agents.register(file))
    const forged = await signedLicense({expires: testLicense.expires * 2}, 'stranger')
    const header = `Bearer ${licenseHeader(forged)}`
    await rejectsCode(async () => gate.admit(header), 'license_invalid')
    const {keyid} = file.signatures[0] ?? {keyid: ''}
    const stolen = {...forged, signatures: forged.signatures.map(({sig}) => ({keyid, sig}))}
    const other = `Bearer ${licenseHeader(stolen)}`
    await rejectsCode(async () => gate.admit(other), 'license_invalid')
  } finally {
    await agents.close()
  }
})

test('what a renewal took away is opened by no earlier file of the licence', async () => {
  const agents = await agentPanel()
  try {
    const {gate} = watched(agents)
    const wide = await signedLicense({entitlements: ['channel:canary']})
    const header = await agents.register(wide, {serial: 2, entitlements: []})
    assert.equal([...(await gate.admit(header)).channels], ['stable'])
    const same = await signedLicense({entitlements: ['channel:canary'], serial: 2})
    const opened = await gate.admit(`Bearer ${licenseHeader(same)}`)
    assert.equal([...opened.channels], ['stable', 'canary'])
  } finally {
    await agents.close()
  }
})

test('what is no licence is refused before anything is asked', async () => {
  const agents = await agentPanel()
  try {
    const {gate, state} = watched(agents)
    throwsCode(() => gate.admit(undefined), 'license_missing')
    for (const header of [
      'Bearer',
      'Bearer x',
      'Basic !',
      'Basic cmVsMQ==',
      'rel1.x',
      'Bearer rel1.a b',
    ])
      throwsCode(() => gate.admit(header), 'license_invalid')
    assert.equal(state.asked, [])
  } finally {
    await agents.close()
  }
})

test('the clock of the gate never goes back', async () => {
  const agents = await agentPanel()
  try {
    const {gate} = watched(agents)
    assert.is(gate.now(), testNow)
    agents.time = testNow + 100
    assert.is(gate.now(), testNow + 100)
    agents.time = testNow - 100
    assert.is(gate.now(), testNow + 100)
  } finally {
    await agents.close()
  }
})

test.run()
