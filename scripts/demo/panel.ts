import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {type ProgramArch, printingProgram} from '../../test/support/elf-program.ts'
import {
  announce,
  bold,
  fail,
  folder,
  heading,
  indented,
  quietly,
  run,
  runRefused,
  type Server,
  say,
  serve,
} from './stage.ts'

export const place = {cwd: 'agent'}
export const home = join(folder, place.cwd)
const arches: readonly ProgramArch[] = ['amd64', 'arm64']

/** A panel with its address and where its administrator's token is. */
export type Shown = {readonly server: Server; readonly url: string; readonly tokenFile: string}

/** A real panel takes three releases, shows each licence what it may see, and is attacked. */
export async function showPanel(): Promise<Shown> {
  say(heading('9. A panel: what is published is what every entitled node sees'))
  mkdirSync(home)
  await quietly('keys new release --no-passphrase', place)
  await quietly('trust init --key release --product agent', place)
  const server = await serve('panel serve --data panel --listen 127.0.0.1:0', /Ctrl-C/, place)
  const url = /http:\/\/[0-9.:]+/.exec(server.welcome)?.[0] ?? fail('an address')
  const tokenFile = join(home, 'panel/admin-token')
  await makeProduct()
  await makeToken()
  await publishAll(url)
  await showLicences(url)
  await attack(url)
  await showPage(url, tokenFile)
  return {server, url, tokenFile}
}

/** The end of the panel, also when its user looks at the page first. */
export async function stopPanel({server}: Shown): Promise<void> {
  await server.stop()
  say('', '  The panel was told to stop (SIGTERM), ended what was under way, and left with 0.')
}

type Answer = {readonly status: number; readonly json: Record<string, unknown>}

async function send(
  url: string,
  method: string,
  token: string,
  body?: string | Buffer,
  more: Readonly<Record<string, string>> = {},
): Promise<Answer & {readonly headers: Headers}> {
  const authorization = `Bearer ${token}`
  const answer = await fetch(url, {
    method,
    headers: {authorization, ...(body ? {'content-type': 'application/json'} : {}), ...more},
    ...(body === undefined ? {} : {body: Buffer.from(body)}),
  })
  const text = await answer.text()
  const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {}
  return {status: answer.status, json, headers: answer.headers}
}

/** The administrator adds a product: who signs it, and what a release must have. */
async function makeProduct(): Promise<void> {
  const required = arches.map((arch) => `--require agent/linux/${arch}`).join(' ')
  await run(`panel product add agent --data panel --anchor trust.json ${required}`, 0, place)
}

/** The token itself goes into a file and is not shown. */
async function makeToken(): Promise<void> {
  const words = 'panel token new ci --data panel --verb publish --verb release --product agent'
  const {result} = JSON.parse(await quietly(`${words} --json`, place)) as {result: {token: string}}
  writeFileSync(join(home, 'ci-token'), `${result.token}\n`, {mode: 0o600})
  say('', `  The pipeline has a token that may publish this product and nothing else: ci-token`)
}

function build(version: string, dist = `dist-${version}`): void {
  mkdirSync(join(home, dist))
  for (const arch of arches)
    writeFileSync(join(home, dist, `agent-linux-${arch}`), printingProgram(arch, `${version}\n`), {
      mode: 0o755,
    })
}

export const manifestWords = (version: string, dist = `dist-${version}`, key = 'release'): string =>
  `release manifest ${dist} --product agent --version ${version} --key ${key}`

export const publishWords = (url: string, dist: string): string =>
  `publish ${dist} --panel ${url} --token-file ci-token`

async function publishAll(url: string): Promise<void> {
  build('1.4.1')
  await run(manifestWords('1.4.1'), 0, place)
  await run(publishWords(url, 'dist-1.4.1'), 0, place)
  for (const version of ['1.4.2', '1.5.0-beta.1']) {
    build(version)
    await quietly(manifestWords(version), place)
    await run(publishWords(url, `dist-${version}`), 0, place)
  }
}

type Advertised = {readonly artifacts?: readonly {readonly version: string}[]}

async function showLicences(url: string): Promise<void> {
  say(heading('10. Each licence sees its own track, and nobody else sees anything'))
  const admin = `--panel ${url} --token-file panel/admin-token`
  const sees: string[] = []
  for (const [track, version] of [
    ['stable', '1.4.2'],
    ['prerelease', '1.5.0-beta.1'],
  ] as const) {
    const words = `license issue --product agent --customer ${track}-site --track ${track} --expires 30d --output ${track}.license ${admin}`
    await run(words, 0, place)
    const header = await quietly(`license inspect ${track}.license --header`, place)
    const {json} = await send(`${url}/update/manifest.json`, 'GET', header)
    const versions = new Set((json as Advertised).artifacts?.map((artifact) => artifact.version))
    const [seen] = versions
    if (versions.size !== 1 || seen !== version) fail(`${track} to see ${version} alone`)
    sees.push(`    with ${track}.license: ${seen}`)
  }
  const nobody = await fetch(`${url}/update/manifest.json`)
  if (nobody.status !== 401) fail(`401 without a licence, got ${nobody.status}`)
  say('', '  GET /update/manifest.json, as a node asks:', ...sees, '    without one: 401')
  await run(`license explain stable.license --release 1.5.0-beta.1 ${admin}`, 0, place)
}

async function attack(url: string): Promise<void> {
  say(heading('11. Now somebody attacks the panel'))
  announce('After signing, one byte of an artifact changes on the build server')
  build('1.4.3')
  await quietly(manifestWords('1.4.3'), place)
  const path = join(home, 'dist-1.4.3/agent-linux-arm64')
  const genuine = readFileSync(path)
  const tampered = Buffer.from(genuine)
  tampered[tampered.length - 2] = (tampered.at(-2) ?? 0) ^ 1
  writeFileSync(path, tampered)
  await runRefused(publishWords(url, 'dist-1.4.3'), 'artifact_mismatch', place)

  announce('The pipeline’s token is stolen, and other bytes are uploaded under the right digest')
  await uploadTampered(url, genuine, tampered)

  announce('Version 1.4.2 is built again, and published again')
  build('1.4.2+other', 'dist-again')
  await quietly(manifestWords('1.4.2', 'dist-again'), place)
  await runRefused(publishWords(url, 'dist-again'), 'release_conflict', place)

  announce('The thief signs a release with a key of his own')
  build('1.4.4')
  await quietly('keys new thief --no-passphrase', place)
  await quietly(manifestWords('1.4.4', 'dist-1.4.4', 'thief'), place)
  await runRefused(publishWords(url, 'dist-1.4.4'), 'key_unknown', place)
}

/** Straight at the interface, past rel's own checks: what the panel itself says. */
async function uploadTampered(url: string, genuine: Buffer, tampered: Buffer): Promise<void> {
  const {createHash} = await import('node:crypto')
  const token = readFileSync(join(home, 'ci-token'), 'utf8').trim()
  const digest = createHash('sha256').update(genuine).digest('hex')
  const begun = await send(`${url}/v1/uploads`, 'POST', token, undefined, {
    'tus-resumable': '1.0.0',
    'upload-length': String(genuine.length),
    'upload-metadata': `sha256 ${Buffer.from(digest).toString('base64')}`,
  })
  const upload = begun.headers.get('location') ?? fail('an upload to begin')
  const {status, json} = await send(new URL(upload, url).href, 'PATCH', token, tampered, {
    'tus-resumable': '1.0.0',
    'upload-offset': '0',
    'content-type': 'application/offset+octet-stream',
  })
  const {code, detail, hint} = json
  say('', `  $ ${bold(`PATCH ${new URL(upload, url).pathname}`)}`)
  say(indented(`✖ ${code}: ${detail}\n  Fix: ${hint}\n  status ${status}, nothing was kept`))
  if (status !== 460 || code !== 'blob_mismatch') fail('460 and the code blob_mismatch')
}

async function showPage(url: string, tokenFile: string): Promise<void> {
  const page = await fetch(`${url}/`)
  const text = await page.text()
  if (!page.ok || !text.includes('<html')) fail(`a page, got ${page.status}`)
  say(
    heading('12. All of it, for people'),
    `  ${bold(url)}  products, releases, licences, audit log`,
    `  Sign in with the token in ${tokenFile.replace(`${folder}/`, '')}`,
  )
}
