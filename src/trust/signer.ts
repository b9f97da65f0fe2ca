import type {PublicKey} from './ed25519.ts'

/**
 * Whoever holds a private Ed25519 key: a file, a program, a token, an agent. The key itself never
 * leaves it. Every signature is verified with `publicKey` before it is used.
 */
export type Signer = {
  readonly publicKey: PublicKey
  /** What to call it in output: a path or a URI without its secrets. */
  readonly label: string
  /** 64-byte PureEdDSA signature over the message, verified. Refuses with signer_failed. */
  sign(message: Uint8Array): Promise<Uint8Array>
  /** The longest message the holder takes, in bytes (AWS KMS: 4,096); no limit when absent. */
  readonly maxMessageBytes?: number
  /** The 8 bytes by which minisign knows the key, when its file names them; else they are derived. */
  readonly minisignKeyId?: Uint8Array
  /** Forgets the key: its buffers are overwritten. Signing afterwards is refused. */
  close?(): void
}
