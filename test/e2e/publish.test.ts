import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {startFakeGitHub} from '../support/github/fake-github.ts'
import {startPanel} from '../support/panel.ts'
import {isWhole, publication, REPOSITORY, releaseFolder} from '../support/publish/publication.ts'

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

test.run()
