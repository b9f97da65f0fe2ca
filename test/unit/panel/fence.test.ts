import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {checkout} from '../../support/built.ts'
import {draft, flip, makeRelease, startPanel, wanted} from '../../support/panel.ts'

/**
 * Recall and the drop of a draft carry no fence: they are decisions of a person, must work while a
 * publisher holds the lease, and a late one can do no more than what is shown here.
 */

test('a draft that somebody drops under a newer lease costs a second run, nothing else', async () => {
  const panel = await startPanel()
  try {
    const release = await makeRelease({version: '1.4.2'})
    const path = '/v1/products/agent/releases'
    const {fence} = (await panel.ask('POST', '/v1/products/agent/lease', {body: {}})).json
    await draft(panel, release)
    // an older publisher that wakes up late
    assert.is((await panel.ask('DELETE', `${path}/1.4.2`)).status, 204)
    const publish = () =>
      panel.ask('POST', `${path}/1.4.2/publish`, {
        headers: {'if-match': `"${release.file.digest}"`, 'rel-fence': String(fence)},
      })
    assert.is((await publish()).json.code, 'release_unknown')
    assert.equal(await panel.panel.store.log('agent', 0, 10), [])
    await draft(panel, release)
    const {json} = await wanted(200, publish())
    assert.equal([json.state, json.sequence], ['published', 1])
    assert.is((await panel.ask('DELETE', `${path}/1.4.2`)).json.code, 'release_immutable')
  } finally {
    await panel.stop()
  }
})

test('a late recall withdraws what it names and no more, once', async () => {
  const panel = await startPanel()
  try {
    for (const version of ['1.4.1', '1.4.2']) {
      const release = await makeRelease({version})
      await draft(panel, release)
      await wanted(200, flip(panel, release))
    }
    await panel.ask('POST', '/v1/products/agent/lease', {body: {}})
    const recall = () =>
      panel.ask('POST', '/v1/products/agent/releases/1.4.1/recall', {body: {reason: 'late'}})
    await wanted(200, recall())
    await wanted(200, recall())
    assert.is((await panel.panel.store.log('agent', 0, 10)).length, 3, 'one leaf')
    const {json} = await panel.ask('GET', '/v1/products/agent/releases/1.4.2')
    assert.is(json.state, 'published')
    const next = await makeRelease({version: '1.4.3'})
    await draft(panel, next)
    assert.is(
      (await panel.ask('POST', '/v1/products/agent/releases/1.4.3/recall', {body: {reason: 'x'}}))
        .json.code,
      'release_not_published',
    )
    await wanted(200, flip(panel, next))
  } finally {
    await panel.stop()
  }
})

test('rel publish asks a panel for neither of them', () => {
  const folder = join(checkout, 'src/release/publish')
  const panelFiles = readdirSync(folder).filter((name) => name.startsWith('panel-'))
  assert.ok(panelFiles.length >= 2)
  for (const name of panelFiles) {
    const text = readFileSync(join(folder, name), 'utf8')
    assert.not.match(text, /\/recall|method: 'DELETE'/)
  }
})

test.run()
