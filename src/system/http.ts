/**
 * HTTP as data: what asks and what answers can be recorded and played again. Nothing here knows
 * a forge or an archive. `send` is for answers that fit into memory, `download` for files.
 */
export type Http = {
  /**
   * One exchange with redirects, retries and revalidation done. Any status below 500 is an answer,
   * also 404. Refuses with http_unreachable, http_timeout, http_truncated, http_server_error,
   * http_malformed, http_too_large, http_certificate_refused, http_redirect_refused, rate_limited.
   */
  send(request: HttpRequest): Promise<HttpResponse>
  /**
   * A file into the content cache, with its SHA-256 on the way. Refuses as `send` does, with
   * http_not_found, http_unauthorised, http_refused for every status but 200, and with
   * http_digest_mismatch for other bytes than `sha256` asked for. May return without any request
   * when those bytes are in the cache already.
   */
  download(request: DownloadRequest): Promise<Downloaded>
}

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** Names in lower case. */
export type HttpHeaders = Readonly<Record<string, string>>

export type HttpRequest = {
  /** GET when not given. GET and HEAD alone are tried again after a failure with unknown effect. */
  readonly method?: HttpMethod
  /** https, or http where the caller's configuration says so; without user and password. */
  readonly url: string
  /** Never holds a secret: a recording keeps it. */
  readonly headers?: HttpHeaders
  /** The value of the authorization header: never recorded, logged or sent to another origin. */
  readonly authorization?: string | undefined
  readonly body?: Uint8Array | HttpPieces
  /** Bytes of the answer's body, after decompression; 16 MiB when not given. */
  readonly maxBytes?: number
  /** 'return' gives 3xx answers as they came; followed when not given, GET and HEAD only. */
  readonly redirects?: 'follow' | 'return'
  /** False for answers that must not be kept for revalidation; GET answers are kept else. */
  readonly isKept?: boolean
}

/** A body that is read while it is sent, so that its size costs no memory. */
export type HttpPieces = {
  /** Bytes in all; the pieces must come to exactly this. */
  readonly size: number
  /** From the start, each time that the request is sent. */
  open(): AsyncIterable<Uint8Array>
}

export type HttpResponse = {
  readonly status: number
  /** After redirects. */
  readonly url: string
  readonly headers: HttpHeaders
  readonly body: Buffer
  /** True when the server said 304 and the body was kept from before. */
  readonly isRevalidated: boolean
}

export type DownloadRequest = {
  readonly url: string
  readonly headers?: HttpHeaders
  readonly authorization?: string | undefined
  /** A download is refused as soon as it is known to be longer. */
  readonly maxBytes: number
  /** 64 lower-case hex digits, when somebody vouches for them. */
  readonly sha256?: string | undefined
  /** Called with the bytes so far and, when known, all of them: for progress. */
  readonly onProgress?: (done: number, total: number | undefined) => void
}

export type Downloaded = {
  /** A read-only file of the content cache, named by its digest. */
  readonly path: string
  /** 64 lower-case hex digits, computed from the bytes at `path` in this very call. */
  readonly sha256: string
  readonly size: number
  /** Bytes of the body that came over the wire: 0 when the cache had them. */
  readonly fetched: number
}
