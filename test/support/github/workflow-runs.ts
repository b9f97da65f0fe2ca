import {type Answer, type Call, jsonOf, notFound, type Route} from './exchange.ts'
import {user} from './release-store.ts'

export type Dispatch = {
  readonly repository: string
  readonly workflow: string
  readonly ref: string
  readonly inputs: Readonly<Record<string, unknown>>
  /** Number of the run that it started. */
  readonly run: number
  /** What a run ends as; a test may change it before it is read back. */
  status: 'queued' | 'in_progress' | 'completed'
  conclusion: 'success' | 'failure' | null
}

/**
 * Workflow dispatch and reading the run back, for which emulate 0.12.2 has no way to make a
 * workflow. `workflows` maps a repository to the file names that it has.
 */
export function workflowRoute(
  url: string,
  workflows: ReadonlyMap<string, readonly string[]>,
  dispatches: Dispatch[],
): Route {
  return (call) => {
    const [, repository = '', rest = ''] =
      /^\/repos\/([^/]+\/[^/]+)\/actions\/(.+)$/.exec(call.path) ?? []
    if (repository === '') return undefined
    const started = /^workflows\/([^/]+)\/dispatches$/.exec(rest)?.[1]
    const listed = /^workflows\/([^/]+)\/runs$/.exec(rest)?.[1]
    const run = /^runs\/(\d+)$/.exec(rest)?.[1]
    const known = workflows.get(repository) ?? []
    if (call.method === 'POST' && started !== undefined)
      return known.includes(started) ? dispatch(call, repository, started, dispatches) : notFound()
    const runs = dispatches.filter((one) => one.repository === repository)
    if (call.method === 'GET' && listed !== undefined) {
      if (!known.includes(listed)) return notFound()
      const shown = runs.filter((one) => one.workflow === listed).map((one) => json(url, one))
      return {status: 200, body: {total_count: shown.length, workflow_runs: shown.reverse()}}
    }
    const found = runs.find((one) => one.run === Number(run))
    if (call.method !== 'GET' || run === undefined) return undefined
    return found === undefined ? notFound() : {status: 200, body: json(url, found)}
  }
}

function dispatch(
  call: Call,
  repository: string,
  workflow: string,
  dispatches: Dispatch[],
): Answer {
  if (call.login === undefined) return notFound()
  const {ref, inputs = {}} = jsonOf(call) as {ref: string; inputs?: Record<string, unknown>}
  const run = 7000 + dispatches.length
  dispatches.push({repository, workflow, ref, inputs, run, status: 'queued', conclusion: null})
  return {status: 204}
}

function json(url: string, one: Dispatch): object {
  const api = `${url}/repos/${one.repository}`
  const runUrl = `${api}/actions/runs/${one.run}`
  return {
    id: one.run,
    name: one.workflow,
    node_id: `WFR_${one.run}`,
    head_branch: one.ref,
    head_sha: '0'.repeat(40),
    path: `.github/workflows/${one.workflow}`,
    display_title: one.workflow,
    run_number: one.run - 6999,
    run_attempt: 1,
    event: 'workflow_dispatch',
    status: one.status,
    conclusion: one.conclusion,
    workflow_id: 1,
    url: runUrl,
    html_url: `${url}/${one.repository}/actions/runs/${one.run}`,
    pull_requests: [],
    created_at: '2025-03-31T09:00:00Z',
    updated_at: '2025-03-31T09:00:00Z',
    run_started_at: '2025-03-31T09:00:00Z',
    actor: user(url, 'octo'),
    triggering_actor: user(url, 'octo'),
    jobs_url: `${runUrl}/jobs`,
    logs_url: `${runUrl}/logs`,
    check_suite_url: `${api}/check-suites/1`,
    artifacts_url: `${runUrl}/artifacts`,
    cancel_url: `${runUrl}/cancel`,
    rerun_url: `${runUrl}/rerun`,
    previous_attempt_url: null,
    workflow_url: `${api}/actions/workflows/1`,
    head_commit: null,
    repository: minimalRepository(url, one.repository),
    head_repository: minimalRepository(url, one.repository),
  }
}

/** The required part of the schema minimal-repository, whose addresses all follow one rule. */
function minimalRepository(url: string, repository: string): object {
  const [owner = '', name = ''] = repository.split('/')
  const api = `${url}/repos/${repository}`
  const addresses = [
    'archive',
    'assignees',
    'blobs',
    'branches',
    'collaborators',
    'comments',
    'commits',
    'compare',
    'contents',
    'contributors',
    'deployments',
    'downloads',
    'events',
    'forks',
    'git_commits',
    'git_refs',
    'git_tags',
    'hooks',
    'issue_comment',
    'issue_events',
    'issues',
    'keys',
    'labels',
    'languages',
    'merges',
    'milestones',
    'notifications',
    'pulls',
    'releases',
    'stargazers',
    'statuses',
    'subscribers',
    'subscription',
    'tags',
    'teams',
    'trees',
  ].map((word) => [`${word}_url`, `${api}/${word}`])
  return {
    id: 1,
    node_id: 'R_1',
    name,
    full_name: repository,
    owner: user(url, owner),
    private: false,
    html_url: `${url}/${repository}`,
    description: null,
    fork: false,
    url: api,
    ...Object.fromEntries(addresses),
  }
}
