import {systemTime} from '../system/clock.ts'
import {isDigest} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import type {Anchor, AnchorKey, LegacyRule} from '../trust/anchor.ts'
import {findKey} from '../trust/anchor-keys.ts'
import {plainName} from '../trust/anchor-parse.ts'
import {
  planAdd,
  planRenew,
  planRevoke,
  planRevokeDigests,
  planRotate,
  planSet,
} from '../trust/anchor-plan.ts'
import type {RoleName} from '../trust/anchor-roles.ts'
import {anchorPaths, loadPrevious, readAnchor, signVersion} from '../trust/anchor-store.ts'
import {isComplete, needsOf} from '../trust/anchor-update.ts'
import {parseTime} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import {readAllowedSigners} from './identity-policy.ts'
import type {KeyFlagValues} from './key-flags.ts'
import {
  anchorKey,
  type ChangeFlagValues,
  changeAnchor,
  type LimitFlagValues,
  limitsFromFlags,
  versionOutcome,
  withSigner,
} from './trust-change.ts'

type AddFlagValues = ChangeFlagValues &
  LimitFlagValues & {
    readonly role: readonly RoleName[]
    readonly name?: string | undefined
    readonly 'not-after'?: string | undefined
    readonly threshold?: number | undefined
  }

/** `rel trust add`. */
export async function addKey(nameOrFile: string, flags: AddFlagValues): Promise<Outcome> {
  const {name, 'not-after': end, threshold} = flags
  const key: AnchorKey = {
    ...anchorKey(nameOrFile),
    ...(name === undefined ? {} : {name: plain(name, '--name')}),
    ...(end === undefined ? {} : {notAfter: parseTime(end, systemTime())}),
  }
  const limits = limitsFromFlags(flags)
  const addition = {key, roles: flags.role, ...limits, ...(threshold && {threshold})}
  return changeAnchor(flags, (anchor, expires) => planAdd(anchor, addition, expires))
}

function plain(text: string, flag: string): string {
  if (plainName.test(text)) return text
  throw new RelError('usage_invalid', `${flag} takes 1 to 128 printable ASCII characters`)
}

/** `rel trust rotate`. */
export async function rotateKey(
  old: string,
  nameOrFile: string,
  flags: ChangeFlagValues & {readonly overlap: boolean},
): Promise<Outcome> {
  const to = anchorKey(nameOrFile)
  return changeAnchor(flags, (anchor, expires) =>
    planRotate(anchor, {from: findKey(anchor, old), to, overlap: flags.overlap}, expires),
  )
}

type RevokeFlagValues = ChangeFlagValues & {
  readonly digest?: readonly string[] | undefined
  readonly 'replace-by'?: string | undefined
  readonly since?: string | undefined
  readonly reason?: string | undefined
}

/** `rel trust revoke`: a key, or documents. */
export async function revoke(key: string | undefined, flags: RevokeFlagValues): Promise<Outcome> {
  const {digest: digests = [], 'replace-by': replacement, since, reason} = flags
  if ((key === undefined) === (digests.length === 0))
    throw new RelError('usage_invalid', 'name either a key or --digest')
  if (key === undefined) return revokeDigests(digests, flags)
  const now = systemTime()
  const facts = {
    since: since === undefined ? now : parseTime(since, now),
    ...(reason === undefined ? {} : {reason: plain(reason, '--reason')}),
    ...(replacement === undefined ? {} : {replacement: anchorKey(replacement)}),
  }
  return changeAnchor(flags, (anchor, expires) =>
    planRevoke(anchor, {keyId: findKey(anchor, key), ...facts}, expires),
  )
}

function revokeDigests(digests: readonly string[], flags: ChangeFlagValues): Promise<Outcome> {
  if (!digests.every(isDigest))
    throw new RelError('usage_invalid', '--digest takes 64 lower-case hex digits')
  return changeAnchor(flags, (anchor: Anchor, expires) =>
    planRevokeDigests(anchor, digests, expires),
  )
}

type SetFlagValues = ChangeFlagValues & {
  readonly 'allowed-signers'?: string | undefined
  readonly legacy?: 'allow' | 'deny' | undefined
  readonly product?: readonly string[] | undefined
}

/** `rel trust set`. */
export async function setBesideKeys(flags: SetFlagValues): Promise<Outcome> {
  const {'allowed-signers': file, legacy} = flags
  if (file === undefined && legacy === undefined)
    throw new RelError('usage_invalid', 'nothing was named to set: --allowed-signers or --legacy')
  const allowedSigners = file === 'none' || file === undefined ? [] : readAllowedSigners(file)
  const rule = legacyRule(flags)
  const settings = {...(file && {allowedSigners}), ...(rule && {legacy: rule})}
  return changeAnchor(flags, (anchor, expires) => planSet(anchor, settings, expires))
}

function legacyRule({legacy, product}: SetFlagValues): LegacyRule | undefined {
  const {products} = limitsFromFlags({product})
  if (products === undefined) return legacy
  if (legacy === 'allow') return {products}
  throw new RelError('usage_invalid', '--product limits --legacy allow, nothing else')
}

/** `rel trust renew`. */
export async function renew(flags: ChangeFlagValues): Promise<Outcome> {
  return changeAnchor(flags, planRenew)
}

/** `rel trust sign`. */
export async function signAnchor(
  path: string,
  flags: KeyFlagValues & {readonly 'dry-run': boolean},
): Promise<Outcome> {
  const file = readAnchor(path)
  const previous = loadPrevious(path, file.anchor.version)
  const {main} = anchorPaths(path)
  if (flags['dry-run']) {
    const needs = needsOf(file, previous)
    const version = {file, needs, complete: isComplete(needs), written: []}
    return versionOutcome(main, previous, version)
  }
  return withSigner(flags, async (signer) =>
    versionOutcome(main, previous, await signVersion(path, signer)),
  )
}
