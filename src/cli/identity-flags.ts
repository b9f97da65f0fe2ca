import {Flags} from '@oclif/core'
import {readFileLimited} from '../system/files.ts'
import {type AllowedSigner, parseAllowedSigners} from '../trust/sigstore/allowed-signer.ts'
import {
  decidePolicy,
  identityChecker,
  type SignerPolicy,
  signerPolicies,
} from '../trust/sigstore/identity-policy.ts'
import {parseStrictJson} from '../trust/strict-json.ts'

const trustedRoot = Flags.file({
  helpGroup: 'SIGSTORE',
  helpValue: 'FILE',
  summary: 'Trusted root of a private Sigstore; the public one is built in.',
})

/** Flags of commands that verify who signed. */
export const identityVerifyFlags = {
  policy: Flags.option({
    helpGroup: 'SIGSTORE',
    options: [...signerPolicies] as SignerPolicy[],
    summary: 'Who must have signed: keys, identities, both or one of them.',
    description: 'Without it: both where keys and identities are configured, else what there is.',
  })(),
  'allowed-signers': Flags.file({
    helpGroup: 'SIGSTORE',
    helpValue: 'FILE',
    summary: 'JSON list of identities that may sign, beside those of the trust anchor.',
  }),
  'trusted-root': trustedRoot,
}

/** Flags of commands that sign with the identity of a CI job; the public Sigstore by default. */
export const identitySignFlags = {
  'fulcio-url': Flags.string({
    helpGroup: 'SIGSTORE',
    helpValue: 'URL',
    summary: 'Certificate authority of a private Sigstore.',
  }),
  'rekor-url': Flags.string({
    helpGroup: 'SIGSTORE',
    helpValue: 'URL',
    summary: 'Transparency log of a private Sigstore.',
  }),
  'tsa-url': Flags.string({
    helpGroup: 'SIGSTORE',
    helpValue: 'URL',
    summary: 'Timestamp authority (RFC 3161) that also proves the time.',
  }),
  'trusted-root': trustedRoot,
}

/** 64 entries of the longest texts. */
const MAX_SIGNERS_BYTES = 512 * 1024

export type IdentityVerifyFlags = {
  readonly policy?: SignerPolicy | undefined
  readonly 'allowed-signers'?: string | undefined
  readonly 'trusted-root'?: string | undefined
}

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
export function identityPolicyFrom(flags: IdentityVerifyFlags, context: IdentityContext) {
  const file = flags['allowed-signers']
  const added = file === undefined ? [] : readAllowedSigners(file)
  const allowed = [...context.allowed, ...added]
  const {keys, now} = context
  const mode = decidePolicy(flags.policy, {keys, identities: allowed.length > 0})
  if (mode === 'ed25519') return undefined
  const check = identityChecker({
    allowed,
    now,
    trustedRoot: async () => {
      const {loadTrustedRoot} = await import('../trust/sigstore/load-trusted-root.ts')
      return loadTrustedRoot(flags['trusted-root'])
    },
  })
  return {mode, check}
}

function readAllowedSigners(path: string): AllowedSigner[] {
  const bytes = readFileLimited(path, MAX_SIGNERS_BYTES)
  return parseAllowedSigners(
    parseStrictJson(bytes, {bytes: MAX_SIGNERS_BYTES, depth: 4, profile: 'general'}),
  )
}
