import type {IdentityPolicy} from '../bundle/verify-policy.ts'
import {readFileLimited} from '../system/files.ts'
import {type AllowedSigner, parseAllowedSigners} from '../trust/sigstore/allowed-signer.ts'
import {decidePolicy, identityChecker} from '../trust/sigstore/identity-policy.ts'
import {loadTrustedRoot} from '../trust/sigstore/load-trusted-root.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import type {IdentityVerifyFlags} from './identity-flags.ts'

/** 64 entries of the longest texts. */
const MAX_SIGNERS_BYTES = 512 * 1024

export type IdentityContext = {
  /** Of the trust anchor, if there is one. */
  readonly allowed: readonly AllowedSigner[]
  /** Whether the caller has keys to verify with. */
  readonly keys: boolean
  readonly now: number
}

/**
 * The `identity` of a VerifyPolicy; absent where keys alone decide. Refuses with
 * identity_policy_malformed, identity_policy_empty, json_*, file_missing, file_unreadable.
 */
export function identityPolicyFrom(
  flags: IdentityVerifyFlags,
  context: IdentityContext,
): IdentityPolicy | undefined {
  const file = flags['allowed-signers']
  const added = file === undefined ? [] : readAllowedSigners(file)
  const allowed = [...context.allowed, ...added]
  const {keys, now} = context
  const mode = decidePolicy(flags.policy, {keys, identities: allowed.length > 0})
  if (mode === 'ed25519') return undefined
  const check = identityChecker({
    allowed,
    now,
    trustedRoot: () => loadTrustedRoot(flags['trusted-root']),
  })
  return {mode, check}
}

/** A list of allowed signers. Refuses with identity_policy_*, json_* and as readFileLimited does. */
export function readAllowedSigners(path: string): AllowedSigner[] {
  const bytes = readFileLimited(path, MAX_SIGNERS_BYTES)
  return parseAllowedSigners(
    parseStrictJson(bytes, {bytes: MAX_SIGNERS_BYTES, depth: 4, profile: 'general'}),
  )
}
