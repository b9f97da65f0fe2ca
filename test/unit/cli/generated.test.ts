import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {generatedFiles, outdatedFiles} from '../../../scripts/make-docs.ts'
import {codes} from '../../../src/system/codes.ts'
import {checkout} from '../../support/built.ts'
import {temporaryFolder} from '../../support/tmp.ts'

test('documents and schemas are what the source makes of them: npm run docs', async () => {
  assert.equal(await outdatedFiles(checkout, await generatedFiles(checkout)), [])
})

test('a file that is not there is out of date', async () => {
  const files = await generatedFiles(checkout)
  assert.equal(outdatedFiles(temporaryFolder(), files), [...files.keys()])
})

test('every code has its place in docs/error-codes.md', async () => {
  const page = (await generatedFiles(checkout)).get('docs/error-codes.md') ?? ''
  for (const code of Object.keys(codes)) assert.match(page, new RegExp(`^### ${code}$`, 'm'))
})

test.run()
