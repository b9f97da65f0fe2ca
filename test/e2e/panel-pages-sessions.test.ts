import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {DatabaseSync} from 'node:sqlite'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import type {PanelConfig} from '../../src/panel/panel.ts'
import {testNow} from '../support/anchors.ts'
import {needs} from '../support/needs.ts'
import {
  addProduct,
  agentSlot,
  makeRelease,
  panelAnchor,
  publish,
  type StartOptions,
  startPanel,
  type TestPanel,
  type TestRelease,
  wanted,
} from '../support/panel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const HOUR = 3600
const DAY = 24 * HOUR

/** A browser's part of it: cookies, forms, and no redirects followed. */
class Person {
  readonly cookies = new Map<string, string>()
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<Seen> {
    return this.#send(path, {headers})
  }

  async post(
    path: string,
    form: Record<string, string> | string,
    headers: Record<string, string> = {},
  ): Promise<Seen> {
    const body = typeof form === 'string' ? form : new URLSearchParams(form).toString()
    const type = {'content-type': 'application/x-www-form-urlencoded'}
    return this.#send(path, {method: 'POST', body, headers: {...type, ...headers}})
  }

  /** The value that the forms of a page bring back. */
  async csrf(path: string): Promise<string> {
    return csrfOf((await this.get(path)).text)
  }

  async signIn(token: string): Promise<Seen> {
    return this.post('/sign-in', {csrf: await this.csrf('/sign-in'), token})
  }

  async #send(path: string, init: RequestInit & {headers: Record<string, string>}): Promise<Seen> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = {...init.headers, ...(cookie === '' ? {} : {cookie})}
    const response = await fetch(this.#url + path, {...init, headers, redirect: 'manual'})
    const set = response.headers.getSetCookie()
    for (const line of set) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (/Max-Age=0/.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    const {status} = response
    return {status, headers: response.headers, set, text: await response.text()}
  }
}

type Seen = {
  readonly status: number
  readonly headers: Headers
  readonly set: readonly string[]
  readonly text: string
}

function csrfOf(text: string): string {
  return /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? ''
}

function refused({status, text}: Seen, wantedStatus: number, code: string): void {
  assert.is(status, wantedStatus, text)
  assert.match(text, `Code <code>${code}</code>`)
}

type World = {
  panel: TestPanel
  release: TestRelease
  license: string
  time: {now: number}
  stop: (() => Promise<void>)[]
}

const test = suite<World>('sessions of the pages')

test.before.each(async (world) => {
  world.time = {now: testNow}
  world.stop = []
  world.panel = await started(world, {})
  world.release = await makeRelease({version: '1.4.2'})
  await publish(world.panel, world.release)
  const body = {product: 'agent', customer: 'Acme', track: 'stable', expires: testNow + 30 * DAY}
  const issued = await wanted(201, world.panel.ask('POST', '/v1/licenses', {body}))
  world.license = String(issued.json.id)
})

test.after.each(async ({stop}) => {
  for (const each of stop.toReversed()) await each()
})

async function started(world: World, options: StartOptions): Promise<TestPanel> {
  const panel = await startPanel({clock: () => world.time.now, ...options})
  world.stop.push(() => panel.stop())
  return panel
}

async function person({panel}: World, token = panel.adminToken): Promise<Person> {
  const one = new Person(panel.url)
  const seen = await one.signIn(token)
  assert.equal([seen.status, seen.headers.get('location')], [303, '/'], seen.text)
  return one
}

test('without a session every page leads to signing in, and back', async ({panel}) => {
  const stranger = new Person(panel.url)
  for (const path of [
    '/',
    '/products/agent?channel=beta',
    '/audit',
    '/licenses/x',
    '/products/<b>',
  ]) {
    const {status, headers} = await stranger.get(path)
    assert.is(status, 303, path)
    assert.match(headers.get('location') ?? '', /^\/sign-in(\?next=%2F.*)?$/)
  }
  const {headers} = await stranger.get('/products/agent?channel=beta')
  const page = await stranger.get(headers.get('location') ?? '')
  assert.match(page.text, 'name="next" value="/products/agent?channel=beta"')
  const form = {csrf: csrfOf(page.text), token: panel.adminToken}
  const back = await stranger.post('/sign-in', {...form, next: '/products/agent?channel=beta'})
  assert.is(back.headers.get('location'), '/products/agent?channel=beta')
  const away = await stranger.post('/sign-in', {...form, next: '//evil.example/'})
  assert.is(away.headers.get('location'), '/')
})

test('the cookie holds no token, scripts and other sites do not get it', async (world) => {
  const {panel} = world
  const one = new Person(panel.url)
  const [line = ''] = (await one.signIn(panel.adminToken)).set
  assert.match(line, /^rel-panel-session=[^;]+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/)
  const payload = Buffer.from(line.slice(line.indexOf('=') + 1), 'base64url').toString('latin1')
  assert.not.match(line + payload, panel.adminToken.slice(5))

  const behindTls: Partial<PanelConfig> = {publicUrl: 'https://updates.example.com'}
  const other = await started(world, {config: behindTls})
  const two = new Person(other.url)
  const [secure = ''] = (await two.signIn(other.adminToken)).set
  assert.match(secure, /^__Host-rel-panel-session=.*; Path=\/; .*; Secure$/)
  assert.is((await two.get('/')).status, 200)
})

test('a cookie that was changed, of another panel, or too old is none', async (world) => {
  const {panel, time} = world
  const one = await person(world)
  const name = 'rel-panel-session'
  const good = one.cookies.get(name) ?? ''
  const [payload = '', mac = ''] = good.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {expires: number}
  const longer = Buffer.from(JSON.stringify({...claims, expires: 2 ** 40})).toString('base64url')
  const other = await started(world, {})
  const elsewhere = await person({...world, panel: other})
  const bad: Record<string, string> = {
    'longer life': `${longer}.${mac}`,
    'no mac': payload,
    'empty mac': `${payload}.`,
    'a third part': `${good}.x`,
    'another panel': elsewhere.cookies.get(name) ?? '',
    nothing: '',
    long: 'a'.repeat(5000),
  }
  for (const [why, cookie] of Object.entries(bad)) {
    one.cookies.set(name, cookie)
    assert.is((await one.get('/')).status, 303, why)
  }
  one.cookies.set(name, good)
  assert.is((await one.get('/')).status, 200)
  time.now += 12 * HOUR
  assert.is((await one.get('/')).status, 303)
  assert.is(panel.logged.filter(({level}) => level === 'error').length, 0)
})

test('a token that is revoked or expires takes its sessions with it', async (world) => {
  const {panel, time} = world
  const token = await panel.token(['audit'])
  const one = await person(world, token)
  const tokens = await wanted(200, panel.ask('GET', '/v1/tokens'))
  const [{id = ''} = {}] = (tokens.json.tokens as {id: string; name: string}[]).filter(
    ({name}) => name === 'audit',
  )
  await wanted(204, panel.ask('DELETE', `/v1/tokens/${id}`))
  assert.is((await one.get('/')).status, 303)
  assert.is((await one.signIn(token)).status, 422)

  time.now += DAY - HOUR
  const short = await panel.token(['audit'])
  time.now += DAY - HOUR
  const two = await person(world, short)
  time.now += HOUR
  assert.is((await two.get('/')).status, 303, 'the session ends with its token')
})

test('signing out ends the sessions of the token for good, and nobody else’s', async (world) => {
  const {panel} = world
  const one = await person(world)
  const elsewhere = await person(world)
  const somebody = await person(world, await panel.token(['audit']))
  const kept = new Map(one.cookies)
  refused(await one.post('/sign-out', {csrf: 'x'}), 403, 'form_stale')
  const out = await one.post('/sign-out', {csrf: await one.csrf('/')})
  assert.equal([out.status, out.headers.get('location')], [303, '/sign-in'])
  for (const [name, value] of kept) one.cookies.set(name, value)
  assert.is((await one.get('/')).status, 303, 'a cookie that somebody kept is of no use')
  assert.is((await elsewhere.get('/')).status, 303)
  assert.is((await somebody.get('/')).status, 200)
  await person(world)
})

/** The same browser at another address. */
function moved(one: Person, {url}: TestPanel): Person {
  const same = new Person(url)
  for (const [name, value] of one.cookies) same.cookies.set(name, value)
  return same
}

test('a session is good on every instance and outlives a restart', async (world) => {
  const one = await person(world)
  const {data} = world.panel
  const second = await started(world, {data, products: {}, open: {lock: false}})
  const there = moved(one, second)
  assert.is((await there.get('/')).status, 200)
  const again = await person(world)
  assert.is((await there.post('/sign-out', {csrf: await there.csrf('/')})).status, 303)
  assert.is((await again.get('/')).status, 303, 'signed out on the other instance')

  const later = await person(world)
  await Promise.all(world.stop.splice(0).map((stop) => stop()))
  const restarted = await started(world, {data, products: {}})
  assert.is((await moved(later, restarted).get('/')).status, 200)
})

test('signing in: a wrong token, a form from elsewhere, and too many attempts', async (world) => {
  const {panel} = world
  const stranger = new Person(panel.url)
  const csrf = await stranger.csrf('/sign-in')
  for (const token of [
    '',
    'relp_',
    panel.adminToken.slice(0, -1),
    `${panel.adminToken.slice(0, -1)}!`,
  ]) {
    const {status, text, set} = await stranger.post('/sign-in', {csrf, token})
    assert.is(status, 422)
    assert.match(text, /unknown, expired or revoked/)
    assert.not.match(text, panel.adminToken.slice(0, 20))
    assert.equal(set, [])
  }
  const token = panel.adminToken
  refused(await stranger.post('/sign-in', {csrf: 'x', token}), 403, 'form_stale')
  refused(await new Person(panel.url).post('/sign-in', {csrf, token}), 403, 'form_stale')
  const crossSite = {'sec-fetch-site': 'cross-site'}
  refused(await stranger.post('/sign-in', {csrf, token}, crossSite), 403, 'form_stale')
  for (let attempt = 0; attempt < 100; attempt++) {
    const seen = await stranger.post('/sign-in', {csrf, token: 'relp_no'})
    if (seen.status === 422) continue
    refused(seen, 429, 'rate_limited')
    assert.ok(Number(seen.headers.get('retry-after')) >= 1)
    return
  }
  assert.unreachable('nobody was slowed down')
})

test('no form acts without the value of its own session', async (world) => {
  const {panel, license} = world
  const one = await person(world)
  const other = await person(world, await panel.token(['admin']))
  const foreign = await other.csrf('/')
  const own = await one.csrf('/')
  const forms: Record<string, Record<string, string>> = {
    '/products/agent/releases/1.4.2/recall': {reason: 'x', advisory: '', replacement: ''},
    [`/licenses/${license}/freeze`]: {reason: 'x'},
    [`/licenses/${license}/revoke`]: {reason: 'x'},
    [`/licenses/${license}/renew`]: {until: '2027-01-01'},
    '/sign-out': {},
  }
  for (const [path, form] of Object.entries(forms)) {
    for (const csrf of [foreign, '', own.slice(1)])
      refused(await one.post(path, {...form, csrf}), 403, 'form_stale')
    for (const site of ['cross-site', 'same-site'])
      refused(
        await one.post(path, {...form, csrf: own}, {'sec-fetch-site': site}),
        403,
        'form_stale',
      )
    refused(await one.post(path, form), 400, 'request_invalid')
    const twice = `csrf=${own}&csrf=${own}`
    refused(await one.post(path, twice), 400, 'request_invalid')
    const json = {'content-type': 'application/json'}
    refused(
      await one.post(path, JSON.stringify({...form, csrf: own}), json),
      415,
      'media_type_unknown',
    )
    const get = await one.get(`${path}?csrf=${own}&reason=x&until=2027-01-01`)
    assert.ok(get.status === 200 || get.status === 404, `${path} by GET is ${get.status}`)
  }
  refused(await one.post('/sign-out', `csrf=${'a'.repeat(50_000)}`), 413, 'request_too_large')
  assert.is((await panel.panel.store.release('agent', '1.4.2'))?.state, 'published')
  const stored = await panel.panel.store.license(license)
  assert.equal([stored?.state, stored?.serial], ['active', 1])
  assert.is((await one.get('/')).status, 200)
})

test('each verb sees its pages and no button that it may not press', async (world) => {
  const {panel, license} = world
  await addProduct(panel, 'other', [agentSlot])
  const release = '/products/agent/releases/1.4.2'
  const pages = {
    '/': ['publish', 'release', 'license', 'audit', 'admin'],
    '/products/agent': ['publish', 'release', 'audit', 'admin'],
    '/products/agent/sizes': ['publish', 'release', 'audit', 'admin'],
    '/products/agent/reports': ['release', 'license', 'audit', 'admin'],
    [release]: ['publish', 'release', 'audit', 'admin'],
    [`${release}/manifest.json`]: ['publish', 'release', 'audit', 'admin'],
    [`${release}/recall`]: ['release', 'admin'],
    '/products/agent/licenses': ['license', 'audit', 'admin'],
    [`/licenses/${license}`]: ['license', 'audit', 'admin'],
    [`/licenses/${license}/file`]: ['license', 'admin'],
    [`/licenses/${license}/freeze`]: ['license', 'admin'],
    [`/licenses/${license}/revoke`]: ['license', 'admin'],
    [`/licenses/${license}/renew`]: ['license', 'admin'],
    '/audit': ['audit', 'admin'],
  }
  for (const verb of ['publish', 'release', 'license', 'audit', 'admin'] as const) {
    const one = await person(world, await panel.token([verb]))
    const csrf = await one.csrf('/')
    for (const [path, verbs] of Object.entries(pages)) {
      const seen = await one.get(path)
      if (verbs.includes(verb)) assert.is(seen.status, 200, `${verb} ${path}`)
      else refused(seen, 403, 'token_not_allowed')
      for (const [, href = ''] of seen.text.matchAll(/(?:href|action)="(\/[^"#]*)"/g)) {
        if (href.startsWith('/assets/') || href === '/sign-out') continue
        assert.is((await one.get(href)).status, 200, `${verb} is led from ${path} to ${href}`)
      }
    }
    const posts: Record<string, Record<string, string>> = {
      [`${release}/recall`]: {reason: 'x', advisory: '', replacement: ''},
      [`/licenses/${license}/revoke`]: {reason: 'x'},
    }
    for (const [path, form] of Object.entries(posts))
      if (pages[path]?.includes(verb) === false)
        refused(await one.post(path, {...form, csrf}), 403, 'token_not_allowed')
  }
  const limited = await person(world, await panel.token(['admin'], ['other']))
  assert.not.match((await limited.get('/')).text, /products\/agent/)
  for (const path of ['/products/agent', '/products/agent/licenses', release, '/audit'])
    refused(await limited.get(path), 403, 'token_not_allowed')
  refused(await limited.get(`/licenses/${license}`), 404, 'license_not_here')
  assert.not.match((await limited.get('/')).text, /href="\/audit"/)
  assert.is((await panel.panel.store.release('agent', '1.4.2'))?.state, 'published')
})

test('refusals are pages, with their code and the headers of every page', async (world) => {
  const one = await person(world)
  const cases: readonly [string, number, string][] = [
    ['/products/absent', 404, 'product_unknown'],
    ['/products/agent/releases/9.9.9', 404, 'release_unknown'],
    ['/products/agent/releases/%3Cscript%3E', 400, 'request_invalid'],
    ['/products/agent?channel=everything', 400, 'request_invalid'],
    ['/products/agent?below=x', 400, 'version_invalid'],
    ['/licenses/01ARZ3NDEKTSV4RRFFQ69G5FAV', 404, 'license_not_here'],
    ['/audit?before=-1', 400, 'request_invalid'],
  ]
  for (const [path, status, code] of cases) refused(await one.get(path), status, code)
  const stranger = new Person(world.panel.url)
  for (const seen of [
    await one.get('/'),
    await one.get('/products/absent'),
    await stranger.get('/'),
    await stranger.get('/sign-in'),
  ]) {
    const {headers} = seen
    assert.match(
      headers.get('content-security-policy') ?? '',
      /^default-src 'none'; style-src 'self'; script-src 'self';/,
    )
    assert.not.match(headers.get('content-security-policy') ?? '', /unsafe|http|data:|\*/)
    assert.is(headers.get('cache-control'), 'no-store')
    assert.is(headers.get('x-content-type-options'), 'nosniff')
    assert.is(headers.get('x-frame-options'), 'DENY')
  }
  const html = {accept: 'text/html,application/xhtml+xml,*/*;q=0.8'}
  for (const path of ['/products/agent/', '/nowhere', '/v2/%3Cscript%3E']) {
    const lost = await stranger.get(path, html)
    refused(lost, 404, 'route_unknown')
    assert.match(lost.headers.get('content-security-policy') ?? '', /^default-src 'none'/)
    const program = await stranger.get(path)
    assert.is(program.headers.get('content-type'), 'application/problem+json')
  }
  const {text} = await stranger.get('/sign-in')
  for (const [, path = ''] of text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)) {
    const asset = await stranger.get(path)
    assert.equal(
      [asset.status, asset.headers.get('cache-control')],
      [200, 'public, max-age=31536000, immutable'],
    )
  }
})

test('the audit log names who signed in, recalled and signed out', async (world) => {
  const {panel} = world
  const one = await person(world)
  assert.match((await one.get('/audit')).text, /chain verified/)
  const csrf = await one.csrf('/')
  const form = {csrf, reason: 'it eats disks', advisory: '', replacement: ''}
  await one.post('/products/agent/releases/1.4.2/recall', form)
  refused(await one.get('/products/agent/releases/1.4.2/recall'), 409, 'release_not_published')
  await one.post('/sign-out', {csrf})
  const rows = await panel.panel.store.audit(0, 500)
  const actor = rows.find(({event}) => event === 'release.published')?.actor
  assert.equal(
    rows.slice(-3).map((row) => [row.event, row.actor]),
    [
      ['session.begun', actor],
      ['release.recalled', actor],
      ['session.ended', actor],
    ],
  )
  assert.not.match(JSON.stringify([rows, panel.logged]), panel.adminToken)
})

test('an audit log that somebody changed is not shown as verified', async (world) => {
  const one = await person(world)
  const database = new DatabaseSync(join(world.panel.data, 'panel.db'), {timeout: 10_000})
  database.exec("DROP TRIGGER audit_update; UPDATE audit SET subject = '1.4.3' WHERE position = 5")
  database.close()
  const {text} = await one.get('/audit')
  assert.match(text, /Row 5 does not fit the chain/)
  assert.not.match(text, /chain verified/)
})

test('long lists have pages', async (world) => {
  const {panel} = world
  for (let at = 0; at < 55; at++) {
    const {file, text} = await makeRelease({version: `2.0.${at}`})
    const {product, version, channel, artifacts} = file.release
    const draft = {product, version, channel, artifacts, digest: file.digest, envelope: text}
    await panel.panel.store.addDraft(draft, {id: 'test'})
  }
  const one = await person(world)
  const all = new Set<string>()
  let next: string | undefined = '/products/agent'
  for (let page = 0; next !== undefined && page < 5; page++) {
    const {text}: Seen = await one.get(next)
    const list = text.slice(text.indexOf('id="releases"'))
    for (const [, version = ''] of list.matchAll(/releases\/([^"/]+)"/g)) all.add(version)
    const older: string | undefined = /href="\?(below=[^"#]+)/.exec(text)?.[1]
    next = older === undefined ? undefined : `/products/agent?${older}`
  }
  assert.is(all.size, 56)

  const rows = new Set<string>()
  next = '/audit'
  for (let page = 0; next !== undefined && page < 5; page++) {
    const {text}: Seen = await one.get(next)
    for (const [, index = ''] of text.matchAll(/data-label="Row"><span>(\d+)</g)) rows.add(index)
    const older: string | undefined = /href="\?(before=\d+)"/.exec(text)?.[1]
    next = older === undefined ? undefined : `/audit?${older}`
  }
  assert.is(rows.size, (await panel.panel.store.audit(0, 500)).length)
})

test('bytes that are gone from the store are told on the page of their release', async (world) => {
  const {panel} = world
  const [artifact] = world.release.file.release.artifacts
  await panel.panel.blobs.remove(artifact?.sha256 ?? '')
  const {text} = await (await person(world)).get('/products/agent/releases/1.4.2')
  assert.match(text, /Bytes of this release are gone from the store:/)
  assert.match(text, /agent_1\.4\.2_linux_amd64\.tar\.gz: not uploaded/)
})

if (needs('openssl', 'sha256sum'))
  test('the commands of a release’s page check it, and refuse other bytes', async (world) => {
    const one = await person(world)
    const {text} = await one.get('/products/agent/releases/1.4.2')
    const commands = [...text.matchAll(/<pre>([^<]+)<\/pre>/g)].map(([, html = '']) => plain(html))
    const [check = '', key = ''] = commands
    const folder = temporaryFolder('rel stock ')
    const run = (script: string) =>
      spawnSync('sh', ['-e', '-c', script], {cwd: folder, encoding: 'utf8'})
    const [[name, bytes] = ['', Buffer.alloc(0)]] = world.release.bytes
    writeFileSync(join(folder, name), bytes)
    assert.is(run(key).status, 0)
    const good = run(check)
    assert.is(good.status, 0, good.stderr)
    assert.match(good.stdout, `${name}: OK`)
    assert.match(good.stdout, 'Signature Verified Successfully')

    const other = Buffer.from(bytes)
    other.writeUInt8((other[0] ?? 0) ^ 1, 0)
    writeFileSync(join(folder, name), other)
    assert.is.not(run(check).status, 0)
    const [, ...signatureOnly] = check.split('\n')
    assert.is.not(run(signatureOnly.join('\n')).status, 0)

    const manifest = await one.get('/products/agent/releases/1.4.2/manifest.json')
    assert.is(manifest.text, world.release.text)
  })

if (needs('curl'))
  test('the commands of an empty panel make its first product', async (world) => {
    const panel = await started(world, {products: {}})
    const {text} = await (await person({...world, panel})).get('/')
    const [, commands = ''] = /<pre>([^<]+)<\/pre>/.exec(text) ?? []
    const folder = temporaryFolder('rel first ')
    writeFileSync(join(folder, 'admin-token'), `${panel.adminToken}\n`)
    writeFileSync(join(folder, 'trust.json'), await panelAnchor())
    const {status, stderr} = await runScript(plain(commands), folder)
    assert.is(status, 0, stderr)
    const product = await panel.panel.store.product('agent')
    assert.equal(product?.matrix.required, [agentSlot])
    assert.is(product?.anchor, (await panelAnchor()).toString())
  })

function plain(text: string): string {
  const characters: Record<string, string> = {amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'"}
  return text.replace(/&(#?\w+);/g, (whole, name: string) => characters[name] ?? whole)
}

/** Beside the panel, which answers in this process. */
async function runScript(text: string, cwd: string): Promise<{status: number; stderr: string}> {
  const child = spawn('sh', ['-e', '-c', text], {cwd, stdio: ['ignore', 'ignore', 'pipe']})
  let stderr = ''
  child.stderr.on('data', (piece) => {
    stderr += String(piece)
  })
  const [status] = (await once(child, 'close')) as [number]
  return {status, stderr}
}

test.run()
