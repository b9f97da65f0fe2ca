import {hash} from 'node:crypto'
import {RelError} from '../../system/error.ts'
import type {BucketLimit, PanelLimits} from '../panel.ts'

/** What a panel allows when nobody says otherwise. */
export const defaultLimits: PanelLimits = {
  bodyBytes: 1024 * 1024, // a release manifest of 1,000 artifacts is 400 KB
  headerBytes: 16 * 1024, // a licence is at most 6 KB
  headerSecs: 10,
  requestSecs: 6 * 3600, // 2 GB at 100 KB/s
  idleSecs: 60,
  minBytesPerSec: 1024,
  connections: 20_000,
  perCredential: {perSec: 50, burst: 500}, // a publisher with 1,000 artifacts, a node that starts
  perAddress: {perSec: 2000, burst: 10_000}, // a fleet behind one address
  uploadBytes: 2 ** 31 - 1, // as large as an artifact may be
  uploadSecs: 24 * 3600,
  openUploads: 1000, // as many as a release has artifacts
  openUploadBytes: 64 * 2 ** 30, // of a stolen token; the free space is watched besides
}

/** Buckets that are remembered; the oldest are forgotten first. */
const MAX_BUCKETS = 50_000

/** Longer names are kept as their digest: a header is 16 KB of whatever its sender likes. */
const MAX_NAME = 64

type Bucket = {tokens: number; atMs: number}

/** Token buckets by name: `take` says how long to wait, 0 when it may go on. */
export class Buckets {
  readonly #limit: BucketLimit
  readonly #buckets = new Map<string, Bucket>()

  constructor(limit: BucketLimit) {
    this.#limit = limit
  }

  /** Seconds until the next token, rounded up; 0 when one was taken. */
  take(name: string, nowMs: number): number {
    return this.#take(name.length > MAX_NAME ? hash('sha256', name, 'base64') : name, nowMs)
  }

  #take(name: string, nowMs: number): number {
    const {perSec, burst} = this.#limit
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) {
      this.#add(name, {tokens: burst - 1, atMs: nowMs})
      return 0
    }
    const refilled = bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSec
    bucket.tokens = Math.min(burst, refilled)
    bucket.atMs = nowMs
    if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / perSec))
    bucket.tokens -= 1
    return 0
  }

  #add(name: string, bucket: Bucket): void {
    if (this.#buckets.size >= MAX_BUCKETS) {
      const oldest = this.#buckets.keys().next()
      if (oldest.done !== true) this.#buckets.delete(oldest.value)
    }
    this.#buckets.set(name, bucket)
  }
}

/** Refuses with rate_limited when a bucket is empty. */
export function checkRate(buckets: Buckets, name: string): void {
  const wait = buckets.take(name, performance.now())
  if (wait === 0) return
  const message = `too many requests, wait ${wait} s`
  throw new RelError('rate_limited', message, {details: {retry_after: wait}})
}

/**
 * Whose bucket an address shares: of IPv6 its /64, which is what one customer gets and may number
 * through; of IPv4 the address. Connections without one, or that are gone already, share a name.
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return 'none'
  if (!address.includes(':') || address.includes('.')) return address
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? []
  const [first, last] = [head, tail ?? ''].map((part) =>
    part.split(':').filter((each) => each !== ''),
  )
  const gap = tail === undefined ? 0 : 8 - (first?.length ?? 0) - (last?.length ?? 0)
  const groups = [...(first ?? []), ...Array<string>(Math.max(0, gap)).fill('0'), ...(last ?? [])]
  return `${groups.slice(0, 4).join(':')}::/64`
}
