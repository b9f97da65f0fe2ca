import type {PublicKey} from '../ed25519.ts'
import type {KeyFormat} from '../key-formats/detect.ts'

/** What signers need beside their address. */
export type SignerOptions = {
  /** Needed by exec:, which cannot be asked; compared with what the others report. */
  readonly publicKey?: PublicKey
  /** Insist on one form of a key file. */
  readonly format?: KeyFormat
  readonly insecurePermissions?: boolean
  /** A passphrase or PIN, asked for only when one is needed, in a buffer of its own. */
  readonly secret: (question: string) => Promise<Buffer>
  /** The environment that external programs get, and SSH_AUTH_SOCK. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Wall-clock limit of one external signature: people confirm on tokens, HSMs queue. */
export const SIGNER_TIMEOUT_SECS = 120

/** The environment for an external program: everything but rel's own passphrase. */
export function childEnv(env: SignerOptions['env']): Record<string, string> {
  const entries = Object.entries(env).filter(([name]) => name !== 'REL_KEY_PASSPHRASE')
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => !!entry[1]))
}
