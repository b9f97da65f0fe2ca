import type {Octokit} from '@octokit/rest'
import {RelError} from '../../system/error.ts'
import {type GitCommit, type GitTree, parseCommit, parseTree} from './git-objects.ts'
import {type OctokitOptions, octokitError, openOctokit} from './octokit.ts'
import {type GitRef, parseRef, parseRefs, parseRelease, type Release} from './release.ts'

/** Commit that a tag stands for; an annotated tag is an object of its own. */
export type TagTarget = {readonly commit: string; readonly tagObject?: string}

/** Bytes of one file of the repository, such as a changelog. */
const MAX_FILE_BYTES = 8 * 1024 * 1024

/**
 * The few calls that a bump needs, each asked once per run: they count against 60 an hour where
 * there is no token. Refuses as `Http` does, and with upstream_answer_malformed.
 */
export class GitHubApi {
  readonly #options: OctokitOptions
  readonly #owner: string
  readonly #repo: string
  readonly #asked = new Map<string, Promise<unknown>>()
  #octokit: Promise<Octokit> | undefined

  constructor(repository: string, options: OctokitOptions) {
    const [owner = '', repo = ''] = repository.split('/')
    this.#owner = owner
    this.#repo = repo
    this.#options = options
  }

  /** The published release of a tag; undefined when there is none. */
  release(tag: string): Promise<Release | undefined> {
    return this.#ask(`release ${tag}`, async (octokit) => {
      const {data} = await octokit.rest.repos.getReleaseByTag({...this.#names(), tag})
      return parseRelease(data, tag)
    })
  }

  /** What a tag points at; undefined when it does not exist. */
  async tagTarget(tag: string): Promise<TagTarget | undefined> {
    const ref = await this.#ask(`tag ${tag}`, async (octokit) => {
      const {data} = await octokit.rest.git.getRef({...this.#names(), ref: `tags/${tag}`})
      return parseRef(data, `tag ${tag}`)
    })
    return ref === undefined ? undefined : this.targetOf(ref)
  }

  /** The commit behind a reference, through annotated tags. */
  async targetOf({object, ref}: GitRef): Promise<TagTarget> {
    if (object.type === 'commit') return {commit: object.sha}
    if (object.type !== 'tag')
      throw new RelError('upstream_answer_malformed', `${ref} is a ${object.type}, want a commit`)
    const inner = await this.#ask(`tag object ${object.sha}`, async (octokit) => {
      const {data} = await octokit.rest.git.getTag({...this.#names(), tag_sha: object.sha})
      return parseRef({ref, object: data.object}, ref)
    })
    if (inner?.object.type !== 'commit')
      throw new RelError('upstream_answer_malformed', `${ref} does not lead to a commit`)
    return {commit: inner.object.sha, tagObject: object.sha}
  }

  /** All tags that begin with `prefix`. */
  async tags(prefix: string): Promise<readonly GitRef[]> {
    const refs = await this.#ask(`tags ${prefix}`, async (octokit) => {
      const {data} = await octokit.rest.git.listMatchingRefs({
        ...this.#names(),
        ref: `tags/${prefix}`,
      })
      return parseRefs(data)
    })
    return refs ?? []
  }

  /** A commit with the id of its tree; undefined when it does not exist. */
  commit(id: string): Promise<GitCommit | undefined> {
    return this.#ask(`commit ${id}`, async (octokit) => {
      const {data} = await octokit.rest.git.getCommit({...this.#names(), commit_sha: id})
      return parseCommit(data, id)
    })
  }

  /** The entries of one folder, without those of the folders in it. */
  tree(id: string): Promise<GitTree | undefined> {
    return this.#ask(`tree ${id}`, async (octokit) => {
      const {data} = await octokit.rest.git.getTree({...this.#names(), tree_sha: id})
      return parseTree(data, id)
    })
  }

  /** A text file at a commit; undefined when it is not there. */
  file(path: string, ref: string): Promise<string | undefined> {
    return this.#ask(`file ${path} ${ref}`, async (octokit) => {
      const {data} = await octokit.rest.repos.getContent({
        ...this.#names(),
        path,
        ref,
        mediaType: {format: 'raw'},
      })
      const raw: unknown = data
      const bytes = raw instanceof ArrayBuffer ? Buffer.from(raw) : Buffer.from(String(raw))
      return bytes.length > MAX_FILE_BYTES ? undefined : bytes.toString('utf8')
    })
  }

  /** Sigstore bundles that attest a digest: untrusted, as they came. */
  async attestations(sha256: string): Promise<readonly unknown[]> {
    const bundles = await this.#ask(`attestations ${sha256}`, async (octokit) => {
      const {data} = await octokit.request(
        'GET /repos/{owner}/{repo}/attestations/{subject_digest}',
        {...this.#names(), subject_digest: `sha256:${sha256}`},
      )
      return (data.attestations ?? []).map(({bundle}) => bundle as unknown)
    })
    return bundles ?? []
  }

  #names(): {owner: string; repo: string} {
    return {owner: this.#owner, repo: this.#repo}
  }

  /** One answer per question; 404 is undefined. */
  #ask<T>(what: string, call: (octokit: Octokit) => Promise<T>): Promise<T | undefined> {
    const before = this.#asked.get(what) as Promise<T | undefined> | undefined
    if (before !== undefined) return before
    this.#octokit ??= openOctokit(this.#options)
    const asked = this.#octokit.then(call).catch((error: unknown) => {
      const refusal = octokitError(error, `${what} of ${this.#owner}/${this.#repo}`)
      if (refusal.code === 'http_not_found') return undefined
      throw refusal
    })
    this.#asked.set(what, asked)
    return asked
  }
}
