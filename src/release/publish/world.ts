import type {Http, HttpPieces} from '../../system/http.ts'
import type {Signer} from '../../trust/signer.ts'
import type {License} from '../license.ts'

/**
 * One call of GitHub's REST API by Octokit: `GET /repos/{owner}/{repo}/releases` and its parameters.
 * Refuses with http_not_found, http_unauthorised, http_refused (details.status), rate_limited and as
 * Http does.
 */
export type GitHubRequest = (
  route: string,
  parameters: Readonly<Record<string, unknown>>,
) => Promise<unknown>

/** A licence that is asked with, as a customer would. */
export type Probe = {
  /** For people: the file's name. */
  readonly name: string
  /** Without the word Bearer. */
  readonly token: string
  readonly license: License
}

/** Where unfinished uploads are, so that another run goes on with them. */
export type UploadJournal = {
  location(sha256: string): string | undefined
  remember(sha256: string, location: string): void
  forget(sha256: string): void
}

/** Everything that publishing touches. */
export type PublishWorld = {
  readonly http: Http
  readonly clock: {
    /** Milliseconds since the epoch. */
    now(): number
    sleep(ms: number): Promise<void>
  }
  /** From 0 to below 1. */
  readonly random: () => number
  /** Values of Authorization headers. */
  readonly panelAuthorization?: string
  /** Another value, instead of one that the panel has refused; the same again when there is none. */
  readonly renewPanelAuthorization?: (refused: string) => Promise<string>
  readonly githubAuthorization?: string
  readonly github?: GitHubRequest
  readonly probes: readonly Probe[]
  readonly journal: UploadJournal
  /** Bytes of a planned file from an offset on. */
  readFrom(path: string, offset: number, length: number): HttpPieces
  /** Signs the receipt; it is not signed where absent. */
  readonly receiptSigner?: Signer
  /** Keeps the receipt, durable once this returns. */
  keepReceipt(text: string): void
  readonly onStep?: (phase: 'begin' | 'end', step: string) => void
}
