import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import type {Upstream, VerifiedVersion} from '../upstream/upstream.ts'
import {LOCK_FILE, type LockEntry, parseLock} from './lock-file.ts'
import {MAX_PIN_FILE_BYTES} from './pins/find-pin.ts'
import {checkLevel, currentVersion, type Files} from './plan.ts'
import type {Playbook} from './playbook.ts'
import {vendor} from './vendor.ts'

export type PinnedVendoring = {
  readonly playbook: Playbook
  readonly upstream: Upstream
  /** Top of the work tree whose pin is vendored, and where it is vendored to. */
  readonly folder: string
  /** File that takes what the commands print. */
  readonly log: string
}

/** What was vendored, and what the lock of that work tree says of the same version. */
export type Vendored = {
  readonly version: string
  readonly verified: VerifiedVersion
  readonly artifacts: LockEntry['artifacts']
  /** Absent where the lock has no entry, or one of another version. */
  readonly locked?: LockEntry
}

/**
 * Vendors the version that a work tree pins: found at upstream or in the cache, verified to the
 * playbook's level, put there by the playbook's commands. Whether the files are those of the lock is
 * for the caller to compare. Refuses as currentVersion, the upstream and vendor do.
 */
export async function vendorPinned(pinned: PinnedVendoring): Promise<Vendored> {
  const {playbook, upstream, folder, log} = pinned
  const version = currentVersion(playbook, filesIn(folder, playbook))
  const verified = await upstream.verify(await upstream.find(version), playbook.verify.min)
  checkLevel(playbook, verified)
  const artifacts = await vendor({playbook, folder, version, assets: verified.assets, log})
  const entry = parseLock(textIn(folder, LOCK_FILE)).get(playbook.item)
  return {version, verified, artifacts, ...(entry?.version === version ? {locked: entry} : {})}
}

/** The first file that is not as it was locked, in words; undefined when all are. */
export function differing({artifacts, locked}: Vendored): string | undefined {
  for (const {path, sha256} of locked?.artifacts ?? []) {
    const file = artifacts.find((it) => it.path === path)
    if (file?.sha256 === sha256) continue
    return `${path} comes back as ${file?.sha256 ?? 'nothing'}, the lock has ${sha256}`
  }
  return undefined
}

function filesIn(folder: string, {pins}: Playbook): Files {
  const files = new Map<string, Uint8Array>()
  for (const {file} of pins) {
    const path = join(folder, file)
    const stat = statIfThere(path)
    if (stat === undefined) continue
    if (!stat.isFile()) throw new RelError('pin_unsupported', `${file} is no regular file`)
    files.set(file, readFileLimited(path, MAX_PIN_FILE_BYTES))
  }
  return files
}

function textIn(folder: string, file: string): string | undefined {
  const path = join(folder, file)
  if (statIfThere(path) === undefined) return undefined
  return readFileLimited(path, MAX_PIN_FILE_BYTES).toString('utf8')
}
