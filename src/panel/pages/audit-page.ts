import type {Panel} from '../panel.ts'
import type {AuditRow} from '../store/store.ts'
import {type Html, html, type Shown} from './html.ts'
import {command, table, tag} from './layout.ts'
import {countText, moment} from './words.ts'

const PAGE = 50
/** How long the walk over the chain counts; it reads every row. */
const KEPT_SECS = 60
/** Digits of a hash in the list. */
const SHORT = 16

type Verified = {
  readonly rows: number
  readonly head: string
  readonly broken?: number
  readonly at: number
}

/** The audit log, newest first, with the proof that nothing in it was changed. */
export class AuditPage {
  readonly #panel: Panel
  #kept: Promise<Verified> | undefined
  #keptAt = 0

  constructor(panel: Panel) {
    this.#panel = panel
  }

  /** The page whose rows are before this one; the newest when undefined. */
  async main(before: number | undefined): Promise<Html> {
    const verified = await this.#verified()
    const end = before ?? (await this.#end(verified.rows))
    const start = Math.max(0, end - 1 - PAGE)
    const rows = (await this.#panel.store.audit(start, PAGE)).filter(({index}) => index < end)
    const names = new Map((await this.#panel.store.tokens()).map(({id, name}) => [id, name]))
    return html`<h1>Audit log</h1>
${proof(verified)}
${
  rows.length === 0
    ? html`<p class="quiet">There is nothing here.</p>`
    : table(
        'Audit log, newest first',
        [
          {title: 'Row', kind: 'line'},
          {title: 'Time', kind: 'line'},
          {title: 'Event', kind: 'line'},
          {title: 'Of'},
          {title: 'By'},
          {title: 'Hash', kind: 'line'},
        ],
        rows.toReversed().map((row) => cells(row, names)),
      )
}
<div class="actions">${before !== undefined && html`<a class="button" href="/audit">Newest</a>`}${start > 0 && html`<a class="button" href="?before=${start + 1}">Older rows</a>`}</div>`
  }

  /** One walk at a time, and not for every look. */
  #verified(): Promise<Verified> {
    const now = performance.now()
    if (this.#kept !== undefined && now - this.#keptAt < KEPT_SECS * 1000) return this.#kept
    const at = this.#panel.clock()
    const walk = this.#panel.store.verifyAudit().then((found) => ({...found, at}))
    this.#kept = walk
    this.#keptAt = now
    walk.catch(() => {
      if (this.#kept === walk) this.#kept = undefined
    })
    return walk
  }

  /** One after the last row, which may have come after the walk. */
  async #end(known: number): Promise<number> {
    let last = known
    for (;;) {
      const rows = await this.#panel.store.audit(last, PAGE)
      last = rows.at(-1)?.index ?? last
      if (rows.length < PAGE) return last + 1
    }
  }
}

function proof({rows, head, broken, at}: Verified): Html {
  if (broken !== undefined)
    return html`<div class="note alarm"><p><strong>Row ${broken} does not fit the chain:</strong> it or one before it is not as it was written. Look at all that the panel has:</p>
${command('verify the panel', 'rel panel verify --data DATA')}</div>`
  return html`<div class="note"><p>${tag('good', 'chain verified')}: ${countText(rows)} rows at ${moment(at)}. Head <code>${head}</code></p></div>`
}

function cells(row: AuditRow, names: ReadonlyMap<string, string>): Shown[] {
  const {index, time, event, product, subject, details = {}, actor, hash} = row
  const more = Object.entries(details).map(([name, value]) => `${name} ${value}`)
  return [
    String(index),
    moment(time),
    event,
    html`<bdi>${[product, subject].filter((text) => text !== undefined).join(' ')}</bdi>${more.length > 0 && html`<div class="quiet"><bdi>${more.join(', ')}</bdi></div>`}`,
    html`<bdi>${names.get(actor) ?? actor}</bdi>`,
    html`<code title="${hash}">${hash.slice(0, SHORT)}</code>`,
  ]
}
