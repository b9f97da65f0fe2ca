import {newUlid} from '../panel/admin/ulid.ts'
import {checkPublisher} from '../panel/oidc/run-identity.ts'
import type {Publisher, VerbName} from '../panel/store/store.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import {checkServiceUrl} from '../trust/sigstore/service-url.ts'
import type {Outcome} from './base-command.ts'
import type {PanelPlace} from './panel-flags.ts'
import {besidePanel, local} from './panel-place.ts'

type PublisherFlags = PanelPlace & {
  readonly 'repository-id': string
  readonly 'owner-id': string
  readonly workflow: string
  readonly ref: readonly string[]
  readonly environment?: string | undefined
  readonly issuer: string
  readonly verb: readonly VerbName[]
  readonly 'dry-run': boolean
}

/**
 * `rel panel publisher add`: the same rule again is no change.
 * Refuses with usage_invalid, product_unknown.
 */
export async function addPanelPublisher(product: string, flags: PublisherFlags): Promise<Outcome> {
  const {'repository-id': repositoryId, 'owner-id': ownerId, workflow, environment} = flags
  const rule = {
    product,
    issuer: checkServiceUrl(flags.issuer, '--issuer'),
    repositoryId,
    ownerId,
    workflow,
    refs: [...new Set(flags.ref)].toSorted(),
    ...(environment === undefined ? {} : {environment}),
    verbs: [...new Set(flags.verb)].toSorted(),
  }
  checkPublisher(rule)
  const isDryRun = flags['dry-run']
  const {publisher, isNew} = await besidePanel(flags, async ({store, clock}) => {
    if ((await store.product(product)) === undefined)
      throw new RelError('product_unknown', `the panel has no product ${product}`)
    const there = (await store.publishers()).find(
      (each) => !each.removed && canonicalJson(termsOf(each)) === canonicalJson(termsOf(rule)),
    )
    if (there !== undefined) return {publisher: there, isNew: false}
    const publisher = {...rule, id: newUlid(clock() * 1000), removed: false, created: clock()}
    if (!isDryRun) await store.addPublisher(publisher, local)
    return {publisher, isNew: true}
  })
  const {id, ...planned} = {...facts(publisher), changed: isNew, dry_run: isDryRun}
  if (isNew && isDryRun)
    return {result: planned, lines: ['It would be added', ...linesOf(publisher)]}
  const result = {id, ...planned}
  if (!isNew) return {result, lines: [`✔ Publisher ${id} says so already`]}
  return {
    result,
    lines: [`✔ Publisher ${id} is added`, ...linesOf(publisher)],
    undo: `rel panel publisher remove ${id} --data DIR`,
    next: 'permissions: {id-token: write} in the workflow, and rel publish without a token',
  }
}

/** `rel panel publisher list`. */
export async function listPanelPublishers(place: PanelPlace): Promise<Outcome> {
  const publishers = await besidePanel(place, ({store}) => store.publishers())
  return {
    result: {publishers: publishers.map(facts)},
    lines: publishers.flatMap((each) => [
      `${each.id}${each.removed ? '  removed' : ''}`,
      ...linesOf(each),
    ]),
  }
}

/** `rel panel publisher remove`. Refuses with publisher_unknown. */
export async function removePanelPublisher(id: string, place: PanelPlace): Promise<Outcome> {
  await besidePanel(place, ({store}) => store.removePublisher(id, local))
  return {
    result: {id, removed: true},
    lines: [`✔ Publisher ${id} is removed, its tokens with it. There is no undo: add it again.`],
  }
}

function termsOf({
  product,
  issuer,
  repositoryId,
  ownerId,
  workflow,
  refs,
  environment,
  verbs,
}: Omit<Publisher, 'id' | 'removed' | 'created'>): JsonObject {
  return {
    product,
    issuer,
    repository_id: repositoryId,
    owner_id: ownerId,
    workflow,
    refs: [...refs],
    ...(environment === undefined ? {} : {environment}),
    verbs: [...verbs],
  }
}

function facts(publisher: Publisher) {
  const {id, removed, created} = publisher
  return {id, ...termsOf(publisher), removed, created}
}

function linesOf({
  product,
  issuer,
  repositoryId,
  ownerId,
  workflow,
  refs,
  environment,
  verbs,
}: Publisher): string[] {
  return [
    `  ${verbs.join(' and ')} ${product}`,
    `  ${workflow} of repository ${repositoryId}, owner ${ownerId}, on ${refs.join(', ')}`,
    ...(environment === undefined ? [] : [`  environment ${environment}`]),
    `  vouched for by ${issuer}`,
  ]
}
