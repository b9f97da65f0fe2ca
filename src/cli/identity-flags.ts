import {Flags} from '@oclif/core'
import type {SignerPolicy} from '../trust/sigstore/identity-policy.ts'

const policies = [
  'ed25519',
  'sigstore',
  'both',
  'either',
] as const satisfies readonly SignerPolicy[]

const trustedRoot = Flags.file({
  helpGroup: 'SIGSTORE',
  helpValue: 'FILE',
  summary: 'Trusted root of a private Sigstore; the public one is built in.',
})

/** Flags of commands that verify who signed. */
export const identityVerifyFlags = {
  policy: Flags.option({
    helpGroup: 'SIGSTORE',
    options: policies,
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

/** The values of these flags. */
export type IdentityVerifyFlags = {
  readonly policy?: SignerPolicy | undefined
  readonly 'allowed-signers'?: string | undefined
  readonly 'trusted-root'?: string | undefined
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
