import type {AddressInfo} from 'node:net'
import {newUlid} from '../../../src/panel/admin/ulid.ts'
import {type OpenPanel, openPanel} from '../../../src/panel/open-panel.ts'
import {panelApp} from '../../../src/panel/server/app.ts'
import {armouredLicense, issueLicense, licenseHeader} from '../../../src/release/license-file.ts'
import {readFileLimited} from '../../../src/system/files.ts'

/** What a bench asks of a panel, as JSON in the first argument. */
export type ServerOptions = {
  readonly data: string
  /** Nginx sends the bytes of artifacts from below this location. */
  readonly accel?: string
  /** One client stands for a fleet: its requests are not limited. */
  readonly isUnlimited?: boolean
  /** Licences of the stable track to issue for the product `agent`. */
  readonly licenses?: number
}

/** What it sends to its parent when it listens. */
export type ServerReady = {
  readonly url: string
  readonly adminToken: string
  readonly licenses: readonly string[]
}

const YEAR = 365 * 86_400
const now = (): number => Math.floor(Date.now() / 1000)

/** A panel in a process of its own on loopback, until its parent is gone. */
async function main(options: ServerOptions): Promise<void> {
  const {data, accel, isUnlimited = false, licenses = 0} = options
  const unlimited = {perSec: 1e9, burst: 1e9}
  const panel = await openPanel({
    data,
    ...(isUnlimited ? {limits: {perCredential: unlimited, perAddress: unlimited}} : {}),
    ...(accel === undefined ? {} : {config: {downloads: {by: 'accel', prefix: accel}}}),
  })
  process.once('disconnect', () => process.exit(0))
  if (licenses > 0) await panel.store.addProduct('agent', {id: 'bench'})
  const issued: string[] = []
  while (issued.length < licenses) issued.push(await issue(panel, issued.length))
  const app = panelApp(panel)
  await app.listen({host: '127.0.0.1', port: 0})
  const {port} = app.server.address() as AddressInfo
  const adminToken = readFileLimited(panel.folder.adminToken, 1024).toString('utf8').trim()
  const ready: ServerReady = {url: `http://127.0.0.1:${port}`, adminToken, licenses: issued}
  process.send?.(ready)
}

async function issue({store, keys}: OpenPanel, at: number): Promise<string> {
  const terms = {
    id: newUlid(Date.now()),
    product: 'agent',
    customer: `Customer ${at}`,
    track: 'stable',
    entitlements: [],
    issued: now(),
    expires: now() + YEAR,
    serial: 1,
  } as const
  const file = await issueLicense(terms, keys.license)
  const {issued, ...stored} = terms
  await store.addLicense(
    {...stored, state: 'active', file: armouredLicense(file), created: issued},
    {id: 'bench'},
  )
  return licenseHeader(file)
}

await main(JSON.parse(process.argv[2] ?? '{}') as ServerOptions)
