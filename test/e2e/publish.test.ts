import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {RelError} from '../../src/system/error.ts'
import {startFakeGitHub} from '../support/github/fake-github.ts'
import {startPanel} from '../support/panel.ts'
import {cuttingProxy} from '../support/publish/cutting-proxy.ts'
import {isWhole, publication, REPOSITORY, releaseFolder} from '../support/publish/publication.ts'
import {rejectsCode} from '../support/rejects.ts'

test('one run publishes to the panel and to GitHub; the second sends nothing', async () => {
  const panel = await startPanel()
  const fake = await startFakeGitHub({
    repositories: [{name: REPOSITORY, tags: ['v1.4.2']}],
  })
  try {
    const folder = await releaseFolder({version: '1.4.2'})
    const first = await (await publication(folder, {panel, github: fake})).run()
    assert.is(first.changed, true)
    assert.is(first.states.panel?.state, 'published')
    assert.is(first.states.github?.state, 'published')
    assert.ok(isWhole(folder, fake))
    assert.equal(first.receipt.checks, {
      probes: [],
      github_download: {name: 'release.json', as: 'anyone'},
    })

    const again = await (await publication(folder, {panel, github: fake})).run()
    assert.is(again.changed, false)
    assert.equal(again.sent, {panel: [], github: []})
    assert.equal(again.receipt, first.receipt)
  } finally {
    await panel.stop()
    await fake.close()
  }
})

test('an upload that is cut twenty times costs next to nothing more', async () => {
  const panel = await startPanel()
  const size = 64 * 1024 * 1024
  const cuts = Array.from({length: 20}, (_, at) => Math.floor(((at + 0.7) * size) / 21))
  const proxy = await cuttingProxy(Number(new URL(panel.url).port), cuts)
  try {
    const folder = await releaseFolder({version: '1.4.2', size})
    const {adminToken} = panel
    // the panel is given the time to notice that a connection has gone
    const wait = () => setTimeout(200)
    const {run} = await publication(folder, {panel: {url: proxy.url, adminToken}}, {wait})
    assert.is((await run()).states.panel?.state, 'published')
    assert.is(proxy.cuts(), 20)
    const ratio = proxy.bytes() / size
    assert.ok(ratio > 1 && ratio <= 1.02, `${ratio} times the bytes`)
  } finally {
    await proxy.close()
    await panel.stop()
  }
})

test('one changed byte is a conflict with a name, on either target, and replaces nothing', async () => {
  const panel = await startPanel()
  const fake = await startFakeGitHub({repositories: [{name: REPOSITORY, tags: ['v1.4.2']}]})
  try {
    const folder = await releaseFolder({version: '1.4.2'})
    await (await publication(folder, {panel, github: fake})).run()
    const other = await releaseFolder({version: '1.4.2', seed: 'one byte'})
    await rejectsCode((await publication(other, {panel, github: fake})).run, 'release_conflict')
    await rejectsCode((await publication(other, {github: fake})).run, 'github_asset_conflict')
    assert.ok(isWhole(folder, fake))
    const [name = ''] = other.release.bytes.keys()
    writeFileSync(join(other.folder, name), 'not what was signed')
    await rejectsCode(() => publication(other, {panel}), 'artifact_mismatch')
  } finally {
    await panel.stop()
    await fake.close()
  }
})

test('a file that changes while it is sent is refused, and nothing is published', async () => {
  const panel = await startPanel()
  try {
    const folder = await releaseFolder({version: '1.4.2'})
    const {run} = await publication(folder, {panel})
    const [[name = '', bytes = Buffer.alloc(0)] = []] = folder.release.bytes
    writeFileSync(join(folder.folder, name), Buffer.alloc(bytes.length))
    const refusal = await run().catch((error: RelError) => error)
    assert.instance(refusal, RelError)
    const {json} = await panel.ask('GET', '/v1/products/agent/releases/1.4.2')
    assert.is(json.state, 'draft')
  } finally {
    await panel.stop()
  }
})

test('two publishers at once: of the same release both or one succeed, of different ones only one', async () => {
  const rounds = [0, 1, 2, 3]
  const tags = rounds.map((round) => `v1.${round}.0`)
  const panel = await startPanel()
  const fake = await startFakeGitHub({repositories: [{name: REPOSITORY, tags}]})
  const targets = {panel, github: fake}
  try {
    for (const round of rounds) {
      const version = `1.${round}.0`
      const folder = await releaseFolder({version})
      const isSame = round % 2 === 0
      const other = isSame ? folder : await releaseFolder({version, seed: 'other'})
      const ended = await Promise.allSettled(
        [folder, other].map(async (from) => (await publication(from, targets)).run()),
      )
      const codes = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : []))
      assert.ok(codes.length <= 1 || !codes.includes('release_conflict'), codes.join(', '))
      for (const code of codes) assert.ok(conflicts.includes(code), code)
      // whoever draws the short straw runs again, which is always safe
      const {json} = await panel.ask('GET', `/v1/products/agent/releases/${version}`)
      const winner = json.digest === folder.release.file.digest ? folder : other
      await (await publication(winner, targets)).run()
      assert.ok(isWhole(winner, fake), version)
      if (isSame) continue
      const loser = winner === folder ? other : folder
      await rejectsCode((await publication(loser, targets)).run, 'release_conflict')
      assert.ok(isWhole(winner, fake), version)
    }
    assert.not(fake.releases.deleted.some(({wasDraft}) => !wasDraft))
  } finally {
    await panel.stop()
    await fake.close()
  }
})

const conflicts = ['release_conflict', 'publisher_fenced', 'github_duplicate_release']

test.run()
