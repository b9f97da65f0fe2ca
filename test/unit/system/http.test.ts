import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import type {ServerResponse} from 'node:http'
import {createServer as createHttpsServer} from 'node:https'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {codeInfo} from '../../../src/system/codes.ts'
import {ContentCache} from '../../../src/system/content-cache.ts'
import {makeHttp} from '../../../src/system/http-client.ts'
import {
  rateLimitEnd,
  redirectTarget,
  retryAfter,
  retryDelayMs,
  shownUrl,
} from '../../../src/system/http-rules.ts'
import {type LoopbackServer, loopbackServer} from '../../support/http/loopback-server.ts'
import {needs} from '../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const SECRET = 'token ghp_never_to_be_seen'
const START = 1_700_000_000_000

/** A client whose clock stands still but for its own sleeps. */
function client(options: {folder?: string; timeouts?: object} = {}) {
  const folder = options.folder ?? temporaryFolder()
  const slept: number[] = []
  const clock = {
    now: () => START + slept.reduce((sum, ms) => sum + ms, 0),
    sleep: async (ms: number) => {
      slept.push(ms)
    },
  }
  const cache = new ContentCache(folder)
  const timeouts = options.timeouts ?? {}
  const http = makeHttp({cache, userAgent: 'rel-test', clock, random: () => 0.5, timeouts})
  return {http, cache, folder, slept}
}

async function withServer(
  answer: Parameters<typeof loopbackServer>[0],
  use: (server: LoopbackServer) => Promise<void>,
): Promise<void> {
  const server = await loopbackServer(answer)
  try {
    await use(server)
  } finally {
    await server.close()
  }
}

const bytes = Buffer.alloc(300_000, 'bytes of a file ')
const digest = createHash('sha256').update(bytes).digest('hex')

/** Sends `length` in full but ends the connection after `count` bytes. */
function cut(response: ServerResponse, count: number, headers: object = {}): void {
  response.writeHead(200, {'content-length': bytes.length, ...headers})
  response.write(bytes.subarray(0, count), () => response.destroy())
}

function partsOf(folder: string): string[] {
  return readdirSync(join(folder, 'parts'))
}

test('an answer comes with status, headers and body; 404 is an answer', () =>
  withServer(
    (_request, response) => response.writeHead(404, {'x-answer': 'yes'}).end('gone'),
    async ({url}) => {
      const answer = await client().http.send({url: `${url}/a`})
      assert.is(answer.status, 404)
      assert.is(answer.headers['x-answer'], 'yes')
      assert.is(answer.body.toString(), 'gone')
    },
  ))

test('a warm repeat asks with the ETag, gets 304 and returns the kept body', () =>
  withServer(
    (request, response) => {
      if (request.headers['if-none-match'] === '"one"') response.writeHead(304).end()
      else response.writeHead(200, {etag: '"one"', link: '<x>; rel="next"'}).end('body')
    },
    async ({url, seen}) => {
      const {http, folder} = client()
      assert.is((await http.send({url})).isRevalidated, false)
      const again = await client({folder}).http.send({url})
      assert.ok(again.isRevalidated)
      assert.is(again.status, 200)
      assert.is(again.body.toString(), 'body')
      assert.is(again.headers.link, '<x>; rel="next"')
      assert.is((await http.send({url, headers: {accept: 'text/x'}})).isRevalidated, false)
      assert.is(seen.length, 3)
    },
  ))

test('a kept body that was changed on disk is not used', () =>
  withServer(
    (_request, response) => response.writeHead(200, {etag: '"one"'}).end('body'),
    async ({url, seen}) => {
      const {http, folder} = client()
      await http.send({url})
      const sha256 = createHash('sha256').update('body').digest('hex')
      const path = join(folder, 'sha256', sha256.slice(0, 2), sha256)
      assert.is(statSync(path).mode & 0o777, 0o444)
      writeFileSync(path, 'evil', {mode: 0o644})
      const again = await http.send({url})
      assert.is(again.body.toString(), 'body')
      assert.is(seen[1]?.headers['if-none-match'], undefined)
    },
  ))

test('no-store is obeyed', () =>
  withServer(
    (_request, response) =>
      response.writeHead(200, {etag: '"one"', 'cache-control': 'private, no-store'}).end('body'),
    async ({url, seen}) => {
      const {http} = client()
      await http.send({url})
      await http.send({url})
      assert.is(seen[1]?.headers['if-none-match'], undefined)
    },
  ))

test('credentials stay with their origin', async () => {
  const other = await loopbackServer((_request, response) => response.end('there'))
  await withServer(
    (request, response) => {
      const to = request.url === '/away' ? `${other.url}/x` : '/here'
      if (request.url === '/here') response.end('here')
      else response.writeHead(302, {location: to}).end()
    },
    async ({url, seen}) => {
      const {http} = client()
      const away = await http.send({url: `${url}/away`, authorization: SECRET})
      assert.is(away.body.toString(), 'there')
      assert.is(away.url, `${other.url}/x`)
      assert.is(other.seen[0]?.headers.authorization, undefined)
      await http.send({url: `${url}/stay`, authorization: SECRET})
      assert.is(seen.at(-1)?.headers.authorization, SECRET)
    },
  )
  await other.close()
})

for (const [name, location] of [
  ['in a circle', '/again'],
  ['to a file', 'file:///etc/passwd'],
  ['to nowhere', ''],
  ['to an address with a password', 'http://user:password@127.0.0.1/'],
] as const)
  test(`a redirect ${name} is refused`, () =>
    withServer(
      (_request, response) => response.writeHead(302, {location}).end(),
      async ({url, seen}) => {
        await rejectsCode(() => client().http.send({url}), 'http_redirect_refused')
        assert.ok(seen.length <= 6)
      },
    ))

test('a redirect from https to http is refused, and one that should be returned is', () => {
  const head = {status: 301, headers: {location: 'http://example.com/'}}
  throwsCode(() => redirectTarget(head, new URL('https://example.com/')), 'http_redirect_refused')
  assert.is(redirectTarget(head, new URL('http://example.com/a'))?.href, 'http://example.com/')
  assert.is(redirectTarget({status: 304, headers: {}}, new URL('https://a.b/')), undefined)
  return withServer(
    (_request, response) => response.writeHead(302, {location: '/there'}).end(),
    async ({url}) => {
      const answer = await client().http.send({url, redirects: 'return'})
      assert.is(answer.status, 302)
      assert.is(answer.headers.location, '/there')
    },
  )
})

test('a failing server is asked four times, with full jitter in between', () =>
  withServer(
    (_request, response, count) => response.writeHead(count < 3 ? 503 : 200).end('at last'),
    async ({url, seen}) => {
      const {http, slept} = client()
      assert.is((await http.send({url})).body.toString(), 'at last')
      assert.equal(slept, [250, 500, 1000])
      assert.is(seen.length, 4)
    },
  ))

test('after four failures the refusal is temporary', () =>
  withServer(
    (_request, response) => response.writeHead(502).end(),
    async ({url, seen}) => {
      const refusal = await rejectsCode(() => client().http.send({url}), 'http_server_error')
      assert.is(refusal.details?.status, 502)
      assert.is(seen.length, 4)
    },
  ))

test('a POST is never repeated after a failure of unknown effect', () =>
  withServer(
    (request, response) => {
      if (request.url === '/reset') response.destroy()
      else response.writeHead(503).end()
    },
    async ({url, seen}) => {
      const body = Buffer.from('{}')
      const {http} = client()
      await rejectsCode(() => http.send({url, method: 'POST', body}), 'http_server_error')
      await rejectsCode(
        () => http.send({url: `${url}/reset`, method: 'POST', body}),
        'http_unreachable',
      )
      assert.is(seen.length, 2)
    },
  ))

test('a reset connection is tried again', () =>
  withServer(
    (_request, response, count) => {
      if (count === 0) response.destroy()
      else response.end('now')
    },
    async ({url}) => {
      assert.is((await client().http.send({url})).body.toString(), 'now')
    },
  ))

test('a short rate limit is waited for, by POST too', () =>
  withServer(
    (_request, response, count) => {
      if (count === 0) response.writeHead(403, {'retry-after': '5'}).end()
      else response.writeHead(201).end()
    },
    async ({url}) => {
      const {http, slept} = client()
      const answer = await http.send({url, method: 'POST', body: Buffer.from('{}')})
      assert.is(answer.status, 201)
      assert.equal(slept, [5000])
    },
  ))

test('a long rate limit says when to come back', () =>
  withServer(
    (_request, response) => {
      const reset = String(START / 1000 + 1800)
      response.writeHead(403, {'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset}).end()
    },
    async ({url, seen}) => {
      const send = () => client().http.send({url, authorization: SECRET})
      const refusal = await rejectsCode(send, 'rate_limited')
      assert.is(refusal.details?.retry_at, START / 1000 + 1800)
      assert.match(refusal.message, 'in 30 min')
      assert.match(refusal.hint ?? '', 'set a token')
      assert.is(seen.length, 1)
    },
  ))

test('who does not count by account is not helped by a token', () =>
  withServer(
    (_request, response) => {
      response.writeHead(429, {'retry-after': '1800'}).end()
    },
    async ({url}) => {
      const refusal = await rejectsCode(() => client().http.send({url}), 'rate_limited')
      assert.not.match(refusal.hint ?? codeInfo(refusal.code).fix, /token/)
    },
  ))

test('what counts as a rate limit', () => {
  const end = (status: number, headers: Record<string, string>) =>
    rateLimitEnd({status, headers}, START)
  assert.is(end(403, {}), undefined)
  assert.is(end(200, {'x-ratelimit-remaining': '0'}), undefined)
  assert.is(end(429, {}), START + 60_000)
  assert.is(end(429, {'retry-after': '7'}), START + 7000)
  assert.is(end(403, {'x-ratelimit-remaining': '0', 'x-ratelimit-reset': 'x'}), START + 60_000)
  assert.is(retryAfter({'retry-after': 'Tue, 14 Nov 2023 22:14:20 GMT'}, START), START + 60_000)
  assert.is(retryAfter({'retry-after': 'soon'}, START), undefined)
  assert.is(retryDelayMs(20, 0.999), 19_980)
})

test('limits hold before and while a body is read, and after decompression', () =>
  withServer(
    (request, response) => {
      if (request.url === '/announced') response.writeHead(200, {'content-length': 2000})
      if (request.url === '/gzip') response.writeHead(200, {'content-encoding': 'gzip'})
      if (request.url === '/gzip') response.end(gzipSync(Buffer.alloc(2000)))
      else response.end(Buffer.alloc(2000))
    },
    async ({url}) => {
      const {http} = client()
      for (const path of ['announced', 'chunked', 'gzip']) {
        const request = {url: `${url}/${path}`, maxBytes: 1000}
        await rejectsCode(() => http.send(request), 'http_too_large')
        await rejectsCode(
          () => http.download(request),
          path === 'gzip' ? 'http_malformed' : 'http_too_large',
        )
      }
      assert.is((await http.send({url: `${url}/gzip`, maxBytes: 2000})).body.length, 2000)
    },
  ))

test('an encoding that nobody asked for and damaged gzip are refused', () =>
  withServer(
    (request, response) => {
      const encoding = request.url === '/br' ? 'br' : 'gzip'
      response.writeHead(200, {'content-encoding': encoding}).end('not that')
    },
    async ({url}) => {
      await rejectsCode(() => client().http.send({url: `${url}/br`}), 'http_malformed')
      await rejectsCode(() => client().http.send({url: `${url}/gz`}), 'http_malformed')
    },
  ))

test('a server that says nothing, or stops in the middle, is given up', () =>
  withServer(
    (request, response) => {
      if (request.url === '/idle') response.write('begin')
    },
    async ({url}) => {
      const {http} = client({timeouts: {headersMs: 30, idleMs: 30}})
      const silent = await rejectsCode(() => http.send({url: `${url}/silent`}), 'http_timeout')
      assert.match(silent.message, 'head of the answer')
      const idle = await rejectsCode(() => http.send({url: `${url}/idle`}), 'http_timeout')
      assert.match(idle.message, 'no bytes')
    },
  ))

test('a server that drips is given up in the end', () =>
  withServer(
    (_request, response) => {
      const drip = setInterval(() => response.write('x'), 5)
      response.on('close', () => clearInterval(drip))
    },
    async ({url}) => {
      const {http} = client({timeouts: {totalMs: 60}})
      const refusal = await rejectsCode(() => http.send({url}), 'http_timeout')
      assert.match(refusal.message, 'the answer took over 60 ms')
    },
  ))

test('nobody listening, and nobody speaking HTTP', async () => {
  const server = await loopbackServer(() => undefined)
  await server.close()
  await rejectsCode(() => client().http.send({url: server.url}), 'http_unreachable')
  await withServer(
    (request) => request.socket.end('SSH-2.0-OpenSSH_9.2\r\n'),
    async ({url}) => {
      await rejectsCode(() => client().http.send({url}), 'http_malformed')
    },
  )
})

test('a server that changes the protocol without being asked is refused, not waited for', () =>
  withServer(
    (request) =>
      request.socket.write('HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    async ({url}) => {
      await rejectsCode(() => client().http.send({url}), 'http_malformed')
      await rejectsCode(() => client().http.download({url, maxBytes: 10}), 'http_malformed')
    },
  ))

if (needs('openssl'))
  test('a certificate that nobody trusted has issued is refused, and not retried', async () => {
    const folder = temporaryFolder()
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const subject = ['-subj', '/CN=localhost', '-days', '2', '-nodes']
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
    const args = ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert]
    execFileSync('openssl', args, {stdio: 'ignore'})
    let connections = 0
    const options = {key: readFileSync(key), cert: readFileSync(cert)}
    const server = createHttpsServer(options, (_request, response) => response.end('secret'))
    server.on('connection', () => connections++)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const {port} = server.address() as AddressInfo
    const url = `https://localhost:${port}/`
    await rejectsCode(() => client().http.send({url}), 'http_certificate_refused')
    assert.is(connections, 1)
    await new Promise((resolve) => server.close(resolve))
  })

test('a proxy that was handed in is used, and NO_PROXY is obeyed', () =>
  withServer(
    (request, response) => response.end(`asked for ${request.url}`),
    async ({url}) => {
      const cache = new ContentCache(temporaryFolder())
      const {host} = new URL(url)
      const proxyEnv = {HTTP_PROXY: url, NO_PROXY: host}
      const http = makeHttp({cache, userAgent: 'rel-test', proxyEnv})
      const through = await http.send({url: 'http://upstream.invalid/file'})
      assert.is(through.body.toString(), 'asked for http://upstream.invalid/file')
      assert.is((await http.send({url: `${url}/direct`})).body.toString(), 'asked for /direct')
    },
  ))

test('addresses with passwords or of other kinds are not asked', async () => {
  await rejectsCode(() => client().http.send({url: 'http://a:b@127.0.0.1/'}), 'usage_invalid')
  await rejectsCode(() => client().http.send({url: 'file:///etc/passwd'}), 'usage_invalid')
})

test('a download is a read-only file named by its digest', () =>
  withServer(
    (_request, response) => response.end(bytes),
    async ({url, seen}) => {
      const {http, folder} = client()
      const progress: number[] = []
      const got = await http.download({
        url,
        maxBytes: bytes.length,
        onProgress: (done) => progress.push(done),
      })
      assert.is(got.sha256, digest)
      assert.is(got.size, bytes.length)
      assert.is(got.fetched, bytes.length)
      assert.ok(readFileSync(got.path).equals(bytes))
      assert.is(statSync(got.path).mode & 0o777, 0o444)
      assert.is(progress.at(-1), bytes.length)
      assert.equal(partsOf(folder), [])
      const again = await http.download({url, maxBytes: bytes.length, sha256: digest})
      assert.is(again.fetched, 0)
      assert.is(seen.length, 1)
    },
  ))

test('without a digest, a warm download asks whether it is still the same', () =>
  withServer(
    (request, response) => {
      if (request.headers['if-none-match'] === 'W/"one"') response.writeHead(304).end()
      else response.writeHead(200, {etag: 'W/"one"'}).end(bytes)
    },
    async ({url, seen}) => {
      const {http, folder} = client()
      await http.download({url, maxBytes: bytes.length})
      const again = await http.download({url, maxBytes: bytes.length})
      assert.is(again.fetched, 0)
      assert.is(again.sha256, digest)
      assert.is(seen.length, 2)
      assert.equal(partsOf(folder), [])
    },
  ))

test('a damaged file of the cache is fetched again', () =>
  withServer(
    (_request, response) => response.end(bytes),
    async ({url}) => {
      const {http} = client()
      const {path} = await http.download({url, maxBytes: bytes.length})
      writeFileSync(path, 'evil', {mode: 0o644})
      const again = await http.download({url, maxBytes: bytes.length, sha256: digest})
      assert.is(again.fetched, bytes.length)
      assert.ok(readFileSync(again.path).equals(bytes))
    },
  ))

test('a cut download goes on where it stopped, within one run', () =>
  withServer(
    (request, response, count) => {
      const etag = '"strong"'
      if (count === 0) return cut(response, 100_000, {etag})
      const start = Number(/^bytes=(\d+)-$/.exec(String(request.headers.range))?.[1])
      const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`
      return response.writeHead(206, {etag, 'content-range': range}).end(bytes.subarray(start))
    },
    async ({url, seen}) => {
      const got = await client().http.download({url, maxBytes: bytes.length, sha256: digest})
      assert.is(got.sha256, digest)
      assert.is(got.fetched, bytes.length)
      assert.is(seen[1]?.headers.range, 'bytes=100000-')
      assert.is(seen[1]?.headers['if-range'], '"strong"')
    },
  ))

test('a cut download goes on in a later run', () => {
  let isWhole = false
  return withServer(
    (request, response) => {
      const etag = '"strong"'
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
      if (!isWhole && start === 0) return cut(response, 1000, {etag})
      if (!isWhole) return response.destroy()
      const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`
      return response.writeHead(206, {etag, 'content-range': range}).end(bytes.subarray(start))
    },
    async ({url}) => {
      const {http, folder} = client()
      const request = {url, maxBytes: bytes.length}
      await rejectsCode(() => http.download(request), 'http_unreachable')
      assert.is(partsOf(folder).length, 2)
      isWhole = true
      const got = await client({folder}).http.download(request)
      assert.is(got.sha256, digest)
      assert.is(got.fetched, bytes.length - 1000)
      assert.equal(partsOf(folder), [])
    },
  )
})

test('a file that changed in between is fetched from its beginning', () =>
  withServer(
    (_request, response, count) => {
      if (count === 0) cut(response, 1000, {etag: '"old"'})
      else response.writeHead(200, {etag: '"new"'}).end(bytes)
    },
    async ({url}) => {
      const got = await client().http.download({url, maxBytes: bytes.length})
      assert.is(got.sha256, digest)
    },
  ))

test('with a weak ETag nothing is gone on with', () =>
  withServer(
    (_request, response, count) => {
      if (count === 0) cut(response, 1000, {etag: 'W/"weak"'})
      else response.end(bytes)
    },
    async ({url, seen}) => {
      assert.is((await client().http.download({url, maxBytes: bytes.length})).sha256, digest)
      assert.is(seen[1]?.headers.range, undefined)
    },
  ))

test('a wrong part is not glued on', () =>
  withServer(
    (_request, response, count) => {
      const etag = '"strong"'
      if (count === 0) cut(response, 1000, {etag})
      else if (count === 1)
        response.writeHead(206, {etag, 'content-range': 'bytes 0-4/5'}).end('wrong')
      else response.writeHead(200, {etag}).end(bytes)
    },
    async ({url}) => {
      assert.is((await client().http.download({url, maxBytes: bytes.length})).sha256, digest)
    },
  ))

test('always cut: truncated is told, as temporary', () =>
  withServer(
    (_request, response) => cut(response, 1000),
    async ({url, seen}) => {
      const {http, folder} = client()
      await rejectsCode(() => http.download({url, maxBytes: bytes.length}), 'http_truncated')
      assert.is(seen.length, 4)
      assert.equal(partsOf(folder), [])
    },
  ))

test('other bytes than asked for are refused and not kept', () =>
  withServer(
    (_request, response) => response.writeHead(200, {etag: '"x"'}).end('something else'),
    async ({url}) => {
      const {http, folder} = client()
      const download = () => http.download({url, maxBytes: 1000, sha256: digest})
      const refusal = await rejectsCode(download, 'http_digest_mismatch')
      assert.is(refusal.details?.wanted, digest)
      assert.equal(partsOf(folder), [])
    },
  ))

for (const [status, code] of [
  [404, 'http_not_found'],
  [410, 'http_not_found'],
  [401, 'http_unauthorised'],
  [403, 'http_unauthorised'],
  [400, 'http_refused'],
] as const)
  test(`a download answered with ${status} is ${code}, and names no secret`, () =>
    withServer(
      (_request, response) => response.writeHead(status).end(),
      async ({url}) => {
        const request = {url: `${url}/x?sig=secret`, maxBytes: 10, authorization: SECRET}
        const refusal = await rejectsCode(() => client().http.download(request), code)
        const shown = JSON.stringify([refusal.message, refusal.hint, refusal.details])
        assert.not.match(shown, 'ghp_')
        assert.not.match(shown, 'sig=')
        assert.is(shownUrl(`${url}/x?sig=secret`), `${url}/x`)
      },
    ))

test('two downloads of one file at once both succeed', () =>
  withServer(
    (_request, response) => response.writeHead(200, {etag: '"x"'}).end(bytes),
    async ({url}) => {
      const {http, folder} = client()
      const request = {url, maxBytes: bytes.length}
      const both = await Promise.all([http.download(request), http.download(request)])
      assert.equal(
        both.map(({sha256}) => sha256),
        [digest, digest],
      )
      assert.equal(partsOf(folder), [])
    },
  ))

test.run()
