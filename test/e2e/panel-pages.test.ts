import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {Browser, BrowserContextOptions, Locator, Page} from 'playwright-core'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import {testNow} from '../support/anchors.ts'
import {pageFlaws, startBrowser, type Watched, watchedPage} from '../support/browser.ts'
import {needs} from '../support/needs.ts'
import {
  addProduct,
  makeRelease,
  publish,
  startPanel,
  type TestPanel,
  wanted,
} from '../support/panel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const DAY = 86_400
const slots = [
  {component: 'agent', os: 'linux', arch: 'amd64'},
  {component: 'agent', os: 'linux', arch: 'arm64'},
]
const hostile = `"><script>alert('x')</script><img src=x onerror=alert(1)>'&`

type World = {panel: TestPanel; browser: Browser; acme: string; mallory: string}

const test = suite<World>('panel pages')

test.before(async (world) => {
  const panel = await startPanel({products: {agent: slots}})
  await addProduct(panel, 'unfinished', [])
  for (const [version, size] of [
    ['1.4.0', 3000],
    ['1.4.1', 3500],
    ['1.4.2', 3400],
    ['1.5.0-beta.1', 4000],
  ] as const)
    await publish(panel, await makeRelease({version, slots, size}))
  // the API refuses what reorders text; a store of before may hold it
  const recall = {reason: `${hostile}\u202e`, advisory: hostile, replacement: '1.4.1'}
  await panel.panel.store.recall('agent', '1.4.0', recall, {id: 'test'})
  const draft = await makeRelease({version: '1.6.0', slots})
  await wanted(201, panel.ask('POST', '/v1/products/agent/releases', {body: draft.text}))
  world.acme = await license(panel, 'Acme GmbH', 'stable')
  world.mallory = await license(panel, hostile, 'prerelease')
  const {acme, mallory} = world
  const {store} = panel.panel
  const full = {code: 'upgrade_disk_full', version: '1.4.2', phase: 'stage'}
  const time = testNow - DAY
  for (const licenseId of [acme, acme, mallory]) await store.addReport({...full, licenseId, time})
  const unknown = {code: 'a_code_of_a_later_rel', version: '1.5.0-beta.1', phase: 'apply'}
  await store.addReport({...unknown, licenseId: mallory, time})
  const old = {code: 'a_code_of_long_ago', version: '1.4.0', phase: 'boot'}
  await store.addReport({...old, licenseId: acme, time: testNow - 20 * DAY})
  world.panel = panel
  world.browser = await startBrowser()
})

test.after(async ({panel, browser}) => {
  await browser?.close()
  await panel?.stop()
})

async function license({ask}: TestPanel, customer: string, track: string): Promise<string> {
  const body = {product: 'agent', customer, track, expires: testNow + 30 * DAY}
  return String((await wanted(201, ask('POST', '/v1/licenses', {body}))).json.id)
}

/** Clicks what leads to another page, and waits until it is there. */
async function follow(page: Page, way: Locator): Promise<void> {
  const there = page.waitForEvent('load')
  await way.click()
  await there
}

/** A page that is signed in, as somebody does it. */
async function signedIn(
  {panel, browser}: World,
  options: BrowserContextOptions = {},
  token = panel.adminToken,
): Promise<Watched> {
  const watched = await watchedPage(browser, {baseURL: panel.url, ...options})
  const {page} = watched
  await page.goto('/')
  assert.is(new URL(page.url()).pathname, '/sign-in')
  await page.getByLabel('Token', {exact: true}).fill(token)
  await follow(page, page.getByRole('button', {name: 'Sign in'}))
  await page.getByRole('heading', {level: 1, name: 'Products'}).waitFor()
  return watched
}

// biome-ignore lint/performance/useDomNodeTextContent: what is seen counts
const seen = (page: Page, where = 'main'): Promise<string> => page.locator(where).innerText()

async function done({page, troubles, requests}: Watched, {panel}: World): Promise<void> {
  await page.context().close()
  assert.equal(troubles, [])
  assert.equal(
    requests.filter((address) => !address.startsWith(`${panel.url}/`)),
    [],
  )
}

test('everything can be read with JavaScript off', async (world) => {
  const watched = await signedIn(world, {javaScriptEnabled: false})
  const {page} = watched
  assert.match(await seen(page), /agent\s+1\.4\.2\s+2026-01-01 00:00\s+2\s+trust anchor set/)
  await follow(page, page.getByRole('link', {name: 'agent', exact: true}))
  const product = await seen(page)
  assert.match(product, /beta\s+1\.5\.0-beta\.1/)
  assert.match(
    product,
    /1\.6\.0\s+stable\s+draft\s+agent_1\.6\.0_linux_amd64\.tar\.gz: not uploaded/,
  )
  assert.match(product, /1\.4\.2\s+stable\s+published\s+complete\s+3/)

  await follow(page, page.getByRole('link', {name: '1.4.2'}).first())
  const stored = await wanted(200, world.panel.ask('GET', '/v1/products/agent/releases/1.4.2'))
  const [artifact] = stored.json.artifacts as Record<string, string>[]
  await page.locator('summary').first().click()
  const release = await seen(page)
  assert.match(release, /3\.3 KiB/)
  for (const name of ['name', 'sha256', 'signature', 'key_id'])
    assert.ok(release.includes(artifact?.[name] ?? '?'), `${name} is shown`)
  assert.is(await page.locator('data').first().getAttribute('title'), '3\u202f400 bytes')

  await page.goto('/products/agent/releases/1.6.0')
  assert.match(
    await seen(page),
    /Not complete\. Missing:\s+agent_1\.6\.0_linux_amd64\.tar\.gz: not uploaded\s+agent_1\.6\.0_linux_arm64/,
  )
  await page.goto('/products/agent/releases/1.4.0')
  assert.match(await seen(page), /Recalled:[\s\S]*Install 1\.4\.1 instead/)

  await page.goto('/products/agent/sizes')
  assert.is(await page.locator('svg.wide circle').count(), 2)
  assert.is(await page.locator('svg.wide rect.recalled').count(), 1)
  assert.match(await seen(page), /1\.4\.2\s+2026-01-01 00:00\s+published\s+6\.6 KiB\s+−2\.9 %/)

  await page.goto('/products/agent/reports')
  const reports = await seen(page)
  assert.match(reports, /4 reports\./)
  assert.match(reports, /upgrade_disk_full[\s\S]*1\.4\.2\s+stage\s+3\s+2\s+2025-12-3/)
  assert.not.match(reports, /a_code_of_long_ago/)
  await follow(page, page.getByRole('link', {name: '30 days'}))
  assert.match(await seen(page), /a_code_of_long_ago/)

  await page.goto(`/licenses/${world.acme}`)
  const explained = await seen(page)
  assert.match(explained, /It is offered 1\.4\.2, the highest release on its channels/)
  assert.match(explained, /1\.5\.0-beta\.1\s+beta\s+published\s+hidden: not on its channels/)
  assert.match(explained, /1\.4\.0\s+stable\s+recalled\s+recalled: downloads are refused/)

  await page.goto('/audit')
  assert.match(await seen(page), /chain verified: \d+ rows[\s\S]*session\.begun/)
  assert.ok((await page.locator('tbody tr').count()) > 15)
  await done(watched, world)
})

test('recall, freeze, renew and revoke with JavaScript off, each after a confirmation', async (world) => {
  const {panel} = world
  const id = await license(panel, 'Fleet of forms', 'stable')
  await publish(panel, await makeRelease({version: '1.3.9', slots}))
  const watched = await signedIn(world, {javaScriptEnabled: false})
  const {page} = watched
  await page.goto('/products/agent/releases/1.3.9')
  await follow(page, page.getByRole('link', {name: 'Recall 1.3.9…'}))
  assert.match(await seen(page), /There is no undo/)
  assert.is((await panel.panel.store.release('agent', '1.3.9'))?.state, 'published')
  await page.getByLabel('Reason').fill('it eats disks')
  await page.getByLabel('Replacement').fill('newest')
  await follow(page, page.getByRole('button', {name: 'Recall 1.3.9'}))
  assert.match(await seen(page), /This is no version/)
  assert.is(await page.getByLabel('Reason').inputValue(), 'it eats disks')
  assert.is((await panel.panel.store.release('agent', '1.3.9'))?.state, 'published')
  await page.getByLabel('Replacement').fill('1.4.2')
  await follow(page, page.getByRole('button', {name: 'Recall 1.3.9'}))
  assert.match(await seen(page), /agent 1\.3\.9\s*recalled[\s\S]*it eats disks/)
  assert.equal((await panel.panel.store.release('agent', '1.3.9'))?.recall, {
    reason: 'it eats disks',
    replacement: '1.4.2',
  })
  assert.is(await page.getByRole('link', {name: /Recall/}).count(), 0)

  await page.goto(`/licenses/${id}`)
  await follow(page, page.getByRole('link', {name: 'Freeze…'}))
  await page.getByLabel('Reason').fill('not paid')
  await follow(page, page.getByRole('button', {name: 'Freeze licence'}))
  assert.match(await seen(page), /frozen[\s\S]*not paid[\s\S]*Nothing new: it was frozen/)
  await follow(page, page.getByRole('link', {name: 'Renew…'}))
  await page.getByLabel('Good through').fill('2026-12-31')
  await follow(page, page.getByRole('button', {name: 'Renew licence'}))
  assert.match(await seen(page), /active[\s\S]*2027-01-01 00:00[\s\S]*Serial\s+2/)
  await follow(page, page.getByRole('link', {name: 'Revoke…'}))
  await page.getByLabel('Reason').fill('sold on')
  await follow(page, page.getByRole('button', {name: 'Revoke licence'}))
  assert.match(await seen(page), /revoked[\s\S]*Nothing: the licence is revoked/)
  assert.is((await panel.panel.store.license(id))?.state, 'revoked')

  await follow(page, page.getByRole('button', {name: 'Sign out'}))
  await page.goto(`/licenses/${id}`)
  assert.is(new URL(page.url()).pathname, '/sign-in')
  await done(watched, world)
})

/** Runs in the page. */
const focused = `(() => {
  const element = document.activeElement
  const {outlineStyle, outlineWidth} = getComputedStyle(element)
  const name = (element.labels?.[0]?.textContent ?? element.textContent).trim()
  const isSeen = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2
  return {name, isSeen, tag: element.tagName}
})()`

test('a keyboard is enough, and where it is can be seen', async (world) => {
  const {panel, browser} = world
  await publish(panel, await makeRelease({version: '1.3.8', slots}))
  const watched = await watchedPage(browser, {baseURL: panel.url})
  const {page} = watched
  const pressTo = async (name: string): Promise<void> => {
    for (let press = 0; press < 80; press++) {
      await page.keyboard.press('Tab')
      const at = (await page.evaluate(focused)) as {name: string; isSeen: boolean; tag: string}
      if (at.tag !== 'BODY') assert.ok(at.isSeen, `focus is seen on ${at.name}`)
      if (at.name.startsWith(name)) return
    }
    throw new Error(`no way to ${name} by keyboard`)
  }
  await page.goto('/products/agent/releases/1.3.8')
  await pressTo('Skip to content')
  await page.keyboard.press('Enter')
  assert.is(await page.evaluate('document.activeElement.id'), 'main')
  await pressTo('Token')
  await page.keyboard.type(panel.adminToken)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', {name: 'agent 1.3.8 published', exact: true}).waitFor()
  await pressTo('Recall 1.3.8')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', {name: 'Recall agent 1.3.8?'}).waitFor()
  await pressTo('Reason')
  await page.keyboard.type('by keyboard')
  await pressTo('Recall 1.3.8')
  await page.keyboard.press('Space')
  await page.getByRole('heading', {name: 'agent 1.3.8 recalled', exact: true}).waitFor()
  assert.match(await seen(page), /by keyboard/)
  await done(watched, world)
})

test('every page keeps the rules in light, dark and on a phone', async (world) => {
  const {acme, mallory} = world
  const pictures = temporaryFolder('rel screenshots ')
  const paths = [
    '/',
    '/products/agent',
    '/products/agent?channel=canary',
    '/products/unfinished',
    '/products/agent/sizes',
    '/products/agent/sizes?channel=canary',
    '/products/agent/reports',
    '/products/unfinished/reports?days=30',
    '/products/agent/licenses',
    '/products/unfinished/licenses',
    '/products/agent/releases/1.4.0',
    '/products/agent/releases/1.4.2',
    '/products/agent/releases/1.4.2/recall',
    '/products/agent/releases/1.6.0',
    `/licenses/${acme}`,
    `/licenses/${acme}/renew`,
    `/licenses/${mallory}`,
    `/licenses/${mallory}/freeze`,
    '/audit',
    '/products/absent',
  ]
  const looks = {
    light: {viewport: {width: 1200, height: 900}},
    dark: {viewport: {width: 1200, height: 900}, colorScheme: 'dark'},
    phone: {viewport: {width: 360, height: 740}},
  } as const
  await Promise.all(
    Object.entries(looks).map(async ([look, options]) => {
      // signing out ends every session of a token, so each look has its own
      const watched = await signedIn(world, options, await world.panel.token(['admin']))
      const {page} = watched
      for (const [at, path] of paths.entries()) {
        await page.goto(path)
        for (const summary of await page.locator('summary').all()) await summary.click()
        assert.equal(await pageFlaws(page), [], `${look} ${path}`)
        const picture = await page.screenshot({fullPage: true})
        writeFileSync(join(pictures, `${look}-${at}.png`), picture)
      }
      const ground = await page.evaluate(
        'getComputedStyle(document.documentElement).backgroundColor',
      )
      assert.is(ground, look === 'dark' ? 'rgb(20, 23, 27)' : 'rgb(255, 255, 255)')
      await follow(page, page.getByRole('button', {name: 'Sign out'}))
      await page.getByLabel('Token', {exact: true}).fill('relp_no')
      await follow(page, page.getByRole('button', {name: 'Sign in'}))
      await page.getByText('unknown, expired or revoked').waitFor()
      assert.equal(await pageFlaws(page), [], `${look} sign-in`)
      await done(watched, world)
    }),
  )
})

test('text of others stays text', async (world) => {
  const token = String(
    (
      await wanted(
        201,
        world.panel.ask('POST', '/v1/tokens', {body: {name: hostile, verbs: ['admin'], days: 1}}),
      )
    ).json.token,
  )
  const watched = await signedIn(world, {}, token)
  const {page} = watched
  for (const path of [
    '/products/agent',
    '/products/agent/releases/1.4.0',
    '/products/agent/licenses',
    `/licenses/${world.mallory}`,
    `/licenses/${world.mallory}/revoke`,
    '/audit',
  ]) {
    await page.goto(path)
    assert.ok((await seen(page, 'body')).includes(hostile), `${path} shows it`)
    assert.is(await page.locator('script').count(), 1)
    assert.is(await page.locator('img').count(), 0)
  }
  await done(watched, world)
})

test('the policy stops a script that got in, and the watch tells', async (world) => {
  const watched = await signedIn(world)
  const {page, troubles, requests} = watched
  await page.evaluate(`
    const script = document.createElement('script')
    script.textContent = 'document.title = "taken"'
    document.body.append(script)
    document.body.insertAdjacentHTML('beforeend', '<img src="http://127.0.0.2:9/">')
  `)
  await page.locator('img').waitFor({state: 'attached'})
  assert.is.not(await page.title(), 'taken')
  assert.ok(
    troubles.some((text) => /Content Security Policy/.test(text)),
    troubles.join('\n'),
  )
  troubles.length = 0
  assert.is(requests.pop(), 'http://127.0.0.2:9/', 'it was asked for and refused')
  await done(watched, world)
})

test('a command is copied by a button', async (world) => {
  const permissions = ['clipboard-read', 'clipboard-write']
  const watched = await signedIn(world, {permissions})
  const {page} = watched
  await page.goto('/products/unfinished/licenses')
  await page.getByRole('button', {name: 'Copy: issue a licence'}).click()
  await page.getByRole('status').filter({hasText: 'Copied'}).waitFor()
  const copied = await page.evaluate('navigator.clipboard.readText()')
  assert.match(String(copied), /^rel license issue --product unfinished .* --panel http:/)
  await done(watched, world)
})

const planted: readonly [string, string][] = [
  ['contrast', '<p class="grey">pale</p>'],
  ['skips a level', '<h3>deep</h3>'],
  ['no label', '<input name="x">'],
  ['no name', '<a href="/"></a>'],
  ['id twice', '<p id="main">two</p>'],
  ['wider than the window', '<div class="wide">x</div>'],
  ['no caption', '<table><thead><tr><th scope="col">a</th></tr></thead></table>'],
  ['a row has no header', '<table><caption>c</caption><tbody><tr><td>a</td></tr></tbody></table>'],
  ['without its element', '<input id="y" aria-describedby="none"><label for="y">y</label>'],
  ['not told apart', '<nav>one</nav>'],
  ['inline', '<p style="margin:0">x</p>'],
  ['edge contrast', '<button class="flat">x</button>'],
]

test('the rules find what breaks them', async ({browser}) => {
  const {page} = await watchedPage(browser)
  const whole = (extra: string): string => `<!doctype html><html lang="en"><title>t</title>
<link rel="stylesheet" href="data:text/css,.grey{color:%23999}.wide{width:9000px}.flat{border:1px solid %23ddd}">
<a href="#main">Skip</a><header></header><main id="main"><h1>One</h1>${extra}</main><footer></footer></html>`
  await page.setContent(whole('<p>good</p>'))
  assert.equal(await pageFlaws(page), [])
  for (const [flaw, extra] of planted) {
    await page.setContent(whole(extra))
    const found = await pageFlaws(page)
    assert.ok(
      found.some((text) => text.includes(flaw)),
      `${flaw}: ${found.join('\n')}`,
    )
  }
  await page.context().close()
})

if (needs('chromium')) test.run()
