import {Flags} from '@oclif/core'
import {RelError} from '../system/error.ts'
import type {PassphraseSource} from '../system/passphrase.ts'
import type {KeyFormat} from '../trust/key-formats/detect.ts'
import type {Signer} from '../trust/signer.ts'

/** The forms of key files, spelled out here so that --help loads no cryptography. */
const formats: readonly KeyFormat[] = ['pem', 'der', 'raw', 'minisign', 'openssh', 'jwk']

/** How a passphrase gets in; never as an argument, which every user of the machine can read. */
export const passphraseFlags = {
  'passphrase-fd': Flags.integer({
    exclusive: ['passphrase-file'],
    helpGroup: 'KEY',
    helpValue: 'N',
    min: 0,
    summary: 'Read the passphrase (or PIN) from this open descriptor.',
  }),
  'passphrase-file': Flags.string({
    helpGroup: 'KEY',
    helpValue: 'FILE',
    summary: 'Read the passphrase (or PIN) from the one line of this file.',
  }),
}

/** How a private key file is read. */
export const keyFileFlags = {
  ...passphraseFlags,
  'key-format': Flags.option({options: formats})({
    helpGroup: 'KEY',
    summary: 'Insist on one form of key file instead of recognising it.',
  }),
  'insecure-key-perms': Flags.boolean({
    default: false,
    helpGroup: 'KEY',
    summary: 'Take a private key file that group or others may read.',
  }),
}

/** The flags of every command that signs. */
export const keyFlags = {
  key: Flags.string({
    char: 'k',
    exclusive: ['signer'],
    helpGroup: 'KEY',
    helpValue: 'NAME|FILE',
    summary: 'Private key: a name from rel keys list, or a file.',
  }),
  signer: Flags.string({
    helpGroup: 'KEY',
    helpValue: 'SIGNER',
    summary: 'Who holds the key: file:PATH, exec:COMMAND, pkcs11:URI or ssh-agent:KEY.',
  }),
  'public-key': Flags.string({
    helpGroup: 'KEY',
    helpValue: 'NAME|FILE',
    summary: 'Public key of the signer; needed by exec:.',
  }),
  ...keyFileFlags,
}

type PassphraseFlagValues = {
  readonly 'passphrase-fd'?: number | undefined
  readonly 'passphrase-file'?: string | undefined
  /** The global --no-input. */
  readonly input: boolean
}

export type KeyFileFlagValues = PassphraseFlagValues & {
  readonly 'key-format'?: KeyFormat | undefined
  readonly 'insecure-key-perms': boolean
}

export type KeyFlagValues = KeyFileFlagValues & {
  readonly key?: string | undefined
  readonly signer?: string | undefined
  readonly 'public-key'?: string | undefined
}

/** Where a passphrase may come from, by these flags and this environment. */
export function passphraseSource(
  flags: PassphraseFlagValues,
  env: Readonly<Record<string, string | undefined>>,
): PassphraseSource {
  const {'passphrase-fd': fd, 'passphrase-file': file, input: prompt} = flags
  const {REL_KEY_PASSPHRASE: text} = env
  return {
    prompt,
    ...(fd === undefined ? {} : {fd}),
    ...(file === undefined ? {} : {file}),
    ...(text === undefined ? {} : {env: text}),
  }
}

/** How a key file is opened by these flags; the passphrase is asked for only when it is needed. */
export function keyFileOptions(flags: KeyFileFlagValues) {
  const {'key-format': format, 'insecure-key-perms': insecurePermissions} = flags
  const secret = async (question: string) => {
    const {readPassphrase} = await import('../system/passphrase.ts')
    return readPassphrase(passphraseSource(flags, process.env), question)
  }
  return {insecurePermissions, secret, ...(format === undefined ? {} : {format})}
}

/**
 * The signer that --key or --signer names. Call its close() when done.
 * Refuses with input_required when neither is given, and with the codes of openSigner.
 */
export async function openSignerFromFlags(flags: KeyFlagValues): Promise<Signer> {
  const {openSigner} = await import('../trust/signers/open-signer.ts')
  const {publicKeyPath, secretKeyPath} = await import('../trust/key-store.ts')
  const {readPublicKey} = await import('../trust/public-key.ts')
  const root = process.cwd()
  const {key, signer = key && `file:${secretKeyPath(root, key)}`, 'public-key': wanted} = flags
  if (!signer)
    throw new RelError('input_required', 'nobody was named to sign', {
      hint: 'give --key NAME (rel keys new NAME makes one) or --signer',
    })
  const publicKey = wanted === undefined ? undefined : readPublicKey(publicKeyPath(root, wanted))
  return openSigner(signer, {
    ...keyFileOptions(flags),
    env: process.env,
    ...(publicKey === undefined ? {} : {publicKey}),
  })
}
