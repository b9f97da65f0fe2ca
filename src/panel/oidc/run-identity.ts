import {RelError} from '../../system/error.ts'
import type {Publisher} from '../store/store.ts'

/** What an identity token says of a run, as far as publishers are told apart by it. */
export type RunIdentity = {
  readonly repositoryId: string
  readonly ownerId: string
  /** Path of the workflow file in its repository. */
  readonly workflow: string
  readonly ref: string
  readonly environment?: string
  /** For the audit log: `OWNER/NAME`, the commit, the number of the run. */
  readonly repository: string
  readonly sha: string
  readonly runId: string
}

/** Longest claim that is read; a ref of git has at most 255 bytes a part. */
const MAX_CLAIM = 1024

/**
 * The run of verified claims (docs.github.com: OpenID Connect reference). The workflow must be of
 * the ref that the token is for. Refuses with oidc_token_invalid.
 */
export function runIdentityOf(claims: Readonly<Record<string, unknown>>): RunIdentity {
  const repository = textOf(claims, 'repository')
  const ref = textOf(claims, 'ref')
  const workflowRef = textOf(claims, 'workflow_ref')
  const [head, tail] = [`${repository}/`, `@${ref}`]
  if (
    !workflowRef.startsWith(head) ||
    !workflowRef.endsWith(tail) ||
    workflowRef.length <= head.length + tail.length
  )
    throw invalid('workflow_ref is not of this repository and ref')
  const environment = claims.environment === undefined ? {} : textOf(claims, 'environment')
  return {
    repositoryId: textOf(claims, 'repository_id'),
    ownerId: textOf(claims, 'repository_owner_id'),
    workflow: workflowRef.slice(head.length, workflowRef.length - tail.length),
    ref,
    ...(typeof environment === 'string' ? {environment} : {}),
    repository,
    sha: textOf(claims, 'sha'),
    runId: textOf(claims, 'run_id'),
  }
}

function textOf(claims: Readonly<Record<string, unknown>>, name: string): string {
  const value = claims[name]
  if (typeof value === 'string' && value !== '' && value.length <= MAX_CLAIM) return value
  throw invalid(`${name} is missing or no text`)
}

/** Names of the claims by which a run is not this publisher; none when it is. */
export function strangeClaims(publisher: Publisher, run: RunIdentity): readonly string[] {
  const fits: readonly (readonly [string, boolean])[] = [
    ['repository_id', publisher.repositoryId === run.repositoryId],
    ['repository_owner_id', publisher.ownerId === run.ownerId],
    ['workflow_ref', publisher.workflow === run.workflow],
    ['ref', publisher.refs.some((rule) => isRef(rule, run.ref))],
    [
      'environment',
      publisher.environment === undefined || publisher.environment === run.environment,
    ],
  ]
  return fits.filter(([, isSame]) => !isSame).map(([name]) => name)
}

function isRef(rule: string, ref: string): boolean {
  return rule.endsWith('*') ? ref.startsWith(rule.slice(0, -1)) : ref === rule
}

const forms = {
  repositoryId: /^[1-9][0-9]{0,19}$/,
  ownerId: /^[1-9][0-9]{0,19}$/,
  // what GitHub runs; an @ would end the path early
  workflow: /^\.github\/workflows\/[A-Za-z0-9._-]{1,200}\.ya?ml$/,
  environment: /^[^\p{C}]{1,255}$/u,
} as const

const refForm = /^refs\/(?:heads|tags)\/[A-Za-z0-9._/+-]{0,200}\*?$/

/** As many patterns as a person can oversee. */
const MAX_REFS = 16

/** Refuses with usage_invalid what could fit more, or nothing, than somebody meant. */
export function checkPublisher(
  rule: Pick<Publisher, 'repositoryId' | 'ownerId' | 'workflow' | 'refs' | 'environment'>,
): void {
  for (const [name, form] of Object.entries(forms) as [keyof typeof forms, RegExp][]) {
    const value = rule[name]
    if (value !== undefined && !form.test(value))
      throw new RelError('usage_invalid', `${name} of the publisher has another form`)
  }
  if (rule.refs.length === 0 || rule.refs.length > MAX_REFS)
    throw new RelError('usage_invalid', `a publisher has 1 to ${MAX_REFS} refs`)
  const bad = rule.refs.find((ref) => !refForm.test(ref) || /^refs\/(?:heads|tags)\/$/.test(ref))
  if (bad !== undefined)
    throw new RelError('usage_invalid', `a ref is refs/heads/… or refs/tags/…, not ${bad}`)
}

export function invalid(why: string): RelError {
  return new RelError('oidc_token_invalid', `the identity token is not good: ${why}`)
}
