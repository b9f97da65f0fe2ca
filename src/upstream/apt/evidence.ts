import type {ErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {type Drift, type Fact, type IntegrityLevel, integrityLevels} from '../upstream.ts'
import type {SignedPackage, SignedSuite} from './archive.ts'
import {snapshotIdAt} from './snapshot-id.ts'

/** A signed archive proves who published, not how it was built: L4 is out of reach. */
export const archiveLevel = 'L3' satisfies IntegrityLevel

/** Refuses with integrity_too_low what a signed archive cannot give. */
export function checkMinimum(minimum: IntegrityLevel): void {
  if (integrityLevels.indexOf(minimum) <= integrityLevels.indexOf(archiveLevel)) return
  throw new RelError(
    'integrity_too_low',
    `a signed archive gives ${archiveLevel}, the playbook demands ${minimum}`,
  )
}

/** That a suite was signed, by whom, and which state of it. */
export function suiteFact({wish, release, file, signers, engines}: SignedSuite): Fact {
  const seconded = engines.length === 0 ? 'no second program' : `${engines.join(' and ')} agree`
  const until =
    release.validUntil === undefined ? '' : `, valid until ${snapshotIdAt(release.validUntil)}`
  return {
    subject: `${wish.suite} ${file}`,
    check: file === 'InRelease' ? 'InRelease signature' : 'signature in Release.gpg',
    by: signers.join(', '),
    level: archiveLevel,
    detail: `dated ${snapshotIdAt(release.date)}${until}; ${seconded}`,
  }
}

/** That a package stands in the signed index of a suite. */
export function packageFact(entry: SignedPackage, arch: string): Fact {
  return {
    subject: `${entry.name} ${arch}`,
    check: 'SHA-256 in the signed index',
    by: entry.suite.wish.suite,
    level: archiveLevel,
    detail: `version ${entry.version}, SHA-256 ${entry.sha256}`,
  }
}

export function suiteLock({wish, url, release, sha256, signers}: SignedSuite): JsonObject {
  return {suite: wish.suite, url, date: snapshotIdAt(release.date), sha256, signers: [...signers]}
}

export function packageLock(entry: SignedPackage, arch: string): JsonObject {
  const {name, version, size, sha256, filename, suite} = entry
  return {name, arch, version, size, sha256, filename, suite: suite.wish.suite}
}

/**
 * What of a list in a lock is no longer so: entries are matched by the fields in `key` and compared
 * by their SHA-256. `code` is for another digest, `goneCode` for an entry that is gone.
 */
export function driftOf(
  locked: JsonValue | undefined,
  seen: readonly JsonObject[],
  key: readonly string[],
  {code, goneCode}: {readonly code: ErrorCode; readonly goneCode: ErrorCode},
): readonly Drift[] {
  if (!Array.isArray(locked))
    throw new RelError('upstream_answer_malformed', 'the lock has no list of what was verified')
  const keyOf = (entry: JsonObject) => key.map((name) => String(entry[name])).join(' ')
  return (locked as readonly JsonObject[]).flatMap((entry) => {
    const now = seen.find((candidate) => keyOf(candidate) === keyOf(entry))
    if (now?.sha256 === entry.sha256) return []
    const wanted = String(entry.sha256)
    return now === undefined
      ? [{subject: keyOf(entry), code: goneCode, seen: 'nothing', wanted}]
      : [{subject: keyOf(entry), code, seen: String(now.sha256), wanted}]
  })
}
