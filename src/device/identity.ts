import type {IdentityPolicy} from '../bundle/verify-policy.ts'
import {statIfThere} from '../system/files.ts'
import type {AllowedSigner} from '../trust/sigstore/allowed-signer.ts'
import type {DeviceConfig} from './config.ts'

/**
 * Which Sigstore identities must have signed for a node, as its anchor lists them; undefined where
 * keys alone decide. Everything is checked offline, with the trusted root of the node if it has one
 * and the one that rel was made with else. Nothing of Sigstore is loaded before it is needed.
 */
export function identityOf(
  mode: DeviceConfig['identity'],
  allowed: readonly AllowedSigner[],
  rootPath: string,
  now: number,
): IdentityPolicy | undefined {
  if (mode === undefined) return undefined
  return {
    mode,
    check: async (question) => {
      const {identityChecker} = await import('../trust/sigstore/identity-policy.ts')
      const {loadTrustedRoot} = await import('../trust/sigstore/load-trusted-root.ts')
      const own = statIfThere(rootPath) === undefined ? undefined : rootPath
      const check = identityChecker({allowed, now, trustedRoot: () => loadTrustedRoot(own)})
      return check(question)
    },
  }
}
