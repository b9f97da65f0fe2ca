import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {recordingTape, replayTape} from '../../../src/bump/recording.ts'
import type {Http} from '../../../src/system/http.ts'
import {temporaryFolder} from '../../support/tmp.ts'

test('a recording keeps answers, and no secret that came with them', async () => {
  const folder = temporaryFolder()
  const url = 'https://files.example/asset'
  const http: Http = {
    send: async () => ({
      status: 200,
      url: `${url}?X-Amz-Signature=s3cret`,
      headers: {etag: '"1"', 'set-cookie': 'session=s3cret'},
      body: Buffer.from('answer'),
      isRevalidated: false,
    }),
    download: () => Promise.reject(new Error('not asked for')),
  }
  const tape = recordingTape(folder, http, 1_750_000_000)
  const asked = {url: 'https://forge.example/asset', authorization: 'Bearer s3cret'}
  await tape.http().send(asked)
  tape.save()
  assert.not.match(readFileSync(join(folder, 'recording.json'), 'utf8'), /s3cret/)
  const answer = await replayTape(folder).http().send(asked)
  assert.equal([answer.body.toString(), answer.url, answer.headers], ['answer', url, {etag: '"1"'}])
})

test.run()
