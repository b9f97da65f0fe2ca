import {copyFileSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {DatabaseSync} from 'node:sqlite'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  keepAuditCheckpoint,
  readAuditCheckpoint,
} from '../../../src/panel/maintenance/audit-checkpoint.ts'
import {verifyPanel} from '../../../src/panel/maintenance/verify.ts'
import {testNow, testSigner} from '../../support/anchors.ts'
import {startPanel, type TestPanel} from '../../support/panel.ts'
import {throwsCode} from '../../support/rejects.ts'
import {runRel} from '../../support/rel.ts'

async function kept({panel}: TestPanel) {
  const {store, keys, folder} = panel
  const place = {path: folder.auditCheckpoint, signer: keys.freshness, now: testNow}
  return keepAuditCheckpoint(store, place)
}

/** Takes rows away behind the panel's back, from one on. */
function cut({data}: TestPanel, from: number, replace?: string): void {
  const database = new DatabaseSync(join(data, 'panel.db'))
  const names = database
    .prepare("select name from sqlite_master where type = 'trigger' and tbl_name = 'audit'")
    .all() as {name: string}[]
  for (const {name} of names) database.exec(`drop trigger ${name}`)
  database.exec(`delete from audit where position >= ${from}`)
  if (replace !== undefined) database.exec(replace)
  database.close()
}

test('a tail that was cut off shows by the checkpoint, and by nothing else', async () => {
  const panel = await startPanel()
  try {
    await panel.panel.store.record({event: 'session.begun'}, {id: 'someone'})
    const before = await kept(panel)
    const checkpoints = [
      readAuditCheckpoint(panel.panel.folder.auditCheckpoint, panel.panel.keys.freshness.publicKey),
    ]
    assert.equal(checkpoints, [before])
    assert.equal((await verifyPanel(panel.panel, {checkpoints})).findings, [])
    await panel.panel.store.record({event: 'session.ended'}, {id: 'someone'})
    assert.equal((await verifyPanel(panel.panel, {checkpoints})).findings, [], 'it has grown')
    cut(panel, before.rows)
    assert.equal((await verifyPanel(panel.panel)).findings, [], 'the chain alone says nothing')
    const {findings} = await verifyPanel(panel.panel, {checkpoints})
    assert.equal(
      findings.map(({code, subject}) => [code, subject]),
      [['audit_chain_broken', 'the tail']],
    )
    // and other rows in their place
    await panel.panel.store.record({event: 'session.begun'}, {id: 'somebody else'})
    const again = await verifyPanel(panel.panel, {checkpoints})
    assert.equal(again.findings.length, 1)
    const ran = await runRel(['panel', 'verify', '--data', panel.data, '--json'])
    assert.is(ran.code, 20, ran.stdout)
    const {error} = JSON.parse(ran.stdout) as {error: {code: string}}
    assert.is(error.code, 'panel_damaged')
  } finally {
    await panel.stop()
  }
})

test('a copy that is kept elsewhere counts when the own one was replaced', async () => {
  const panel = await startPanel()
  try {
    const own = panel.panel.folder.auditCheckpoint
    await kept(panel)
    const older = readFileSync(own)
    await panel.panel.store.record({event: 'session.begun'}, {id: 'someone'})
    const {rows} = await kept(panel)
    const elsewhere = join(panel.data, '../elsewhere.json')
    copyFileSync(own, elsewhere)
    cut(panel, rows)
    writeFileSync(own, older)
    const verify = ['panel', 'verify', '--data', panel.data, '--json']
    assert.is((await runRel(verify)).code, 0, 'both were set back together: nothing shows')
    assert.is((await runRel([...verify, '--audit-checkpoint', elsewhere])).code, 20)
  } finally {
    await panel.stop()
  }
})

test('a checkpoint that the panel did not sign is refused', async () => {
  const panel = await startPanel()
  try {
    const {store, keys, folder} = panel.panel
    const {publicKey} = keys.freshness
    const path = folder.auditCheckpoint
    const place = {path, now: testNow}
    await keepAuditCheckpoint(store, {...place, signer: testSigner('thief')})
    throwsCode(() => readAuditCheckpoint(path, publicKey), 'key_unknown')
    const known = await keepAuditCheckpoint(store, {...place, signer: keys.freshness})
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.replace(/"rows":\d+/, '"rows":1'))
    throwsCode(() => readAuditCheckpoint(path, publicKey), 'signature_invalid')
    writeFileSync(path, '{}')
    throwsCode(() => readAuditCheckpoint(path, publicKey), 'panel_data_invalid')
    writeFileSync(path, text)
    const again = {...place, signer: keys.freshness, now: testNow + 60, known}
    assert.is(await keepAuditCheckpoint(store, again), known, 'nothing new is not signed again')
    assert.is(readFileSync(path, 'utf8'), text)
  } finally {
    await panel.stop()
  }
})

test('reports are counted by code, version and phase, for those with rights', async () => {
  const panel = await startPanel()
  try {
    const issue = async (customer: string) => {
      const body = {product: 'agent', customer, track: 'stable', expires: testNow + 86_400}
      return String((await panel.ask('POST', '/v1/licenses', {body})).json.id)
    }
    const [one, two] = [await issue('one'), await issue('two')]
    const told = {version: '1.4.2', phase: 'verify', time: testNow - 60}
    const bad = {...told, code: 'upgrade_signature_invalid'}
    for (const licenseId of [one, one, two]) await panel.panel.store.addReport({...bad, licenseId})
    await panel.panel.store.addReport({...told, code: 'upgrade_disk_full', licenseId: two})
    const old = {...told, code: 'upgrade_disabled', licenseId: one, time: testNow - 8 * 86_400}
    await panel.panel.store.addReport(old)
    await panel.panel.store.addReport({...bad, licenseId: 'of another product'})
    const {json} = await panel.ask('GET', '/v1/products/agent/reports')
    assert.equal(json.counts, [
      {
        ...{code: 'upgrade_signature_invalid', version: '1.4.2', phase: 'verify'},
        reports: 3,
        licenses: 2,
        latest: testNow - 60,
      },
      {
        ...{code: 'upgrade_disk_full', version: '1.4.2', phase: 'verify'},
        reports: 1,
        licenses: 1,
        latest: testNow - 60,
      },
    ])
    const month = await panel.ask('GET', '/v1/products/agent/reports?days=30')
    assert.is((month.json.counts as unknown[]).length, 3)
    for (const days of ['0', '31', 'x'])
      assert.is((await panel.ask('GET', `/v1/products/agent/reports?days=${days}`)).status, 400)
    assert.is((await panel.ask('GET', '/v1/products/none/reports')).json.code, 'product_unknown')
  } finally {
    await panel.stop()
  }
})

test('a clock that jumped ahead by mistake is reset by a command', async () => {
  const panel = await startPanel()
  try {
    const {store} = panel.panel
    const far = 4_000_000_000
    assert.is(await store.latestTime(far), far)
    const clock = ['panel', 'clock', '--data', panel.data, '--json']
    const shown = JSON.parse((await runRel(clock)).stdout) as {result: {latest: number}}
    assert.is(shown.result.latest, far)
    await runRel([...clock, '--reset', '--dry-run'])
    assert.is(await store.latestTime(0), far)
    assert.is((await runRel([...clock, '--reset'])).code, 0)
    assert.ok((await store.latestTime(0)) < far)
    const rows = await store.audit(-1, 1000)
    assert.is(rows.at(-1)?.event, 'clock.reset')
  } finally {
    await panel.stop()
  }
})

test.run()
