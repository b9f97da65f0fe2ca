import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import {createServer, type RequestListener} from 'node:http'
import type {AddressInfo} from 'node:net'
import {SignJWT} from 'jose'

/** Imitates the issuer of GitHub Actions: its key set, and the endpoint that jobs ask. */
export type Issuer = {
  readonly url: string
  /** Requests for the key set. */
  readonly asked: () => number
  /** Answers instead of the key set, until undefined. */
  answer: RequestListener | undefined
  /** Signs with a new key of this id, which the set names from now on, beside or instead of others. */
  rotate(kid: string, keep?: boolean): void
  token(claims?: Claims, header?: Readonly<Record<string, unknown>>): Promise<string>
  /** What a job has in its environment. */
  readonly jobEnv: Readonly<Record<string, string>>
  /** What the next job's identity says. */
  claims: Claims
  readonly publicKey: () => KeyObject
  readonly privateKey: () => KeyObject
  stop(): Promise<void>
}

export type Claims = Readonly<Record<string, unknown>>

/** A run as GitHub describes it (docs.github.com: OpenID Connect reference). */
export function runClaims(now: number): Claims {
  return {
    jti: `jti-${Math.random()}`,
    sub: 'repo:acme/agent:ref:refs/tags/v1.4.2',
    aud: 'https://panel.example',
    ref: 'refs/tags/v1.4.2',
    sha: 'a'.repeat(40),
    repository: 'acme/agent',
    repository_owner: 'acme',
    repository_id: '1001',
    repository_owner_id: '77',
    run_id: '5150',
    run_number: '3',
    event_name: 'push',
    ref_type: 'tag',
    environment: 'release',
    workflow: 'release',
    workflow_ref: 'acme/agent/.github/workflows/release.yml@refs/tags/v1.4.2',
    nbf: now - 600,
    iat: now,
    exp: now + 300,
  }
}

/** Keys take long to make; issuers that live at the same time have different ones. */
const pairs: {publicKey: KeyObject; privateKey: KeyObject}[] = []
let taken = 0

function nextPair(): {publicKey: KeyObject; privateKey: KeyObject} {
  const at = taken++ % 4
  pairs[at] ??= generateKeyPairSync('rsa', {modulusLength: 2048})
  return pairs[at]
}

const REQUEST_TOKEN = 'request-token-of-the-job'

export async function startIssuer(now: () => number): Promise<Issuer> {
  let asked = 0
  let current: {kid: string; publicKey: KeyObject; privateKey: KeyObject}
  let keys: Record<string, unknown>[] = []
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://issuer')
    if (url.pathname === '/job/token') {
      const isOurs = request.headers.authorization === `Bearer ${REQUEST_TOKEN}`
      if (!isOurs) return void response.writeHead(401).end()
      void issuer.token({...issuer.claims, aud: url.searchParams.get('audience')}).then((value) => {
        response.setHeader('content-type', 'application/json').end(JSON.stringify({value}))
      })
      return
    }
    asked++
    if (issuer.answer !== undefined) return issuer.answer(request, response)
    response.setHeader('content-type', 'application/json').end(JSON.stringify({keys}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const issuer: Issuer = {
    url,
    asked: () => asked,
    answer: undefined,
    claims: {},
    jobEnv: {
      GITHUB_ACTIONS: 'true',
      ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/job/token?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: REQUEST_TOKEN,
    },
    rotate(kid, keep = false) {
      const pair = nextPair()
      current = {kid, ...pair}
      const jwk = {...pair.publicKey.export({format: 'jwk'}), kid, use: 'sig', alg: 'RS256'}
      keys = keep ? [...keys, jwk] : [jwk]
    },
    token: (claims = {}, header = {}) =>
      new SignJWT({iss: url, ...runClaims(now()), ...claims})
        .setProtectedHeader({alg: 'RS256', typ: 'JWT', kid: current.kid, ...header})
        .sign(current.privateKey),
    publicKey: () => current.publicKey,
    privateKey: () => current.privateKey,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  issuer.rotate('first')
  return issuer
}
