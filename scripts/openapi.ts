import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {openPanel} from '../src/panel/open-panel.ts'
import {panelApp} from '../src/panel/server/app.ts'
import {openapiText} from '../src/panel/server/health.ts'

/** What a panel serves as /openapi.json. */
export async function openapiDocument(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'rel-openapi-'))
  try {
    const panel = await openPanel({data: join(folder, 'data')})
    const app = panelApp(panel)
    try {
      await app.ready()
      return openapiText(app)
    } finally {
      await app.close()
      await panel.close()
    }
  } finally {
    rmSync(folder, {recursive: true, force: true})
  }
}
