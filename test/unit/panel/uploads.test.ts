import {createHash} from 'node:crypto'
import {existsSync, readdirSync} from 'node:fs'
import {request} from 'node:http'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {sha256Hex} from '../../../src/system/hash.ts'
import {testNow} from '../../support/anchors.ts'
import {type Answer, startPanel, type TestPanel, upload} from '../../support/panel.ts'

const tus = {'tus-resumable': '1.0.0'}

function content(size: number, seed = ''): Buffer {
  const blocks = Array.from({length: Math.ceil(size / 32)}, (_, at) =>
    createHash('sha256').update(`${seed} ${at}`).digest(),
  )
  return Buffer.concat(blocks).subarray(0, size)
}

function begin({ask}: TestPanel, size: number, sha256: string, token?: string): Promise<Answer> {
  return ask('POST', '/v1/uploads', {
    ...(token === undefined ? {} : {token}),
    headers: {
      ...tus,
      'upload-length': String(size),
      'upload-metadata': `filename YQ==,sha256 ${Buffer.from(sha256).toString('base64')}`,
    },
  })
}

function patch({ask}: TestPanel, path: string, offset: number, body: Buffer, token?: string) {
  return ask('PATCH', path, {
    ...(token === undefined ? {} : {token}),
    body,
    headers: {
      ...tus,
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
    },
  })
}

/** Announces the rest, sends a part of it, and breaks the connection. */
function cut(panel: TestPanel, path: string, offset: number, rest: Buffer, part: number) {
  const {hostname, port} = new URL(panel.url)
  return new Promise<void>((resolve) => {
    const sending = request({
      hostname,
      port,
      path,
      method: 'PATCH',
      headers: {
        ...tus,
        authorization: `Bearer ${panel.adminToken}`,
        'upload-offset': String(offset),
        'content-length': String(rest.length),
        'content-type': 'application/offset+octet-stream',
      },
    })
    sending.on('error', () => resolve())
    sending.on('close', () => resolve())
    sending.write(rest.subarray(0, part), () => setImmediate(() => sending.destroy()))
  })
}

/** The offset, once the panel has noticed that the connection is gone. */
async function offsetOf({ask}: TestPanel, path: string): Promise<number> {
  const answer = await ask('HEAD', path)
  return Number(answer.headers.get('upload-offset'))
}

test('an upload that is cut twenty times goes on where it was', async () => {
  const panel = await startPanel({products: {}})
  try {
    const bytes = content(4_000_000)
    const sha256 = sha256Hex(bytes)
    const path = (await begin(panel, bytes.length, sha256)).headers.get('location') ?? ''
    let sent = 0
    let offset = 0
    for (let at = 1; at <= 20; at++) {
      const part = 30_000 + at * 7001
      await cut(panel, path, offset, bytes.subarray(offset), part)
      let next = await offsetOf(panel, path)
      // a busy panel may not have read yet what arrived
      for (let tries = 0; next === offset && tries < 10; tries++) next = await offsetOf(panel, path)
      assert.ok(next >= offset && next <= offset + part, `${offset} to ${next}`)
      sent += next - offset
      offset = next
    }
    assert.ok(offset < bytes.length)
    let last = await patch(panel, path, offset, bytes.subarray(offset))
    while (last.json.code === 'upload_busy' || last.json.code === 'upload_offset_wrong') {
      offset = await offsetOf(panel, path)
      last = await patch(panel, path, offset, bytes.subarray(offset))
    }
    assert.is(last.status, 204, last.bytes.toString())
    assert.ok(sent > 0)
    const head = await panel.ask('HEAD', `/v1/blobs/${sha256}`)
    assert.equal([head.status, head.headers.get('rel-size')], [200, '4000000'])
    assert.is((await panel.ask('HEAD', path)).status, 404)
    assert.is((await begin(panel, bytes.length, sha256)).status, 200)
  } finally {
    await panel.stop()
  }
})

test('bytes of another digest are discarded', async () => {
  const panel = await startPanel({products: {}})
  try {
    const bytes = content(1000)
    const wrong = await upload(panel, bytes, undefined, sha256Hex('something else'))
    assert.equal([wrong.status, wrong.json.code], [460, 'blob_mismatch'])
    assert.is((await panel.ask('HEAD', `/v1/blobs/${sha256Hex(bytes)}`)).status, 404)
    assert.is((await panel.ask('HEAD', `/v1/blobs/${sha256Hex('something else')}`)).status, 404)
    assert.equal(filesOf(join(panel.data, 'uploads')), [])
    assert.equal(filesOf(join(panel.data, 'blobs')), [])
  } finally {
    await panel.stop()
  }
})

function filesOf(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile())
    .map(({name}) => name)
}

test('an answer that was lost is asked for again', async () => {
  const panel = await startPanel({products: {}})
  try {
    const bytes = content(2000)
    const path = (await begin(panel, 2000, sha256Hex(bytes))).headers.get('location') ?? ''
    assert.is((await patch(panel, path, 0, bytes.subarray(0, 1500))).status, 204)
    const again = await patch(panel, path, 0, bytes.subarray(0, 1500))
    assert.equal([again.status, again.json.code], [409, 'upload_offset_wrong'])
    const long = await patch(panel, path, 1500, content(900))
    assert.equal([long.status, long.json.code], [413, 'upload_too_long'])
    assert.is(await offsetOf(panel, path), 1500)
    assert.is((await patch(panel, path, 1500, bytes.subarray(1500))).status, 204)
  } finally {
    await panel.stop()
  }
})

test('an upload belongs to its token, and ends after a day', async () => {
  let now = testNow
  const panel = await startPanel({products: {}, clock: () => now})
  try {
    const bytes = content(100)
    const [one, two] = [await panel.token(['publish']), await panel.token(['publish'])]
    const path = (await begin(panel, 100, sha256Hex(bytes), one)).headers.get('location') ?? ''
    assert.is((await patch(panel, path, 0, bytes, two)).json.code, 'upload_unknown')
    assert.is((await panel.ask('DELETE', path, {token: two})).json.code, 'upload_unknown')
    now += 86_399
    const fresh = await panel.token(['admin'])
    assert.is((await panel.ask('HEAD', path, {token: fresh})).status, 404)
    assert.is((await panel.ask('HEAD', path, {token: one})).status, 200)
    now += 1
    assert.is((await panel.ask('HEAD', path, {token: one})).status, 401)
  } finally {
    await panel.stop()
  }
})

const wrongHeaders: readonly [string, Record<string, string>, number][] = [
  ['no version of tus', {'upload-length': '5'}, 400],
  ['another version of tus', {'tus-resumable': '0.2', 'upload-length': '5'}, 400],
  ['no length', {...tus}, 400],
  ['a negative length', {...tus, 'upload-length': '-1'}, 400],
  ['no digest', {...tus, 'upload-length': '5'}, 400],
  ['a digest that is none', {...tus, 'upload-length': '5', 'upload-metadata': 'sha256 Li4v'}, 400],
  [
    'a size over the limit',
    {
      ...tus,
      'upload-length': String(2 ** 31),
      'upload-metadata': `sha256 ${Buffer.from('a'.repeat(64)).toString('base64')}`,
    },
    507,
  ],
]

test('an upload that is announced wrongly is refused', async () => {
  const panel = await startPanel({products: {}})
  try {
    for (const [name, headers, status] of wrongHeaders) {
      const answer = await panel.ask('POST', '/v1/uploads', {headers})
      assert.is(answer.status, status, `${name}: ${answer.bytes}`)
    }
    assert.equal(filesOf(join(panel.data, 'uploads')), [])
    const options = await panel.ask('OPTIONS', '/v1/uploads')
    assert.is(options.headers.get('tus-extension'), 'creation,termination,expiration')
  } finally {
    await panel.stop()
  }
})

test.run()
