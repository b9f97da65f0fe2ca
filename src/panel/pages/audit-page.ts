import {isDigest} from '../../system/digest.ts'
import type {Panel} from '../panel.ts'
import type {AuditRow} from '../store/store.ts'
import {type Html, html, type Shown} from './html.ts'
import {command, table, tag} from './layout.ts'
import {countText, moment} from './words.ts'

const PAGE = 50
/** The walk over the chain reads every row, so it is kept for this many times as long as it took. */
const KEPT_TIMES = 20
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
  #keptUntilMs = 0

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
${proof(verified, end - 1)}
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

  /** One walk at a time, and not a long one for every look. */
  #verified(): Promise<Verified> {
    const begun = performance.now()
    if (this.#kept !== undefined && begun < this.#keptUntilMs) return this.#kept
    this.#keptUntilMs = Number.POSITIVE_INFINITY
    this.#kept = this.#walk().finally(() => {
      const ended = performance.now()
      this.#keptUntilMs = ended + (ended - begun) * KEPT_TIMES
    })
    return this.#kept
  }

  async #walk(): Promise<Verified> {
    const at = this.#panel.clock()
    return {...(await this.#panel.store.verifyAudit()), at}
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

function proof({rows, head, broken, at}: Verified, shown: number): Html {
  if (broken !== undefined)
    return html`<div class="note alarm"><p><strong>Row ${broken} does not fit the chain:</strong> it or one before it is not as it was written. Look at all that the panel has:</p>
${command('verify the panel', 'rel panel verify --data DATA')}</div>`
  return html`<div class="note"><p>${tag('good', 'chain verified')}: ${countText(rows)} rows at ${moment(at)}. Head <code>${head}</code></p>${shown > rows && html`<p class="quiet">Rows after ${rows} came later; the next walk takes them in.</p>`}</div>`
}

function cells(row: AuditRow, names: ReadonlyMap<string, string>): Shown[] {
  const {index, time, event, product, subject, details = {}, actor, hash} = row
  const more = Object.entries(details).map(([name, value]) => detail(name, value))
  return [
    String(index),
    moment(time),
    event,
    html`<bdi>${[product, subject].filter((text) => text !== undefined).join(' ')}</bdi>${more.length > 0 && html`<div class="quiet">${more.map((each, at) => html`${at > 0 && ', '}${each}`)}</div>`}`,
    html`<bdi>${names.get(actor) ?? actor}</bdi>`,
    html`<code title="${hash}">${hash.slice(0, SHORT)}</code>`,
  ]
}

/** A detail as a person reads it: times as dates, digests by their first digits. */
function detail(name: string, value: string | number | boolean): Html {
  if (name === 'expires' && typeof value === 'number') return html`${name} ${moment(value)}`
  const text = String(value)
  if (isDigest(text)) return html`${name} <code title="${text}">${text.slice(0, SHORT)}</code>`
  return html`${name} <bdi>${text}</bdi>`
}
