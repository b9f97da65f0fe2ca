import {sha256Hex} from '../../system/hash.ts'
import type {PanelApp} from '../server/app.ts'
import {script} from './script.ts'
import {stylesheet} from './style.ts'

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0a5ba8"/><path d="M9 17l5 5 9-12" fill="none" stroke="#fff" stroke-width="3.5" stroke-linecap="round" stroke-linejoin="round"/></svg>`

/** Where a file is: another text has another address, so it may be kept for good. */
function addressOf(stem: string, ending: string, text: string): string {
  return `/assets/${stem}-${sha256Hex(text).slice(0, 20)}.${ending}`
}

export const stylesheetUrl = addressOf('panel', 'css', stylesheet)
export const scriptUrl = addressOf('panel', 'js', script)
export const iconUrl = addressOf('icon', 'svg', icon)

const files = [
  [stylesheetUrl, 'text/css; charset=utf-8', stylesheet],
  [scriptUrl, 'text/javascript; charset=utf-8', script],
  [iconUrl, 'image/svg+xml', icon],
] as const

/** The files of the pages; they hold nothing that is anybody's. */
export function assetRoutes(app: PanelApp): void {
  for (const [url, type, text] of files)
    app.get(url, {schema: {hide: true}}, async (_request, reply) =>
      reply
        .header('content-type', type)
        .header('cache-control', 'public, max-age=31536000, immutable')
        .send(text),
    )
}
