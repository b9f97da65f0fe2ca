import {homedir} from 'node:os'
import {basename, dirname, join} from 'node:path'
import {setTimeout} from 'node:timers/promises'
import {licenseHeader, licenseLimits, parseLicense} from '../release/license-file.ts'
import {
  type LoadedRelease,
  loadRelease,
  openUploadJournal,
  readFrom,
} from '../release/publish/files.ts'
import {type PublishPlan, planPublish} from '../release/publish/plan.ts'
import type {GitHubRequest, Probe, PublishWorld} from '../release/publish/world.ts'
import {ContentCache} from '../system/content-cache.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {sha256Hex} from '../system/hash.ts'
import type {Http} from '../system/http.ts'
import {makeHttp} from '../system/http-client.ts'
import type {Signer} from '../trust/signer.ts'
import {octokitError, openOctokit} from '../upstream/github-release/octokit.ts'
import {apiAddress, isToken, tokenFile} from './panel-client.ts'
import type {TargetFlagValues} from './publish-flags.ts'
import {publisherAuthorization} from './publish-identity.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Notes are cut at 125,000 characters of at most four bytes by the plan. */
const MAX_NOTES = 1024 * 1024

/** What of a plan only rel publish decides. */
export type Publication = {
  readonly createsTag: boolean
  readonly title?: string | undefined
  /** A file. */
  readonly notes?: string | undefined
}

/**
 * The release and what is to be done with it, without a token or the network. Refuses as loadRelease
 * and planPublish do, with usage_invalid.
 */
export async function planFromFlags(
  path: string,
  flags: TargetFlagValues,
  {createsTag, title, notes}: Publication,
  readsArtifacts: boolean,
): Promise<{
  readonly plan: PublishPlan
  readonly loaded: LoadedRelease
  readonly manifest: string
}> {
  const manifest = manifestPath(path)
  const loaded = await loadRelease({
    manifest,
    attachments: flags.attach ?? [],
    withSidecars: flags.github !== undefined && flags.sidecars,
    withSigstore: flags.sidecars,
    readsArtifacts,
  })
  const {file} = loaded.manifest
  const tag = flags.tag ?? `v${file.release.version}`
  const plan = planPublish({
    file,
    assets: loaded.assets,
    ...(flags.panel === undefined ? {} : {panel: {url: apiAddress(flags.panel, '--panel')}}),
    ...(flags.github === undefined
      ? {}
      : {
          github: {
            apiUrl: apiAddress(flags['github-api'], '--github-api'),
            repository: repositoryOf(flags.github),
            tag,
            createsTag,
            title: title ?? tag,
            notes: notes === undefined ? '' : readFileLimited(notes, MAX_NOTES).toString('utf8'),
            mustBeImmutable: flags.immutable,
          },
        }),
  })
  return {plan, loaded, manifest}
}

function manifestPath(path: string): string {
  return statIfThere(path)?.isDirectory() === true ? join(path, 'release.json') : path
}

function repositoryOf(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9-]{0,38}\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/.test(text)) return text
  throw new RelError('usage_invalid', '--github is not OWNER/NAME')
}

/** Where the receipt goes when nobody says so. */
export function receiptPath(manifest: string): string {
  return join(dirname(manifest), 'publish-receipt.json')
}

export type WorldOptions = {
  readonly probes?: readonly string[]
  readonly receipt?: string
  readonly onStep?: PublishWorld['onStep']
  readonly receiptSigner?: Signer
}

/** The real world of a plan. Refuses as publisherAuthorization does, with github_token_missing. */
export async function worldFor(
  plan: PublishPlan,
  flags: TargetFlagValues,
  env: Environment,
  {probes = [], receipt, onStep, receiptSigner}: WorldOptions = {},
): Promise<PublishWorld & {close(): void}> {
  const cache = new ContentCache(join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rel'))
  const http = makeHttp({cache, userAgent: 'rel', proxyEnv: env})
  const journal = openUploadJournal(journalPath(plan, env))
  const {panel, github, product} = plan
  const githubToken = github === undefined ? undefined : githubTokenFrom(flags, env)
  const access =
    panel && (await publisherAuthorization(http, flags, env, {url: panel.url, product}))
  return {
    http,
    clock: {
      now: () => Date.now(),
      sleep: async (ms) => {
        await setTimeout(ms)
      },
    },
    random: Math.random,
    probes: probes.map(probeFrom),
    journal,
    readFrom,
    keepReceipt: (text) => {
      if (receipt !== undefined) writeFileAtomic(receipt, text)
    },
    ...(onStep === undefined ? {} : {onStep}),
    ...(receiptSigner === undefined ? {} : {receiptSigner}),
    ...access,
    ...(github === undefined || githubToken === undefined
      ? {}
      : {
          githubAuthorization: `Bearer ${githubToken}`,
          github: githubRequest(http, github.apiUrl, githubToken),
        }),
    close: () => journal.close(),
  }
}

/** Beside the state of other programs, never in the folder that is published. */
function journalPath({panel, digest}: PublishPlan, env: Environment): string {
  const state = env.XDG_STATE_HOME || join(homedir(), '.local', 'state')
  const name = sha256Hex(`${panel?.url ?? ''} ${digest}`).slice(0, 32)
  return join(state, 'rel', 'publish', `${name}.json`)
}

function githubTokenFrom({'github-token-file': file}: TargetFlagValues, env: Environment): string {
  const text = file === undefined ? env.REL_GITHUB_TOKEN || env.GITHUB_TOKEN : tokenFile(file)
  const token = text?.trim() ?? ''
  if (isToken(token)) return token
  throw new RelError('github_token_missing', 'there is no token for GitHub')
}

function probeFrom(path: string): Probe {
  const file = parseLicense(readFileLimited(path, 3 * licenseLimits.bytes))
  return {name: basename(path), token: licenseHeader(file), license: file.license}
}

/** Octokit as the publisher asks it. Nothing is loaded before the first call. */
export function githubRequest(http: Http, baseUrl: string, token: string): GitHubRequest {
  let opening: ReturnType<typeof openOctokit> | undefined
  return async (route, parameters) => {
    opening ??= openOctokit({http, baseUrl, token})
    const octokit = await opening
    try {
      const {data} = await octokit.request(route, parameters)
      return data as unknown
    } catch (error) {
      throw octokitError(error, route)
    }
  }
}
