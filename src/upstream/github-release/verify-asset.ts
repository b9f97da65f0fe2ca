import {RelError} from '../../system/error.ts'
import type {Downloaded} from '../../system/http.ts'
import {type ChecksumLine, checksumOf, otherNameOf} from '../checksums.ts'
import type {Fact, IntegrityLevel} from '../upstream.ts'
import type {Attested} from './attestation.ts'
import type {ReleaseAsset} from './release.ts'

/** What is said of one file before a byte of it was fetched. */
export type Expectation = {
  readonly name: string
  readonly checksum: string | undefined
  readonly digest: string | undefined
  /** What both say; undefined when nobody says anything. */
  readonly sha256: string | undefined
}

/**
 * Compares what the checksum file and the interface say. Refuses with checksum_*, digest_mismatch.
 * `digests` are those of the interface, by name.
 */
export function expect(
  name: string,
  lines: readonly ChecksumLine[] | undefined,
  digests: ReadonlyMap<string, string>,
): Expectation {
  const digest = digests.get(name)
  const others = new Map([...digests].filter(([other]) => other !== name))
  const checksum = lines === undefined ? undefined : checksumOf(lines, name, {own: digest, others})
  if (checksum !== undefined && digest !== undefined && checksum !== digest)
    throw new RelError(
      'digest_mismatch',
      `${name}: the checksum file says ${checksum}, the interface says ${digest}`,
    )
  return {name, checksum, digest, sha256: checksum ?? digest}
}

/**
 * A download that was refused because of its digest, told more exactly: when the bytes are those
 * of another line, two lines were swapped.
 */
export function explainMismatch(
  error: unknown,
  name: string,
  lines: readonly ChecksumLine[] | undefined,
): unknown {
  if (!(error instanceof RelError) || error.code !== 'http_digest_mismatch') return error
  const seen = error.details?.seen
  const other =
    typeof seen === 'string' && lines !== undefined ? otherNameOf(lines, name, seen) : undefined
  if (other === undefined) return error
  const message = `the bytes of ${name} have the checksum of ${JSON.stringify(other.slice(0, 120))}`
  return new RelError('checksum_swapped', message, {cause: error})
}

/** Refuses with asset_size_mismatch. */
export function checkSize(asset: ReleaseAsset, downloaded: Downloaded): void {
  if (asset.size === downloaded.size) return
  const message = `${asset.name} has ${downloaded.size} bytes, the release says ${asset.size}`
  throw new RelError('asset_size_mismatch', message)
}

/** Another origin's word for the same file. */
export type SecondOpinion = {readonly by: string; readonly sha256: string}

/** Refuses with second_origin_disagrees. */
export function checkSecond(name: string, sha256: string, second: SecondOpinion): void {
  if (second.sha256 === sha256) return
  const message = `${name} has SHA-256 ${sha256}, ${second.by} knows ${second.sha256}`
  throw new RelError('second_origin_disagrees', message)
}

export type Opinions = {
  readonly expectation: Expectation
  readonly sha256: string
  readonly origin: string
  readonly checksumFile: string | undefined
  readonly second: SecondOpinion | undefined
  readonly attested: Attested | undefined
}

/**
 * The lines of the verification table for one file, highest level last. A checksum file and a
 * digest of one origin are one opinion (L1); only another origin makes two of it (L2).
 */
export function factsOf(opinions: Opinions): readonly Fact[] {
  const {expectation, sha256, origin, checksumFile, second, attested} = opinions
  const {name, checksum, digest} = expectation
  const fact = (level: IntegrityLevel, check: string, by: string, detail: string): Fact => ({
    subject: name,
    check,
    by,
    level,
    detail,
  })
  const facts: Fact[] = []
  if (checksum !== undefined)
    facts.push(fact('L1', 'checksum file', `${origin} ${checksumFile}`, `SHA-256 ${sha256}`))
  if (digest !== undefined)
    facts.push(fact('L1', 'interface digest', `${origin} interface`, `SHA-256 ${digest}`))
  else facts.push(fact('L0', 'interface digest', `${origin} interface`, 'none: no second opinion'))
  if (second !== undefined && facts.some(({level}) => level === 'L1'))
    facts.push(fact('L2', 'second origin', second.by, `SHA-256 ${second.sha256}`))
  if (attested !== undefined) {
    const level = attested.isProvenance ? 'L4' : 'L3'
    const {san, issuer} = attested.identity
    facts.push(fact(level, 'attestation', san, `issuer ${issuer}, subject SHA-256 ${sha256}`))
  }
  return facts
}

/** The highest level that any fact gives. */
export function levelOf(facts: readonly Fact[]): IntegrityLevel {
  return (
    facts
      .map(({level}) => level)
      .sort()
      .at(-1) ?? 'L0'
  )
}

/** Refuses with integrity_too_low. */
export function checkLevel(name: string, level: IntegrityLevel, minimum: IntegrityLevel): void {
  if (level >= minimum) return
  throw new RelError('integrity_too_low', `${name} reaches ${level}, want ${minimum}`, {
    details: {had: level, needed: minimum},
  })
}
