import type {AddressInfo} from 'node:net'
import {dropStaleUploads} from '../panel/admin/uploads.ts'
import {type AuditCheckpoint, keepAuditCheckpoint} from '../panel/maintenance/audit-checkpoint.ts'
import {type OpenPanel, openPanel} from '../panel/open-panel.ts'
import type {PanelConfig} from '../panel/panel.ts'
import {type PanelApp, panelApp} from '../panel/server/app.ts'
import {jsonLines} from '../panel/server/request-log.ts'
import {RelError} from '../system/error.ts'
import {shellWord} from '../system/shell-word.ts'
import type {Outcome} from './base-command.ts'
import {onStop} from './guards.ts'
import {printMessages} from './output.ts'
import type {PanelPlace} from './panel-flags.ts'
import {placeOf} from './panel-place.ts'

/** Requests that have not ended after this are cut off. */
const STOP_SECS = 30

/** How often uploads that nobody finishes are looked for. */
const SWEEP_SECS = 3600

/** How much of the audit log's end could be cut off unseen. */
const CHECKPOINT_SECS = 60

type ServeFlags = PanelPlace & {
  readonly listen: string
  readonly 'public-url'?: string | undefined
  readonly accel?: string | undefined
  readonly proxy?: readonly string[] | undefined
  readonly 'two-persons': boolean
  readonly json?: boolean | undefined
  readonly quiet: boolean
}

/**
 * `rel panel serve`: returns when the panel was told to stop and its requests have ended.
 * Refuses with usage_invalid, listen_failed, and as openPanel does.
 */
export async function servePanel(flags: ServeFlags): Promise<Outcome> {
  const {host, port} = addressOf(flags.listen)
  const log = jsonLines((line) => process.stderr.write(line))
  const panel = await openPanel({
    ...placeOf(flags),
    log,
    config: configOf(flags),
  })
  try {
    const app = panelApp(panel)
    const address = await listen(app, host, port)
    const stopped = onStop()
    log({
      level: 'info',
      event: 'panel.started',
      fields: {address, data: flags.data, new: panel.isNew},
    })
    if (flags.json !== true && !flags.quiet) printMessages(welcome(address, panel))
    const sweep = setInterval(() => void sweepUploads(panel), SWEEP_SECS * 1000)
    const keep = checkpointKeeper(panel)
    await keep()
    const keeping = setInterval(() => void keep(), CHECKPOINT_SECS * 1000)
    const signal = await stopped
    clearInterval(sweep)
    clearInterval(keeping)
    log({level: 'info', event: 'panel.stopping', fields: {signal}})
    const cut = await closeGently(app)
    await keep()
    log({level: 'info', event: 'panel.stopped', fields: {cut_off: cut}})
    return {
      result: {address, signal, cut_off: cut},
      lines: [`✔ The panel has stopped (${signal}).`],
    }
  } finally {
    await panel.close()
  }
}

function configOf(flags: ServeFlags): Partial<PanelConfig> {
  const {accel, proxy: proxies = [], 'public-url': publicUrl, 'two-persons': twoPersons} = flags
  return {
    twoPersons,
    proxies,
    ...(publicUrl === undefined ? {} : {publicUrl: publicUrlOf(publicUrl)}),
    ...(accel === undefined ? {} : {downloads: {by: 'accel', prefix: prefixOf(accel)}}),
  }
}

function publicUrlOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url?.search === '' && url.hash === '' && url.username === ''
  if (url === undefined || !isPlain || !['http:', 'https:'].includes(url.protocol))
    throw new RelError('usage_invalid', '--public-url is not an http(s) address')
  return url.href.replace(/\/+$/, '')
}

function prefixOf(text: string): string {
  if (/^(?:\/[A-Za-z0-9._-]+)+$/.test(text)) return text
  throw new RelError('usage_invalid', '--accel is not a path such as /_blobs')
}

function addressOf(text: string): {readonly host: string; readonly port: number} {
  const [, bracketed, plain, port = ''] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(
    text,
  ) ?? ['']
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65_535)
    throw new RelError('usage_invalid', '--listen is not HOST:PORT')
  return {host, port: Number(port)}
}

async function listen(app: PanelApp, host: string, port: number): Promise<string> {
  try {
    await app.listen({host, port})
  } catch (error) {
    await app.close()
    const {code} = error as NodeJS.ErrnoException
    if (code === undefined || error instanceof RelError) throw error
    throw new RelError('listen_failed', `cannot listen on ${host}:${port}: ${code}`, {cause: error})
  }
  const {address, family, port: taken} = app.server.address() as AddressInfo
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`
}

/** What a person needs to know to go on. */
function welcome(address: string, {folder, isNew}: OpenPanel): readonly string[] {
  const {root, adminToken} = folder
  const place = shellWord(root)
  return [
    `✔ The panel listens on ${address}`,
    ...(isNew
      ? [
          `  It is new. The token of its administrator is in ${adminToken}`,
          `  A product: rel panel product add NAME --data ${place} --anchor trust.json --require COMPONENT/OS/ARCH`,
          `  A token for the pipeline: rel panel token new ci --data ${place} --verb publish --verb release`,
        ]
      : []),
    '  TLS, nginx, PostgreSQL and S3: docs/guides/panel.md. Ctrl-C stops it.',
  ]
}

/** Ends what is under way; returns whether something had to be cut off. */
async function closeGently(app: PanelApp): Promise<boolean> {
  let cut = false
  const timer = setTimeout(() => {
    cut = true
    app.server.closeAllConnections()
  }, STOP_SECS * 1000)
  await app.close()
  clearTimeout(timer)
  return cut
}

/** Signs where the audit log stands; in the log of the process as well, which goes elsewhere. */
function checkpointKeeper(panel: OpenPanel): () => Promise<void> {
  let known: AuditCheckpoint | undefined
  return async () => {
    try {
      const {store, folder, keys, clock} = panel
      const place = {path: folder.auditCheckpoint, signer: keys.freshness, now: clock(), known}
      const kept = await keepAuditCheckpoint(store, place)
      if (kept === known) return
      known = kept
      panel.log({level: 'info', event: 'audit.checkpoint', fields: {...kept}})
    } catch (error) {
      const code = error instanceof RelError ? error.code : 'panel_failed'
      panel.log({level: 'error', event: 'audit.not_kept', fields: {code}})
    }
  }
}

async function sweepUploads(panel: OpenPanel): Promise<void> {
  try {
    await dropStaleUploads(panel)
  } catch (error) {
    const code = error instanceof RelError ? error.code : 'panel_failed'
    panel.log({level: 'error', event: 'uploads.not_swept', fields: {code}})
  }
}
