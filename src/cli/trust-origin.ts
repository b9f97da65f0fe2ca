/** Which files a verdict rests on, as they were named or found: `trust` of the JSON document. */
export type TrustOrigin = {
  /** The trust anchor and its version. */
  readonly anchor?: string
  readonly version?: number
  /** Files of the public keys that were named. */
  readonly public_keys?: readonly string[]
  readonly allowed_signers?: string
}

/** The same for people: whoever is named here decided that the signatures count. */
export function originLines(origin: TrustOrigin): string[] {
  const {anchor, version, public_keys: keys = [], allowed_signers: signers} = origin
  return [
    ...(anchor === undefined ? [] : [`  trusted by ${anchor}, version ${version}`]),
    ...keys.map((file) => `  trusted by ${file}`),
    ...(signers === undefined ? [] : [`  trusted by ${signers}`]),
  ]
}
