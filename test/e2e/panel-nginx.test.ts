import {once} from 'node:events'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import {testNow} from '../support/anchors.ts'
import {needs} from '../support/needs.ts'
import {startNginx} from '../support/nginx.ts'
import {makeRelease, publish, startPanel, type TestPanel, wanted} from '../support/panel.ts'

process.env.PATH = `${process.env.PATH}:/usr/sbin`
const SIZE = 300_000

async function license({ask}: TestPanel, track: string): Promise<string> {
  const body = {product: 'agent', customer: 'Acme', track, expires: testNow + 86_400}
  const {json} = await wanted(201, ask('POST', '/v1/licenses', {body}))
  return `Bearer ${licenseHeader(parseLicense(String(json.file)))}`
}

if (needs('nginx')) {
  test('X-Accel-Redirect: the panel decides, nginx sends the bytes and ranges', async () => {
    const panel = await startPanel({config: {downloads: {by: 'accel', prefix: '/blobs'}}})
    const nginx = await startNginx(
      'charset off;',
      `location /blobs/ { internal; alias "${panel.data}/blobs/"; add_header X-Bundle-Hash $upstream_http_x_bundle_hash; }
       location / { proxy_pass ${panel.url}; proxy_set_header Host $host; }`,
    )
    try {
      const release = await makeRelease({version: '1.4.2', size: SIZE})
      await publish(panel, release)
      const [[name, bytes] = ['', Buffer.alloc(0)]] = release.bytes
      const authorization = await license(panel, 'stable')
      const path = `${nginx.url}/download/agent/1.4.2/${name}`
      const whole = await fetch(path, {headers: {authorization}})
      assert.is(whole.status, 200)
      assert.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes))
      assert.is(whole.headers.get('x-bundle-hash'), release.file.release.artifacts[0]?.sha256)
      assert.is(whole.headers.get('cache-control'), 'private, max-age=31536000, immutable')
      const part = await fetch(path, {headers: {authorization, range: 'bytes=100-199'}})
      assert.is(part.status, 206)
      assert.ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(100, 200)))
      const head = await fetch(path, {method: 'HEAD', headers: {authorization}})
      assert.equal([head.status, head.headers.get('content-length')], [200, String(SIZE)])

      const hidden = await fetch(path, {
        headers: {authorization: await license(panel, 'prerelease')},
      })
      assert.is(hidden.status, 404)
      assert.is((await fetch(path)).status, 401)
      const around = await fetch(`${nginx.url}/blobs/sha256/`, {headers: {authorization}})
      assert.is(around.status, 404)
    } finally {
      await nginx.stop()
      await panel.stop()
    }
  })

  test('a shared cache keeps nothing that is behind a licence', async () => {
    const panel = await startPanel()
    const careless = createServer((_request, response) => response.end('no word on caching'))
    careless.listen(0, '127.0.0.1')
    await once(careless, 'listening')
    const {port} = careless.address() as AddressInfo
    const nginx = await startNginx(
      'proxy_cache_path "FOLDER/cache" keys_zone=all:1m;',
      `location / {
         proxy_pass ${panel.url};
         proxy_cache all;
         proxy_cache_key $uri;
         proxy_cache_valid any 10m;
         add_header X-Cache $upstream_cache_status always;
       }
       location /careless {
         proxy_pass http://127.0.0.1:${port};
         proxy_cache all;
         proxy_cache_valid any 10m;
         add_header X-Cache $upstream_cache_status;
       }`,
    )
    try {
      const release = await makeRelease({version: '1.4.2', size: SIZE})
      await publish(panel, release)
      const [[name] = ['']] = release.bytes
      // the cache works: what says nothing is kept
      const kept = async () => (await fetch(`${nginx.url}/careless`)).headers.get('x-cache')
      assert.equal([await kept(), await kept()], ['MISS', 'HIT'])
      const stable = await license(panel, 'stable')
      const prerelease = await license(panel, 'prerelease')
      for (const path of [
        '/update/manifest.json',
        `/download/agent/1.4.2/${name}`,
        '/check',
        '/bundles/1.4.2.tar.gz',
        '/bundles/1.4.2.sha256',
        '/v1/products/agent/releases',
        '/v1/products/agent/checkpoint',
        '/v1/products/agent/log',
        '/v1/products/agent/log/consistency?first=1&second=1',
        '/update/license',
      ]) {
        const ask = async (headers: Record<string, string>) => {
          const answer = await fetch(nginx.url + path, {headers})
          await answer.arrayBuffer()
          return answer
        }
        for (const _ of [1, 2, 3]) {
          const answer = await ask({authorization: stable})
          assert.is(answer.status, 200, path)
          assert.is.not(answer.headers.get('x-cache'), 'HIT', path)
        }
        assert.is((await ask({})).status, 401, path)
        const other = await ask({authorization: prerelease})
        assert.is.not(other.headers.get('x-cache'), 'HIT', path)
        // refusals are not kept either: the licence that was refused may be renewed
        assert.is((await ask({authorization: stable})).status, 200, path)
      }
    } finally {
      await nginx.stop()
      careless.close()
      await panel.stop()
    }
  })
}

test.run()
