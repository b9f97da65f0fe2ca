import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {PanelConfig} from '../../../../src/panel/panel.ts'
import {agentPanel} from '../../../support/agent-panel.ts'
import {signedLicense, testBytes, testRelease} from '../../../support/releases.ts'

const name = 'agent-linux-amd64'
const path = `/download/edge-agent/1.4.2/${name}`
const bytes = testBytes(name, '1.4.2')

/** A panel whose blob store is another: an object store has addresses, and no files. */
async function world(downloads: PanelConfig['downloads'], blobs: object) {
  const agents = await agentPanel({downloads})
  Object.assign(agents.panel.blobs, {open: undefined, ...blobs})
  const authorization = await agents.register(await signedLicense())
  await agents.publish(await testRelease())
  const ask = (method: 'GET' | 'HEAD', more: Record<string, string> = {}) =>
    agents.app.inject({method, url: path, headers: {authorization, ...more}})
  return {agents, ask}
}

test('307: an address that is good for a minute, asked for anew each time', async () => {
  const asked: unknown[] = []
  const presign = async (...args: unknown[]) => {
    asked.push(args)
    return `https://bucket.example.com/blob?n=${asked.length}`
  }
  const {agents, ask} = await world({by: 'redirect', seconds: 60}, {presign})
  try {
    const first = await ask('GET')
    assert.is(first.statusCode, 307)
    assert.is(first.headers.location, 'https://bucket.example.com/blob?n=1')
    assert.is(first.headers['cache-control'], 'no-store')
    assert.equal(asked, [[first.headers['x-bundle-hash'], 60, name]])
    assert.is((await ask('GET')).headers.location, 'https://bucket.example.com/blob?n=2')
    const same = {'if-none-match': String(first.headers.etag)}
    assert.is((await ask('GET', same)).statusCode, 304)
    const head = await ask('HEAD')
    assert.equal([head.statusCode, head.headers['content-length']], [200, String(bytes.length)])
    assert.is(asked.length, 2)
  } finally {
    await agents.close()
  }
})

test('an address is for those who may have the release alone', async () => {
  const presign = async () => assert.unreachable('an address was made')
  const {agents} = await world({by: 'redirect', seconds: 60}, {presign})
  try {
    const other = await signedLicense({id: '01JD000000000000000000000B', track: 'prerelease'})
    const authorization = await agents.register(other)
    const hidden = await agents.app.inject({url: path, headers: {authorization}})
    assert.is(hidden.statusCode, 404)
    assert.is((await agents.app.inject({url: path})).statusCode, 401)
  } finally {
    await agents.close()
  }
})

test('a store without addresses and files is read through: whole, range, ranges', async () => {
  const {agents, ask} = await world({by: 'redirect', seconds: 60}, {})
  try {
    assert.equal((await ask('GET')).rawPayload, bytes)
    const part = await ask('GET', {range: 'bytes=10-19'})
    assert.is(part.statusCode, 206)
    assert.equal(part.rawPayload, bytes.subarray(10, 20))
    const parts = await ask('GET', {range: 'bytes=0-1,-2'})
    assert.is(parts.headers['content-length'], String(parts.rawPayload.length))
    assert.match(parts.body, /Content-Range: bytes 0-1\//)
  } finally {
    await agents.close()
  }
})

test('nginx is told where the blob is, below the folder of blobs', async () => {
  const agents = await agentPanel({downloads: {by: 'accel', prefix: '/blobs'}})
  try {
    const authorization = await agents.register(await signedLicense())
    const {release} = await testRelease()
    await agents.publish(await testRelease())
    const answer = await agents.app.inject({url: path, headers: {authorization}})
    const sha256 = release.artifacts.find((each) => each.name === name)?.sha256 ?? ''
    assert.is(answer.headers['x-accel-redirect'], `/blobs/sha256/${sha256.slice(0, 2)}/${sha256}`)
    assert.is(answer.body, '')
  } finally {
    await agents.close()
  }
})

test.run()
