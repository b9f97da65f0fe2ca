import {mkdirSync, truncateSync, writeFileSync} from 'node:fs'
import {dirname} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {bumpPaths, readJournal} from '../../../src/bump/journal.ts'
import {abortBump} from '../../../src/bump/run-bump.ts'
import {openGit} from '../../../src/system/git.ts'
import {gitEnv, sampleRepository} from '../../support/bump/repository.ts'
import {throwsCode} from '../../support/rejects.ts'

test('a journal too long to be read is damaged, and an abort takes it away', async () => {
  const git = await openGit(sampleRepository({file: 'text'}).root, gitEnv)
  const {journal} = bumpPaths(git, 'traefik')
  mkdirSync(dirname(journal), {recursive: true})
  writeFileSync(journal, '{')
  truncateSync(journal, 17 * 1024 * 1024)
  throwsCode(() => readJournal(git, 'traefik'), 'journal_damaged')
  await abortBump('traefik', git)
  assert.is(readJournal(git, 'traefik'), undefined)
})

test.run()
