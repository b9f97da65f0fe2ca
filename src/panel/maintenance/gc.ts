import type {BlobStore, UploadStore} from '../blobs/blobs.ts'
import type {PanelStore} from '../store/store.ts'

export type GarbageOptions = {
  /** Nothing younger than this is touched, so that publishers at work lose nothing. */
  readonly graceSecs: number
  /** Seconds since the epoch. */
  readonly now: number
  /** Only counts. */
  readonly isDryRun?: boolean
}

export type GarbageReport = {
  readonly blobs: number
  readonly bytes: number
  readonly uploads: number
  /** Files that interrupted writes left behind; not counted in a dry run. */
  readonly orphans: number
}

type Stores = {
  readonly store: PanelStore
  readonly blobs: BlobStore
  readonly uploads: UploadStore
}

/**
 * Removes blobs that no release and no upload names, uploads that expired or were left, and what
 * killed processes left behind; safe beside a running panel.
 */
export async function collectGarbage(
  stores: Stores,
  options: GarbageOptions,
): Promise<GarbageReport> {
  const uploads = await removeUploads(stores, options)
  const orphans = options.isDryRun === true ? 0 : await stores.blobs.sweep(options.graceSecs)
  const live = new Set<string>()
  for await (const sha256 of stores.store.liveBlobs()) live.add(sha256)
  let [count, bytes] = [0, 0]
  for await (const sha256 of stores.blobs.list()) {
    if (live.has(sha256)) continue
    const size = await removeBlob(stores, sha256, options)
    if (size === undefined) continue
    count++
    bytes += size
  }
  return {blobs: count, bytes, uploads, orphans}
}

/** The age is looked at again when nothing can begin to name the blob any more. */
async function removeBlob(
  {store, blobs}: Stores,
  sha256: string,
  options: GarbageOptions,
): Promise<number | undefined> {
  const size = await blobs.stat(sha256)
  if (size === undefined || !(await isOld(blobs, sha256, options))) return undefined
  if (options.isDryRun === true) return size
  let isGone = false
  await store.unlessLive(sha256, async () => {
    if (!(await isOld(blobs, sha256, options))) return
    await blobs.remove(sha256)
    isGone = true
  })
  return isGone ? size : undefined
}

async function isOld(
  blobs: BlobStore,
  sha256: string,
  {graceSecs, now}: GarbageOptions,
): Promise<boolean> {
  const stored = await blobs.storedAt(sha256)
  return stored !== undefined && now - stored >= graceSecs
}

async function removeUploads(
  {store, uploads}: Stores,
  {graceSecs, now, isDryRun = false}: GarbageOptions,
): Promise<number> {
  const expired = new Set((await store.expiredUploads(now)).map(({id}) => id))
  for await (const id of uploads.stale(graceSecs)) {
    const row = await store.upload(id)
    if (row === undefined || row.expires < now) expired.add(id)
  }
  if (isDryRun) return expired.size
  for (const id of expired) {
    await uploads.remove(id)
    await store.removeUpload(id)
  }
  return expired.size
}
