import type {Answer, Call} from './exchange.ts'

type Json = Record<string, unknown>

/** Fields that GitHub's description requires and emulate 0.12.2 leaves out of its answers. */
export function completed(call: Call, answer: Answer): Answer {
  if (answer.status >= 300 || typeof answer.body !== 'object' || Buffer.isBuffer(answer.body))
    return answer
  if (/^\/repos\/[^/]+\/[^/]+$/.test(call.path))
    return {...answer, body: {network_count: 0, subscribers_count: 0, ...answer.body}}
  if (/^\/repos\/[^/]+\/[^/]+\/branches\/[^/]+$/.test(call.path))
    return {...answer, body: branch(answer.body as Json)}
  if (/^\/repos\/[^/]+\/[^/]+\/pulls$/.test(call.path) && Array.isArray(answer.body))
    return {...answer, body: answer.body.map(labelled)}
  if (/\/pulls\/\d+\/requested_reviewers$/.test(call.path))
    return {...answer, body: labelled(answer.body as Json)}
  return answer
}

/** Of the commit only the id is known. */
function branch(body: Json): Json {
  const {sha, url} = body.commit as {sha: string; url: string}
  const inner = {
    url,
    author: null,
    committer: null,
    message: '',
    comment_count: 0,
    tree: {sha, url},
  }
  const people = {author: null, committer: null, parents: []}
  const commit = {sha, url, node_id: '', html_url: url, comments_url: url, ...people, commit: inner}
  const protection = {enabled: body.protected === true}
  return {...body, _links: {self: url, html: url}, protection, protection_url: url, commit}
}

function labelled(pull: Json): Json {
  const labels = (pull.labels ?? []) as readonly Json[]
  return {
    ...pull,
    labels: labels.map((label) => ({...label, description: label.description ?? ''})),
  }
}
