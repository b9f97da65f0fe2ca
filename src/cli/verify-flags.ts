import {Flags} from '@oclif/core'
import type {VerifyPolicy} from '../bundle/verify-policy.ts'
import {systemTime} from '../system/clock.ts'
import {RelError} from '../system/error.ts'
import type {RoleName} from '../trust/anchor-roles.ts'
import {type IdentityVerifyFlags, identityVerifyFlags} from './identity-flags.ts'
import {
  type FlagTrust,
  type TrustFlagValues,
  trustFlags,
  trustSourceFromFlags,
} from './trust-flags.ts'

/** The flags of every command that verifies bundles: who is trusted, and what was asked for. */
export const verifyFlags = {
  ...trustFlags,
  ...identityVerifyFlags,
  product: Flags.string({helpGroup: 'EXPECT', summary: 'Product that must have been signed.'}),
  version: Flags.string({helpGroup: 'EXPECT', summary: 'Version that must have been signed.'}),
  channel: Flags.string({helpGroup: 'EXPECT', summary: 'Channel that must have been signed.'}),
  target: Flags.string({helpGroup: 'EXPECT', summary: 'Machine that it must be signed for.'}),
  legacy: Flags.option({options: ['allow', 'deny'] as const})({
    summary: 'Whether D2 manifests, which sign neither modes nor sizes, are taken.',
  }),
  'legacy-canonical': Flags.option({options: ['python-default'] as const})({
    summary: 'Also take a D2 signature over Python’s default json.dumps.',
  }),
  paranoid: Flags.boolean({
    default: false,
    summary: 'Verify every signature with a second implementation as well.',
  }),
  at: Flags.string({
    helpValue: 'TIME',
    summary: 'Judge expiry as of this time instead of now: to look at old bundles.',
  }),
}

export type VerifyFlagValues = TrustFlagValues &
  IdentityVerifyFlags & {
    readonly product?: string | undefined
    readonly version?: string | undefined
    readonly channel?: string | undefined
    readonly target?: string | undefined
    readonly legacy?: 'allow' | 'deny' | undefined
    readonly 'legacy-canonical'?: 'python-default' | undefined
    readonly paranoid: boolean
    readonly at?: string | undefined
  }

/** A policy that knows which files its trust comes from. */
export type FlagPolicy = VerifyPolicy & {readonly trust: FlagTrust}

type Environment = Readonly<Record<string, string | undefined>>

/** For a policy in which only identities count. */
const noKeys: Omit<FlagTrust, 'origin'> = {
  checkFresh: () => undefined,
  keysFor: () => {
    throw new RelError('key_unknown', 'no key is trusted, only identities are')
  },
  checkRevoked: () => undefined,
  nameOf: () => undefined,
}

/** True when the flags or the environment name keys. */
function namesKeys(flags: TrustFlagValues, env: Environment): boolean {
  return Boolean(flags['public-key']?.length || flags.trust || env.REL_TRUST)
}

/**
 * The policy that these flags ask for, and where its trust comes from; the time is fixed here. Refuses as trustSourceFromFlags and
 * identityPolicyFrom do, and with time_malformed.
 */
export async function verifyPolicyFromFlags(
  flags: VerifyFlagValues,
  env: Environment,
  role: RoleName = 'manifest',
): Promise<FlagPolicy> {
  if (role === 'artifact') refuseIdentities(flags)
  const identitiesAlone = !namesKeys(flags, env) && flags['allowed-signers'] !== undefined
  const signers = flags['allowed-signers']
  const named = identitiesAlone
    ? {...noKeys, origin: {}}
    : await trustSourceFromFlags(flags, env, role)
  const origin = {...named.origin, ...(signers === undefined ? {} : {allowed_signers: signers})}
  const trust: FlagTrust = {...named, origin}
  const {anchor} = trust
  const {parseTime} = await import('../trust/expiry.ts')
  const clock = systemTime()
  const now = flags.at === undefined ? clock : parseTime(flags.at, clock)
  const allowed = role === 'artifact' ? [] : (anchor?.allowedSigners ?? [])
  const identity = await identityOf(flags, {allowed, keys: !identitiesAlone, now})
  const canonical = flags['legacy-canonical']
  return {
    trust,
    expect: expectationsOf(flags),
    now,
    legacy: flags.legacy ?? anchor?.legacy ?? 'deny',
    ...(canonical === undefined ? {} : {legacyCanonical: canonical}),
    ...(identity === undefined ? {} : {identity}),
    paranoid: flags.paranoid,
  }
}

/** Sigstore bundles cover manifests; a file beside a signature would pass unchecked otherwise. */
function refuseIdentities({policy, 'allowed-signers': allowed}: IdentityVerifyFlags): void {
  if ((policy === undefined || policy === 'ed25519') && allowed === undefined) return
  throw new RelError('usage_invalid', 'identities sign bundles, this is a single file', {
    hint: 'Leave --policy and --allowed-signers out, or verify the bundle.',
  })
}

async function identityOf(
  flags: IdentityVerifyFlags,
  context: Parameters<typeof import('./identity-policy.ts').identityPolicyFrom>[1],
) {
  const {identityPolicyFrom} = await import('./identity-policy.ts')
  return identityPolicyFrom(flags, context)
}

function expectationsOf(flags: VerifyFlagValues): VerifyPolicy['expect'] {
  const {product, version, channel, target} = flags
  return {
    ...(product === undefined ? {} : {product}),
    ...(version === undefined ? {} : {version}),
    ...(channel === undefined ? {} : {channel}),
    ...(target === undefined ? {} : {target}),
  }
}
