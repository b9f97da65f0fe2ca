import {createServer, type IncomingMessage} from 'node:http'
import type {AddressInfo} from 'node:net'

type Json = Readonly<Record<string, unknown>>
type Pull = {
  number: number
  title: string
  body: string
  head: string
  base: string
  author: string
  /** The repository that the branch is in; fleet/os when not given. */
  from?: string
}

/** An imitation of the part of Gitea's API that rel uses, written after its swagger; not Gitea. */
export type ImitationGitea = {
  /** With /api/v1. */
  readonly url: string
  readonly pulls: Pull[]
  /** Ids that were set, by pull request. */
  readonly labels: Map<number, readonly number[]>
  readonly reviewers: Map<number, readonly string[]>
  readonly dispatches: Json[]
  /** Answers the next call of a method with a status. */
  fail(method: string, status: number): void
  close(): Promise<void>
}

/** More than a page before the one that counts. */
const labels = [
  ...Array.from({length: 60}, (_, index) => ({id: 100 + index, name: `other-${index}`})),
  {id: 7, name: 'bump'},
]

type Answer = readonly [status: number, body?: unknown]

/** One repository fleet/os of the user octo, whose token is fake-token, with the label bump (7) behind 60 others. */
export async function startImitationGitea(): Promise<ImitationGitea> {
  const state = {
    pulls: [] as Pull[],
    labels: new Map<number, readonly number[]>(),
    reviewers: new Map<number, readonly string[]>(),
    dispatches: [] as Json[],
  }
  const faults: [string, number][] = []
  const server = createServer(async (message, response) => {
    const body = await jsonOf(message)
    const fault = faults.findIndex(([method]) => method === message.method)
    const [status, answer] =
      message.headers.authorization !== 'Bearer fake-token'
        ? [401, {message: 'token is required'}]
        : fault === -1
          ? answerOf(message.method ?? '', new URL(message.url ?? '/', url), body)
          : [faults.splice(fault, 1)[0]?.[1] ?? 500, {message: 'as told'}]
    response.writeHead(status, {'content-type': 'application/json'})
    response.end(answer === undefined ? '' : JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  function answerOf(method: string, {pathname, searchParams}: URL, body: Json): Answer {
    const route = `${method} ${pathname.replace('/api/v1/repos/fleet/os/', '')}`
    const index = Number(/\/(\d+)/.exec(route)?.[1])
    const pull = state.pulls.find(({number}) => number === index)
    if (method === 'GET' && pathname === '/api/v1/repos/fleet/os')
      return [200, {full_name: 'fleet/os', permissions: {admin: false, push: true, pull: true}}]
    if (route === 'GET pulls') return [200, paged(state.pulls, searchParams).map(shown)]
    if (route === 'POST pulls') return create(body)
    if (route === 'GET labels') return [200, paged(labels, searchParams)]
    if (route === 'POST actions/workflows/build.yaml/dispatches') {
      state.dispatches.push(body)
      return [204]
    }
    if (pull === undefined) return [404, {message: 'not found'}]
    if (method === 'PATCH') return [201, shown(Object.assign(pull, body))]
    if (route.endsWith('/labels')) state.labels.set(index, body.labels as number[])
    else if (route.endsWith('/requested_reviewers'))
      state.reviewers.set(index, body.reviewers as string[])
    return [200, []]
  }

  function create(body: Json): Answer {
    const {title, body: text, head, base} = body as Record<string, string>
    if (state.pulls.some((it) => it.head === head && it.base === base && it.from === undefined))
      return [409, {message: 'pull request already exists for these targets'}]
    const pull = {
      number: state.pulls.length + 1,
      title: title ?? '',
      body: text ?? '',
      head: head ?? '',
      base: base ?? '',
      author: 'octo',
    }
    state.pulls.push(pull)
    return [201, shown(pull)]
  }

  function shown({number, title, body, head, base, author, from = 'fleet/os'}: Pull): object {
    return {
      number,
      title,
      body,
      html_url: `${url}/fleet/os/pulls/${number}`,
      user: {login: author},
      head: {ref: head, repo: from === '' ? null : {full_name: from}},
      base: {ref: base},
    }
  }

  return {
    ...state,
    url: `${url}/api/v1`,
    fail: (method, status) => faults.push([method, status]),
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function paged<T>(all: readonly T[], query: URLSearchParams): readonly T[] {
  const size = Number(query.get('limit') ?? 50)
  const start = (Number(query.get('page') ?? 1) - 1) * size
  return all.slice(start, start + size)
}

async function jsonOf(message: IncomingMessage): Promise<Json> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  return text === '' ? {} : (JSON.parse(text) as Json)
}
