import type {JWK} from 'jose'
import {RelError} from '../../system/error.ts'
import {exchange, type HttpAgents, makeAgents, readWhole} from '../../system/http-exchange.ts'

/** GitHub's key set has 5 KB. */
const MAX_BYTES = 64 * 1024
const MAX_KEYS = 32
/** For each part of the answer, and for all of it: requests wait for it. */
const PATIENCE_MS = 5000

/** How long keys are believed without asking again. */
const FRESH_MS = 600_000
/** How long they are believed while the issuer does not answer. */
const STALE_MS = 3_600_000
/** An unknown key, or a failure, makes nobody ask more often than this: tokens are free to send. */
const COOLDOWN_MS = 30_000

type Known = {
  keys: readonly JWK[]
  readAtMs: number
}

type Entry = {
  known?: Known
  triedAtMs: number
  reading: Promise<void> | undefined
}

/**
 * The public keys of issuers, fetched from ISSUER/.well-known/jwks when they are needed. Only
 * issuers that a publisher names may be asked for: the caller sees to it.
 */
export class IssuerKeys {
  readonly #entries = new Map<string, Entry>()
  readonly #nowMs: () => number
  readonly #patienceMs: number
  readonly #agents: HttpAgents

  constructor(nowMs: () => number = () => performance.now(), patienceMs = PATIENCE_MS) {
    this.#nowMs = nowMs
    this.#patienceMs = patienceMs
    const {HTTP_PROXY, HTTPS_PROXY, NO_PROXY} = process.env
    this.#agents = makeAgents({
      ...(HTTP_PROXY === undefined ? {} : {HTTP_PROXY}),
      ...(HTTPS_PROXY === undefined ? {} : {HTTPS_PROXY}),
      ...(NO_PROXY === undefined ? {} : {NO_PROXY}),
    })
  }

  /**
   * The issuer's RSA key of this id; undefined when it has none. A key that is not known makes the
   * set be read again. Refuses with oidc_keys_unavailable.
   */
  async find(issuer: string, kid: string): Promise<JWK | undefined> {
    const entry = this.#entryOf(issuer)
    const known = keyOf(entry, kid)
    if (known !== undefined && this.#age(entry) < FRESH_MS) return known
    if (entry.reading !== undefined || this.#nowMs() - entry.triedAtMs >= COOLDOWN_MS)
      await this.#read(issuer, entry)
    if (entry.known === undefined || this.#age(entry) >= STALE_MS)
      throw new RelError('oidc_keys_unavailable', `the keys of ${issuer} cannot be read`, {
        details: {retry_after: COOLDOWN_MS / 1000},
      })
    return keyOf(entry, kid)
  }

  #entryOf(issuer: string): Entry {
    const entry = this.#entries.get(issuer) ?? {
      triedAtMs: Number.NEGATIVE_INFINITY,
      reading: undefined,
    }
    this.#entries.set(issuer, entry)
    return entry
  }

  #age({known}: Entry): number {
    return known === undefined ? Number.POSITIVE_INFINITY : this.#nowMs() - known.readAtMs
  }

  /** One reading at a time; a failure leaves what was known. */
  async #read(issuer: string, entry: Entry): Promise<void> {
    entry.reading ??= this.#fetch(issuer)
      .then((keys) => {
        entry.known = {keys, readAtMs: this.#nowMs()}
      })
      .catch(() => {})
      .finally(() => {
        entry.triedAtMs = this.#nowMs()
        entry.reading = undefined
      })
    await entry.reading
  }

  async #fetch(issuer: string): Promise<readonly JWK[]> {
    const url = new URL(`${issuer}/.well-known/jwks`)
    const headers = {accept: 'application/json', 'user-agent': 'rel'}
    const ms = this.#patienceMs
    const timeouts = {connectMs: ms, headersMs: ms, idleMs: ms, totalMs: ms}
    const answer = await exchange({method: 'GET', url, headers}, timeouts, this.#agents)
    // a body that moves, however slowly, is not cut by the others
    const timer = setTimeout(() => answer.drop(), ms)
    try {
      if (answer.status !== 200) {
        answer.drop()
        throw new RelError('http_refused', `${issuer} answered ${answer.status}`)
      }
      return keysOf(JSON.parse((await readWhole(answer, url, MAX_BYTES)).toString('utf8')))
    } finally {
      clearTimeout(timer)
    }
  }
}

function keyOf({known}: Entry, kid: string): JWK | undefined {
  const found = known?.keys.filter((key) => key.kid === kid) ?? []
  return found.length === 1 ? found[0] : undefined
}

/** RSA keys for signatures, each with its public numbers and nothing else. */
function keysOf(json: unknown): readonly JWK[] {
  const {keys} = json as {readonly keys?: unknown}
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > MAX_KEYS)
    throw new RelError('http_malformed', 'the issuer answers with no key set')
  return (keys as readonly Record<string, unknown>[]).flatMap((key) => {
    const {kty, kid, n, e, use, alg} = key ?? {}
    const isRsa = kty === 'RSA' && typeof n === 'string' && typeof e === 'string'
    const isForUs = (use ?? 'sig') === 'sig' && (alg ?? 'RS256') === 'RS256'
    return isRsa && isForUs && typeof kid === 'string' ? [{kty, kid, n, e, alg: 'RS256'}] : []
  })
}
