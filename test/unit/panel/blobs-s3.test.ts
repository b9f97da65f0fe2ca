import {randomBytes} from 'node:crypto'
import {createServer, type Server} from 'node:http'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {openS3Blobs} from '../../../src/panel/blobs/s3.ts'
import {S3Client} from '../../../src/panel/blobs/s3-client.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {needsThat} from '../../support/needs.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {type Swift, startSwift} from '../../support/swift/swift.ts'
import {blobsConformance, bytesOf, inPieces, type TestedBlobs} from './blobs-conformance.ts'

const started = await startSwift()
if (needsThat('OpenStack Swift', typeof started !== 'string', String(started)))
  swiftTests(started as Swift)

function swiftTests(swift: Swift): void {
  const {env} = swift

  async function open(): Promise<TestedBlobs> {
    const url = swift.newUrl()
    const {blobs, uploads} = await openS3Blobs({url, env})
    return {
      blobs,
      uploads,
      damage: (sha256, bytes) => swift.put(url, `sha256/${sha256.slice(0, 2)}/${sha256}`, bytes),
      leftovers: async () => (await new S3Client(url, env).unfinished()).map(({key}) => key),
    }
  }

  blobsConformance('s3', open)

  test('s3: a blob of several parts, and one whose last byte is wrong', async () => {
    const {blobs, leftovers} = await open()
    const bytes = randomBytes(40 * 1024 * 1024)
    const sha256 = sha256Hex(bytes)
    await blobs.put(sha256, bytes.length, inPieces(bytes, 1_000_003))
    assert.is(await blobs.stat(sha256), bytes.length)
    const part = await bytesOf(blobs.read(sha256, {start: 16_777_210, end: 16_777_230}))
    assert.ok(bytes.subarray(16_777_210, 16_777_230).equals(part))
    const other = sha256Hex('other')
    await rejectsCode(() => blobs.put(other, bytes.length, inPieces(bytes)), 'blob_mismatch')
    assert.is(await blobs.stat(other), undefined)
    assert.equal(await leftovers(), [])
  })

  test('s3: another instance goes on with an upload', async () => {
    const url = swift.newUrl()
    const [first, second] = [await openS3Blobs({url, env}), await openS3Blobs({url, env})]
    const bytes = randomBytes(9_000_000)
    await first.uploads.create({id: 'U1', size: bytes.length})
    await first.uploads.append('U1', 0, inPieces(bytes.subarray(0, 8_500_000)))
    assert.is(await second.uploads.offset('U1'), 8_500_000)
    await second.uploads.append('U1', 8_500_000, inPieces(bytes.subarray(8_500_000)))
    await first.uploads.finish('U1', sha256Hex(bytes), first.blobs)
    assert.is(await second.blobs.rehash(sha256Hex(bytes)), true)
    assert.is(await second.uploads.offset('U1'), undefined)
  })

  test('s3: an address for everybody ends, and cannot be altered', async () => {
    const {blobs} = await open()
    const [first, second] = [sha256Hex('first'), sha256Hex('second')]
    await blobs.put(first, 5, inPieces(Buffer.from('first')))
    await blobs.put(second, 6, inPieces(Buffer.from('second')))
    const address = (await blobs.presign?.(first, 60, 'agent";x=".bin')) ?? ''
    assert.not.match(address, /testing/)
    const answer = await fetch(address)
    assert.is(await answer.text(), 'first')
    assert.is(answer.headers.get('content-disposition'), 'attachment; filename="agent__x__.bin"')
    for (const forged of [
      address
        .replaceAll(first, second)
        .replace(`/${first.slice(0, 2)}/`, `/${second.slice(0, 2)}/`),
      address.replace('X-Amz-Expires=60', 'X-Amz-Expires=600'),
    ]) {
      assert.not.equal(forged, address)
      assert.is((await fetch(forged)).status, 403)
    }
  })

  test('s3: an unfinished put of a killed process goes by age', async () => {
    const url = swift.newUrl()
    const {blobs} = await openS3Blobs({url, env})
    const client = new S3Client(url, env)
    await client.text({method: 'POST', key: 'sha256/aa/x', query: {uploads: ''}})
    assert.is((await client.unfinished()).length, 1)
    assert.is(await blobs.sweep(3600), 0)
    assert.is(await blobs.sweep(-5), 1)
    assert.equal(await client.unfinished(), [])
  })

  test('s3: wrong secrets and buckets are refused', async () => {
    const url = swift.newUrl()
    const wrong = {...env, AWS_SECRET_ACCESS_KEY: 'guessed'}
    const refusal = await rejectsCode(() => openS3Blobs({url, env: wrong}), 'store_failed')
    assert.not.match(refusal.message, /guessed/)
    const elsewhere = `s3+http://127.0.0.1:${swift.port}/nowhere`
    await rejectsCode(() => openS3Blobs({url: elsewhere, env}), 'store_address_invalid')
  })

  test.after(() => swift.stop())
}

const env = {AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'hunter2'}

test('s3: what is no address, or shows a secret, is refused', async () => {
  const addresses = ['', 'http://x/y', 's3://', 's3://host', 's3://a:b@host/bucket', 's3://host/']
  for (const url of addresses)
    await rejectsCode(() => openS3Blobs({url, env}), 'store_address_invalid')
  await rejectsCode(() => openS3Blobs({url: 's3://h/b', env: {}}), 'store_address_invalid')
})

type Answer = {readonly status: number; readonly body?: string; readonly cut?: boolean}

/** A server that answers from a list, for the faults that a sound one does not have. */
async function faulty(
  answers: readonly Answer[],
): Promise<{url: string; server: Server; calls: string[]}> {
  const calls: string[] = []
  const server = createServer((request, response) => {
    const answer = answers[Math.min(calls.length, answers.length - 1)] ?? {status: 500}
    calls.push(`${request.method} ${request.url}`)
    request.resume()
    const body = Buffer.from(answer.body ?? '')
    response.writeHead(answer.status, {'content-length': body.length + (answer.cut ? 10 : 0)})
    response.write(request.method === 'HEAD' ? '' : body, () => {
      if (answer.cut) response.destroy()
      else response.end()
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const {port} = server.address() as {port: number}
  return {url: `s3+http://127.0.0.1:${port}/bucket`, server, calls}
}

const sha256 = sha256Hex('hello')

const faults: readonly [string, readonly Answer[], string | undefined][] = [
  ['503 passes', [{status: 503}, {status: 503}, {status: 200, body: 'hello'}], undefined],
  ['500 for ever', [{status: 500}], 'store_unavailable'],
  ['full', [{status: 507}], 'store_full'],
  ['cut', [{status: 200, body: 'hel', cut: true}], 'store_unavailable'],
  ['forbidden', [{status: 403, body: '<Error><Code>AccessDenied</Code></Error>'}], 'store_failed'],
  ['redirect', [{status: 301}], 'store_failed'],
  ['absent', [{status: 404}], 'blob_missing'],
]

for (const [name, answers, code] of faults) {
  test(`s3: a read from a faulty server: ${name}`, async () => {
    const {url, server} = await faulty([{status: 200}, ...answers])
    try {
      const {blobs} = await openS3Blobs({url, env})
      const read = (): Promise<Buffer> => bytesOf(blobs.read(sha256))
      if (code === undefined) assert.is((await read()).toString(), 'hello')
      else await rejectsCode(read, code as Parameters<typeof rejectsCode>[1])
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
}

test('s3: a server that keeps other bytes than it was given is not believed', async () => {
  const {url, server, calls} = await faulty([
    {status: 200}, // HEAD of the bucket
    {status: 200}, // PUT
    {status: 200, body: 'hellx'},
    {status: 204},
  ])
  try {
    const {blobs} = await openS3Blobs({url, env})
    await rejectsCode(() => blobs.put(sha256, 5, inPieces(Buffer.from('hello'))), 'store_failed')
    assert.match(calls.at(-1) ?? '', /^DELETE /)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

test('s3: a store that may only be read says so', async () => {
  const {url, server} = await faulty([
    {status: 200},
    {status: 403, body: '<Error><Code>AccessDenied</Code></Error>'},
  ])
  try {
    const {blobs} = await openS3Blobs({url, env})
    await rejectsCode(() => blobs.checkWritable(), 'store_read_only')
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

test.run()
