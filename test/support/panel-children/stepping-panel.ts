import fsPromises from 'node:fs/promises'
import {syncBuiltinESMExports} from 'node:module'
import type {AddressInfo} from 'node:net'
import {DatabaseSync, StatementSync} from 'node:sqlite'
import pg from 'pg'
import {backUpPanel} from '../../../src/panel/maintenance/backup.ts'
import {collectGarbage} from '../../../src/panel/maintenance/gc.ts'
import {type OpenPanel, openPanel} from '../../../src/panel/open-panel.ts'
import {panelApp} from '../../../src/panel/server/app.ts'

/** Where a panel keeps what it has; a folder alone, or a database and a bucket beside it. */
export type PanelPlace = {
  readonly data: string
  readonly database?: string
  readonly store?: string
}

/** What the parent says: die instead of taking this step; name every step; it was enough. */
export type Orders =
  | {readonly dieAt: number}
  | {readonly count: true}
  | {readonly end: true}
  /** Collects all garbage there is at that time, or makes a backup. */
  | {readonly collect: {readonly now: number}}
  | {readonly backUp: {readonly target: string; readonly now: number}}

/** What the parent is told. */
export type Told = {readonly url: string} | {readonly step: string} | {readonly done: true}

type AnyMethod = (this: unknown, ...args: unknown[]) => unknown

let taken = 0
let orders: Orders | undefined

/** Called before every change of a file, a folder, a bucket or the database. */
function step(name: string): void {
  if (orders === undefined) return
  if ('count' in orders) tell({step: name})
  else if ('dieAt' in orders && taken++ === orders.dieAt) process.kill(process.pid, 'SIGKILL')
}

function tell(told: Told): void {
  process.send?.(told)
}

/** Calls `step` before a method, when `label` names the call. */
function watch(
  owner: object,
  name: string,
  label: (self: unknown, args: readonly unknown[]) => string | undefined,
): void {
  const methods = owner as Record<string, AnyMethod>
  const original = methods[name] as AnyMethod
  methods[name] = function (...args) {
    const said = label(this, args)
    if (said !== undefined) step(said)
    return original.apply(this, args)
  }
}

/** What travels can also be lost on its way back: `step` once more when the answer is there. */
function watchTravelling(
  owner: object,
  name: string,
  label: (args: readonly unknown[]) => string | undefined,
): void {
  const methods = owner as Record<string, AnyMethod>
  const original = methods[name] as AnyMethod
  methods[name] = function (...args) {
    const said = label(args)
    const result = original.apply(this, args)
    if (said === undefined || !(result instanceof Promise)) return result
    return result.then((answer: unknown) => {
      step(`${said} answered`)
      return answer
    })
  }
  watch(owner, name, (_, args) => label(args))
}

/** The word with which a statement changes something. */
function change(sql: unknown): string | undefined {
  return /^\s*(begin|insert|update|delete|commit)/i.exec(String(sql))?.[1]?.toLowerCase()
}

/** All that the stores do to a disk goes through these. */
async function watchDisk(): Promise<void> {
  const handle = await fsPromises.open(process.execPath, 'r')
  const files = Object.getPrototypeOf(handle) as object
  await handle.close()
  for (const name of ['write', 'sync']) watch(files, name, () => name)
  for (const name of ['mkdir', 'link', 'rename', 'rm', 'chmod', 'utimes'])
    watch(fsPromises, name, () => name)
  syncBuiltinESMExports()
  watch(DatabaseSync.prototype, 'exec', (_, [sql]) => change(sql))
  for (const name of ['run', 'all'])
    watch(StatementSync.prototype, name, (self) => change((self as StatementSync).sourceSQL))
}

/** All that the stores send to a database server or to a bucket goes through these. */
function watchNetwork(): void {
  watchTravelling(pg.Client.prototype, 'query', ([query]) =>
    change(typeof query === 'string' ? query : (query as {text?: string}).text),
  )
  watchTravelling(globalThis, 'fetch', ([request]) => {
    const {method} = request as Request
    return method === 'GET' || method === 'HEAD' ? undefined : `s3 ${method.toLowerCase()}`
  })
}

async function maintain(panel: OpenPanel, asked: Orders): Promise<void> {
  if ('collect' in asked) await collectGarbage(panel, {graceSecs: 0, now: asked.collect.now})
  else if ('backUp' in asked) await backUpPanel(panel, {...asked.backUp, files: {}})
  tell({done: true})
}

/** `stepping-panel.ts PLACE`: a panel that its parent can kill at any step it takes. */
async function main(place: PanelPlace): Promise<void> {
  await watchDisk()
  watchNetwork()
  const panel = await openPanel(place)
  const app = panelApp(panel)
  process.once('disconnect', () => process.exit(0))
  process.on('message', (message) => {
    const asked = message as Orders
    if ('collect' in asked || 'backUp' in asked) void maintain(panel, asked)
    else orders = asked
    if ('end' in asked) process.disconnect?.()
  })
  await app.listen({host: '127.0.0.1', port: 0})
  tell({url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`})
}

await main(JSON.parse(process.argv[2] ?? '') as PanelPlace)
