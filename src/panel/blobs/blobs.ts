import type {FileHandle} from 'node:fs/promises'

/**
 * Content-addressed bytes of artifacts. A blob is visible whole, under its SHA-256, or not at all.
 * One conformance suite (test/unit/panel/blobs-conformance.ts) runs over every implementation.
 */
export type BlobStore = {
  /** What to call it in output: a path or a URL without its secrets. */
  readonly label: string

  /** Size in bytes of a blob, undefined when absent. */
  stat(sha256: string): Promise<number | undefined>

  /** When it was last put, in seconds since the epoch; undefined when absent. */
  storedAt(sha256: string): Promise<number | undefined>

  /**
   * Stores bytes under the digest that was announced, computed again on the way; idempotent, and
   * it mends a blob whose bytes were damaged. Refuses with blob_mismatch (size or digest; nothing is kept), store_full, store_read_only.
   */
  put(sha256: string, size: number, bytes: AsyncIterable<Uint8Array>): Promise<void>

  /**
   * The bytes from `start` to `end` (exclusive). One descriptor a call, closed whatever happens.
   * Refuses with blob_missing.
   */
  read(
    sha256: string,
    range?: {readonly start: number; readonly end: number},
  ): AsyncIterable<Uint8Array>

  /**
   * The blob as an open file, where blobs are local files: whoever opened it closes it, and nobody
   * else has its descriptor. Refuses with blob_missing, store_failed.
   */
  open?(sha256: string): Promise<FileHandle>

  /** Reads the blob again; false when its bytes no longer have their digest, or are not there. */
  rehash(sha256: string): Promise<boolean>

  /** All digests there are, in no order. */
  list(): AsyncIterable<string>

  /** Removes one blob; for garbage collection alone. */
  remove(sha256: string): Promise<void>

  /** An address that hands the bytes out for at most `seconds`, where the store can (S3). */
  presign?(sha256: string, seconds: number, fileName: string): Promise<string>

  /** Path for `X-Accel-Redirect` below the blobs' root, where bytes are local files. */
  localPath?(sha256: string): string

  /** Removes what puts left unfinished so many seconds ago, and says how many there were. */
  sweep(seconds: number): Promise<number>

  /** Whether it can be written at all; refuses with store_full, store_read_only, store_failed. */
  checkWritable(): Promise<void>

  close(): Promise<void>
}

/** Uploads under way: bytes arrive in pieces, in order, and become a blob at the end. */
export type UploadStore = {
  /** Creates an upload of known size under an id of letters and digits; refuses with store_full when it cannot fit. */
  create(upload: {readonly id: string; readonly size: number}): Promise<void>

  /** Bytes that are safely stored so far; undefined when there is no such upload. */
  offset(id: string): Promise<number | undefined>

  /**
   * Appends at `offset` and returns the new one; what arrived before an abort is kept.
   * Refuses with upload_offset_wrong (details: offset), upload_too_long, upload_unknown,
   * upload_busy, store_full.
   */
  append(id: string, offset: number, bytes: AsyncIterable<Uint8Array>): Promise<number>

  /**
   * Makes a complete upload a blob. Refuses with upload_incomplete, upload_unknown, upload_busy,
   * and with blob_mismatch, after which the upload is gone.
   */
  finish(id: string, sha256: string, into: BlobStore): Promise<void>

  remove(id: string): Promise<void>

  /** Ids of uploads that nobody wrote to for so many seconds. */
  stale(seconds: number): AsyncIterable<string>
}
