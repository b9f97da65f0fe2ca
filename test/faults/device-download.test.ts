import {createHash, randomBytes} from 'node:crypto'
import {existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import type {IncomingMessage, ServerResponse} from 'node:http'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type DownloadLimits, download, type Wanted} from '../../src/device/download.ts'
import type {ErrorCode} from '../../src/system/codes.ts'
import {RelError} from '../../src/system/error.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {cutAfter, etagOf, sendRange, sendStatus} from '../support/device/hostile-panel.ts'
import {type LoopbackServer, loopbackServer} from '../support/http/loopback-server.ts'
import {rejectsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

const size = 300_000
const bytes = createHash('shake256', {outputLength: size}).update('the file').digest()
const others = createHash('shake256', {outputLength: size}).update('another file').digest()
const sha256 = sha256Hex(bytes)

/** No waiting between attempts, and little patience. */
const quick: Partial<DownloadLimits> = {retryMs: 0, idleMs: 300, windowMs: 200}

function newRoot(): string {
  const root = temporaryFolder()
  mkdirSync(join(root, '.rel'))
  return root
}

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void

async function served<T>(answer: Answer, work: (server: LoopbackServer) => Promise<T>): Promise<T> {
  const server = await loopbackServer(answer)
  try {
    return await work(server)
  } finally {
    await server.close()
  }
}

function fetchIt(
  root: string,
  {url}: LoopbackServer,
  change: Partial<Wanted> = {},
  limits: Partial<DownloadLimits> = quick,
): Promise<string> {
  return download(root, {url: `${url}/file`, size, sha256, ...change}, undefined, limits)
}

function leftOf(root: string): readonly string[] {
  return readdirSync(join(root, '.rel/downloads')).filter((name) => !name.endsWith('.json'))
}

/** What the server does once it has cut the first answer off; the outcome that this must have. */
const kinds: readonly [string, Answer, 'whole' | ErrorCode][] = [
  ['206 right', (request, response) => sendRange(request, response, bytes), 'whole'],
  [
    '206 of a wrong range',
    (request, response) => {
      if (request.headers.range === undefined) return sendRange(request, response, bytes)
      const range = `bytes 0-${size - 1}/${size}`
      response.writeHead(206, {etag: etagOf(bytes), 'content-range': range})
      response.end(bytes)
    },
    'whole',
  ],
  [
    '200',
    (_request, response) => {
      response.writeHead(200, {etag: etagOf(bytes), 'content-length': size})
      response.end(bytes)
    },
    'whole',
  ],
  [
    '416',
    (request, response) =>
      request.headers.range === undefined
        ? sendRange(request, response, bytes)
        : sendStatus(response, 416),
    'whole',
  ],
  [
    'another entity tag, the same size',
    (request, response) => sendRange(request, response, others),
    'upgrade_checksum_mismatch',
  ],
  [
    'the rest of another file, as if it were this one',
    (request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
      const head = {etag: etagOf(others), 'content-length': size - start}
      const range = {'content-range': `bytes ${start}-${size - 1}/${size}`}
      response.writeHead(start === 0 ? 200 : 206, start === 0 ? head : {...head, ...range})
      response.end(others.subarray(start))
    },
    'upgrade_checksum_mismatch',
  ],
  [
    'appended bytes',
    (request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
      const range = {'content-range': `bytes ${start}-${size - 1}/${size}`}
      response.writeHead(start === 0 ? 200 : 206, {etag: etagOf(bytes), ...range})
      response.write(bytes.subarray(start))
      response.end(randomBytes(70_000))
    },
    'upgrade_size_exceeded',
  ],
]

const cuts = [0, 1, size / 4, size / 2, Math.floor(size * 0.99), size - 1]

for (const [name, answer, wanted] of kinds)
  test(`cut off at six places, then: ${name}`, async () => {
    for (const cut of cuts) {
      const root = newRoot()
      await served(
        (request, response, count) =>
          count === 0 ? cutAfter(response, bytes, cut) : answer(request, response, count),
        async (server) => {
          if (wanted === 'whole') {
            assert.is(sha256Hex(readFileSync(await fetchIt(root, server))), sha256, `cut at ${cut}`)
            assert.equal(leftOf(root), [sha256])
          } else {
            await rejectsCode(() => fetchIt(root, server), wanted)
            const [part] = leftOf(root)
            assert.is(readFileSync(join(root, '.rel/downloads', part ?? '')).length, 0)
          }
          assert.ok(server.seen.length <= 4, `${server.seen.length} requests, cut at ${cut}`)
        },
      )
    }
  })

test('what an earlier process left is gone on with, and only the rest is asked for', async () => {
  const root = newRoot()
  const cut = Math.floor(size * 0.9)
  await served(
    (_request, response) => cutAfter(response, bytes, cut),
    (server) =>
      rejectsCode(
        () => fetchIt(root, server, {}, {...quick, attempts: 1}),
        'upgrade_download_failed',
      ),
  )
  await served(
    (request, response) => sendRange(request, response, bytes),
    async (server) => {
      await fetchIt(root, server)
      assert.is(server.seen.length, 1)
      const {
        range,
        'if-range': ifRange,
        'accept-encoding': encoding,
      } = server.seen[0]?.headers ?? {}
      assert.equal([range, ifRange, encoding], [`bytes=${cut}-`, etagOf(bytes), 'identity'])
    },
  )
})

test('a part that was damaged on disk is found, and fetched anew', async () => {
  for (const at of [0, 1000, 99_999]) {
    const root = newRoot()
    const damaged = Buffer.from(bytes.subarray(0, 100_000))
    damaged[at] = (damaged[at] ?? 0) ^ 1
    mkdirSync(join(root, '.rel/downloads'))
    writeFileSync(join(root, '.rel/downloads', `${sha256}.part`), damaged)
    const sidecar = JSON.stringify({etag: etagOf(bytes)})
    writeFileSync(join(root, '.rel/downloads', `${sha256}.part.json`), sidecar)
    await served(
      (request, response) => sendRange(request, response, bytes),
      async (server) => {
        assert.is(sha256Hex(readFileSync(await fetchIt(root, server))), sha256)
        assert.equal(
          server.seen.map(({headers}) => headers.range),
          ['bytes=100000-', undefined],
        )
      },
    )
  }
})

const sidecars: readonly [string, string][] = [
  ['none', ''],
  ['a weak entity tag', JSON.stringify({etag: `W/${etagOf(bytes)}`})],
  ['no JSON', '{'],
  ['a list', '[]'],
]

for (const [name, text] of sidecars)
  test(`a part is not gone on with when its sidecar is ${name}`, async () => {
    const root = newRoot()
    mkdirSync(join(root, '.rel/downloads'))
    writeFileSync(join(root, '.rel/downloads', `${sha256}.part`), bytes.subarray(0, 1000))
    if (text !== '') writeFileSync(join(root, '.rel/downloads', `${sha256}.part.json`), text)
    await served(
      (request, response) => sendRange(request, response, bytes),
      async (server) => {
        await fetchIt(root, server)
        assert.is(server.seen[0]?.headers.range, undefined)
      },
    )
  })

test('a part that is longer than what is signed is not gone on with', async () => {
  const root = newRoot()
  mkdirSync(join(root, '.rel/downloads'))
  const part = join(root, '.rel/downloads', `${sha256}.part`)
  writeFileSync(part, Buffer.concat([bytes, bytes.subarray(0, 1)]))
  writeFileSync(`${part}.json`, JSON.stringify({etag: etagOf(bytes)}))
  await served(
    (request, response) => sendRange(request, response, bytes),
    async (server) => {
      assert.is(sha256Hex(readFileSync(await fetchIt(root, server))), sha256)
      assert.equal(
        server.seen.map(({headers}) => headers.range),
        [undefined],
      )
    },
  )
})

test('what is whole already is hashed again, and not asked for', async () => {
  const root = newRoot()
  await served(
    (request, response) => sendRange(request, response, bytes),
    async (server) => {
      const path = await fetchIt(root, server)
      await fetchIt(root, server)
      assert.is(server.seen.length, 1)
      writeFileSync(path, others)
      assert.is(sha256Hex(readFileSync(await fetchIt(root, server))), sha256)
      assert.is(server.seen.length, 2)
    },
  )
})

const refusals: readonly [string, Answer, ErrorCode][] = [
  [
    'more is announced than is signed',
    (_request, response) => {
      response.writeHead(200, {'content-length': 2 ** 40})
      response.write(bytes)
    },
    'upgrade_size_exceeded',
  ],
  [
    'a body without an end',
    (_request, response) => {
      const more = () => response.write(Buffer.alloc(65_536), () => setImmediate(more))
      more()
    },
    'upgrade_size_exceeded',
  ],
  [
    'less is announced than is signed',
    (_request, response) => response.end(bytes.subarray(0, 1000)),
    'upgrade_checksum_mismatch',
  ],
  [
    'compressed',
    (_request, response) => {
      response.writeHead(200, {'content-encoding': 'gzip'})
      response.end(bytes)
    },
    'upgrade_download_failed',
  ],
  [
    'a part that nobody asked for',
    (_request, response) => {
      response.writeHead(206, {'content-range': `bytes 0-9/${size}`})
      response.end(bytes.subarray(0, 10))
    },
    'upgrade_download_failed',
  ],
  ['500', (_request, response) => sendStatus(response, 500), 'upgrade_download_failed'],
  ['204', (_request, response) => sendStatus(response, 204), 'upgrade_download_failed'],
  [
    'frozen',
    (_request, response) => sendStatus(response, 403, 'license_frozen'),
    'upgrade_license_frozen',
  ],
  [
    'no licence',
    (_request, response) => sendStatus(response, 401, 'license_invalid'),
    'upgrade_license_invalid',
  ],
  [
    'a redirect to a file',
    (_request, response) => sendStatus(response, 302, undefined, {location: 'file:///etc/passwd'}),
    'upgrade_source_invalid',
  ],
  [
    'a redirect in a circle',
    (_request, response) => sendStatus(response, 302, undefined, {location: '/file'}),
    'upgrade_source_invalid',
  ],
  ['silence', () => {}, 'upgrade_download_failed'],
  [
    'a byte now and then',
    (_request, response) => {
      response.writeHead(200, {'content-length': size})
      const drip = setInterval(() => response.write('x'), 20)
      response.on('close', () => clearInterval(drip))
    },
    'upgrade_download_failed',
  ],
]

for (const [name, answer, code] of refusals)
  test(`refused: ${name}`, async () => {
    const root = newRoot()
    await served(answer, (server) =>
      rejectsCode(() => fetchIt(root, server, {}, {...quick, attempts: 2, headersMs: 300}), code),
    )
  })

test('it is asked for three times an hour when it is not there, also by new processes', async () => {
  for (const status of [404, 410, 451]) {
    const root = newRoot()
    await served(
      (_request, response) => sendStatus(response, status),
      async (server) => {
        for (let at = 0; at < 6; at++)
          await rejectsCode(() => fetchIt(root, server), 'upgrade_download_failed')
        assert.is(server.seen.length, 3)
      },
    )
  }
})

test('when to come back is told, in both forms', async () => {
  const date = new Date(Date.now() + 3_600_000).toUTCString()
  for (const value of ['3600', date])
    await served(
      (_request, response) => sendStatus(response, 503, undefined, {'retry-after': value}),
      async (server) => {
        const {details} = await rejectsCode(
          () => fetchIt(newRoot(), server),
          'upgrade_download_failed',
        )
        const secs = Number(details?.retry_at) - Date.now() / 1000
        assert.ok(secs > 3500 && secs < 3700, String(secs))
        assert.is(server.seen.length, 1, 'it is not asked again before')
      },
    )
})

test('the licence goes to the origin that was asked, and to no other', async () => {
  await served(
    (request, response) => sendRange(request, response, bytes),
    async (other) => {
      await served(
        (_request, response) =>
          sendStatus(response, 307, undefined, {location: `${other.url}/elsewhere`}),
        async (server) => {
          await fetchIt(newRoot(), server, {authorization: 'Bearer rel1.secret'})
          assert.is(server.seen[0]?.headers.authorization, 'Bearer rel1.secret')
          assert.is(other.seen[0]?.headers.authorization, undefined)
        },
      )
    },
  )
})

test('without a signed size no more is taken than a third of what is free', async () => {
  const root = newRoot()
  await served(
    (_request, response) => {
      response.writeHead(200, {'content-length': 2 ** 45})
      response.write('x')
    },
    (server) =>
      rejectsCode(
        () => download(root, {url: `${server.url}/file`, name: sha256}, undefined, quick),
        'upgrade_size_exceeded',
      ),
  )
})

test('a bandwidth limit is kept', async () => {
  const root = newRoot()
  const started = performance.now()
  await served(
    (request, response) => sendRange(request, response, bytes),
    (server) => fetchIt(root, server, {maxBytesPerSec: size}),
  )
  // the first piece is free: what is asked is that it is not as fast as the machine
  assert.ok(performance.now() - started > 500)
})

test('a download that is stopped in its middle is left to be continued', async () => {
  const root = newRoot()
  await served(
    (request, response) => sendRange(request, response, bytes),
    async (server) => {
      const stop = () => {
        throw new RelError('interrupted', 'stopped')
      }
      const wanted = {url: `${server.url}/file`, size, sha256}
      await rejectsCode(() => download(root, wanted, stop, quick), 'interrupted')
      assert.ok(existsSync(join(root, '.rel/downloads', `${sha256}.part`)))
      await fetchIt(root, server)
      assert.match(String(server.seen[1]?.headers.range), /^bytes=[1-9]/)
    },
  )
})

if (process.env.REL_TEST_LONG === '1')
  test('a byte a second is given up after a minute, by the limits that ship', async () => {
    const answer: Answer = (_request, response) => {
      response.writeHead(200, {'content-length': size})
      const drip = setInterval(() => response.write('x'), 1000)
      response.on('close', () => clearInterval(drip))
    }
    await served(answer, async (server) => {
      const begun = performance.now()
      const {message} = await rejectsCode(
        () => fetchIt(newRoot(), server, {}, {}),
        'upgrade_download_failed',
      )
      const secs = (performance.now() - begun) / 1000
      console.log(`a byte a second: given up after ${secs.toFixed(1)} s`)
      assert.match(message, 'too slowly')
      assert.ok(secs >= 60 && secs < 90, `${secs} s`)
      assert.is(server.seen.length, 1)
    })
  })

test('what refuses a download is not waited for as long as a download', async () => {
  const problem = Buffer.from(JSON.stringify({code: 'license_frozen', detail: 'x'.repeat(200)}))
  const drop = (response: ServerResponse, at: number): void => {
    if (response.destroyed) return
    if (at === problem.length) return void response.end()
    response.write(problem.subarray(at, at + 1))
    setTimeout(() => drop(response, at + 1), 20)
  }
  const slowly: Answer = (_request, response) => {
    response.writeHead(403, {'content-length': problem.length})
    drop(response, 0)
  }
  await served(slowly, async (server) => {
    const limits = {...quick, headersMs: 300}
    const refusal = await fetchIt(newRoot(), server, {}, limits).catch((error: unknown) => error)
    // whoever waits 5 s for all of it reads that the licence is frozen
    assert.is((refusal as RelError).code, 'upgrade_license_invalid')
  })
})

test('a source that signs no sizes leaves one beginning on the disk, whatever it calls it', async () => {
  const cut: Answer = (_request, response) => cutAfter(response, bytes, 50_000)
  await served(cut, async (server) => {
    const root = newRoot()
    for (const version of ['9.0.0', '9.0.1', '9.0.2']) {
      const wanted = {url: `${server.url}/${version}`, name: sha256Hex(version)}
      await rejectsCode(() => download(root, wanted, undefined, quick), 'upgrade_download_failed')
    }
    assert.equal(leftOf(root), [`${sha256Hex('9.0.2')}.part`])
  })
})

test.run()
