import {mkdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {type Browser, type BrowserContextOptions, chromium, type Page} from 'playwright-core'
import {temporaryFolder} from './tmp.ts'

/** Generous: the machine may be three times slower and busy with other tests. */
const PATIENCE_MS = 60_000

/** Debian's Chromium without a window; `close` must be called. Its profile is in a temporary folder. */
export async function startBrowser(): Promise<Browser> {
  const home = temporaryFolder('rel browser ')
  const temporary = join(home, 'tmp')
  mkdirSync(temporary)
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    timeout: PATIENCE_MS,
    // root has no user namespace of its own to put the sandbox into
    chromiumSandbox: process.geteuid?.() !== 0,
    args: ['--disable-gpu', '--no-first-run'],
    env: {PATH: process.env.PATH ?? '', HOME: home, TMPDIR: temporary, LANG: 'C.UTF-8'},
  })
}

/** What went wrong in a page that a test must not overlook. */
export type Watched = {
  readonly page: Page
  readonly troubles: string[]
  readonly requests: string[]
}

/** A page that writes down violations of its policy, errors, dialogs and every address it asks for. */
export async function watchedPage(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<Watched> {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(PATIENCE_MS)
  const page = await context.newPage()
  const troubles: string[] = []
  const requests: string[] = []
  page.on('console', (message) => {
    // the browser itself says that a page had a status of 400 or more
    if (!/^Failed to load resource: .* status of 4\d\d/.test(message.text()))
      troubles.push(`console: ${message.text()}`)
  })
  page.on('pageerror', (error) => troubles.push(`error: ${error.message}`))
  page.on('dialog', (dialog) => {
    troubles.push(`dialog: ${dialog.message()}`)
    dialog.dismiss().catch(() => {})
  })
  page.on('request', (request) => requests.push(request.url()))
  return {page, troubles, requests}
}

const rules = readFileSync(join(import.meta.dirname, 'page-rules.js'), 'utf8')

/** What a page breaks of the rules in page-rules.js; empty for a good page. */
export async function pageFlaws(page: Page): Promise<string[]> {
  return (await page.evaluate(rules)) as string[]
}
