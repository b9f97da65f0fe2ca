import {spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {request as ask, createServer as createProxy} from 'node:http'
import {createServer} from 'node:https'
import {type AddressInfo, connect} from 'node:net'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {hostilePanel} from '../support/device/hostile-panel.ts'
import {
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelNode,
} from '../support/device/panel-node.ts'
import {needs} from '../support/needs.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

/** An authority of one's own, and a certificate by it for a name that no resolver knows. */
function certificates() {
  const folder = temporaryFolder()
  const at = (name: string) => join(folder, name)
  const openssl = (...args: readonly string[]) => {
    const {status, stderr} = spawnSync('openssl', args, {encoding: 'utf8', cwd: folder})
    assert.is(status, 0, stderr)
  }
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  const [ca, leaf] = [
    ['-keyout', at('ca.key'), '-out', at('ca.pem')],
    ['-keyout', at('leaf.key'), '-out', at('leaf.pem')],
  ]
  openssl('req', '-x509', ...fresh, ...ca, '-subj', '/CN=our own')
  const by = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-addext', 'basicConstraints=CA:FALSE']
  const name = ['-subj', '/CN=panel', '-addext', 'subjectAltName=DNS:panel.test']
  openssl('req', '-x509', ...fresh, ...leaf, ...by, ...name)
  const text = (file: string) => readFileSync(at(file))
  return {authority: at('ca.pem'), key: text('leaf.key'), cert: text('leaf.pem')}
}

test('a panel with a certificate of a private authority, behind a proxy', async () => {
  needs('openssl')
  const {authority, key, cert} = certificates()
  const panel = await hostilePanel(
    await bundleRelease('1.1.0', await packedBundle({version: '1.1.0'})),
  )
  const front = createServer({key, cert}, (request, response) => {
    const {method, headers, url: path} = request
    const inner = ask(`${panel.url}${path}`, {method, headers}, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    request.pipe(inner)
  })
  const asked: string[] = []
  const proxy = createProxy().on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    const far = connect((front.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(far).pipe(socket)
    })
    far.on('error', () => socket.destroy())
    socket.on('error', () => far.destroy())
  })
  const listening = [front, proxy].map(
    (server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done())),
  )
  await Promise.all(listening)
  try {
    const [anchor, license] = [await nodeAnchor(), await licenseText()]
    const {root} = await panelNode({url: 'https://panel.test', anchor, license})
    const HTTPS_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    const check = async (env: Record<string, string>) => {
      const {stdout} = await runRel(['device', 'check', root, '--json'], {env})
      return JSON.parse(stdout) as {
        result?: {offer?: {version: string}}
        error?: {code: string; details?: {cause_code?: string}}
      }
    }
    const refused = await check({HTTPS_PROXY})
    assert.equal(
      [refused.error?.code, refused.error?.details?.cause_code],
      ['upgrade_source_unreachable', 'http_certificate_refused'],
    )
    const taken = await check({HTTPS_PROXY, NODE_EXTRA_CA_CERTS: authority})
    assert.is(taken.result?.offer?.version, '1.1.0')
    assert.equal([...new Set(asked)], ['panel.test:443'])
    const around = await check({
      HTTPS_PROXY,
      NO_PROXY: 'panel.test',
      NODE_EXTRA_CA_CERTS: authority,
    })
    assert.is(around.error?.details?.cause_code, 'http_unreachable')
    assert.is(asked.length, 2, 'NO_PROXY goes around it')
  } finally {
    front.close()
    front.closeAllConnections()
    proxy.close()
    proxy.closeAllConnections()
    await panel.close()
  }
})

test.run()
