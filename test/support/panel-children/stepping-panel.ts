import fsPromises from 'node:fs/promises'
import {syncBuiltinESMExports} from 'node:module'
import type {AddressInfo} from 'node:net'
import {DatabaseSync, StatementSync} from 'node:sqlite'
import {openPanel} from '../../../src/panel/open-panel.ts'
import {panelApp} from '../../../src/panel/server/app.ts'

/** What the parent says: die instead of taking this step; name every step; it was enough. */
export type Orders = {readonly dieAt: number} | {readonly count: true} | {readonly end: true}

/** What the parent is told. */
export type Told = {readonly url: string} | {readonly step: string}

type AnyMethod = (this: unknown, ...args: unknown[]) => unknown

let taken = 0
let orders: Orders | undefined

/** Called before every change of a file, a folder or the database. */
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

/** `stepping-panel.ts DATA`: a panel that its parent can kill at any step it takes. */
async function main(data: string): Promise<void> {
  await watchDisk()
  const panel = await openPanel({data})
  const app = panelApp(panel)
  process.once('disconnect', () => process.exit(0))
  process.on('message', (message) => {
    orders = message as Orders
    if ('end' in orders) process.disconnect?.()
  })
  await app.listen({host: '127.0.0.1', port: 0})
  tell({url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`})
}

await main(process.argv[2] ?? '')
