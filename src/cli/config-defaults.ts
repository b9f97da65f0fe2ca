import {relative} from 'node:path'
import {RelError} from '../system/error.ts'
import {shellWord} from '../system/shell-word.ts'
import {configDefault, loadConfig} from './config.ts'

type SignFlagValues = {
  readonly product?: string | undefined
  readonly channel?: string | undefined
  readonly key?: string | undefined
  readonly signer?: string | undefined
  readonly add: boolean
  readonly d2: boolean
}

/**
 * Flags of a signing command with what the configuration says where none was given. A signature
 * that is added to a manifest takes product and channel from it, and a D2 manifest has no channel.
 */
export async function withSignDefaults<Flags extends SignFlagValues>(flags: Flags): Promise<Flags> {
  const config = await loadConfig()
  const product = flags.add ? undefined : configDefault(config, 'product')
  const channel = flags.add || flags.d2 ? undefined : configDefault(config, 'channel')
  const named = flags.key !== undefined || flags.signer !== undefined
  const key = named ? undefined : configDefault(config, 'key')
  return {
    ...flags,
    product: flags.product ?? product,
    channel: flags.channel ?? channel,
    ...(key === undefined ? {} : {[isSigner(key) ? 'signer' : 'key']: key}),
  }
}

type LicenseFlagValues = {
  readonly product?: string | undefined
  readonly panel?: string | undefined
  readonly key?: string | undefined
  readonly signer?: string | undefined
}

/**
 * Flags of a command that issues licences with the configured product and key where none was given.
 * With a panel that is asked to sign, no key of this machine takes its place.
 */
export async function withLicenseDefaults<Flags extends LicenseFlagValues>(
  flags: Flags,
): Promise<Flags> {
  const config = await loadConfig()
  const named = flags.key !== undefined || flags.signer !== undefined || flags.panel !== undefined
  const key = named ? undefined : configDefault(config, 'key')
  return {
    ...flags,
    product: flags.product ?? configDefault(config, 'product'),
    ...(key === undefined ? {} : {[isSigner(key) ? 'signer' : 'key']: key}),
  }
}

/** `exec:`, `pkcs11:`, `ssh-agent:`, `file:`; a plain name or path is a key. */
function isSigner(key: string): boolean {
  return /^[a-z][a-z0-9+.-]+:/i.test(key)
}

type VerifyFlagValues = {
  readonly trust?: string | undefined
  readonly 'public-key'?: readonly string[] | undefined
  readonly 'allowed-signers'?: unknown
}

/**
 * Flags of a verifying command with the configured trust anchor where nobody was named: by
 * REL_TRUST, or in the file of the person or the machine. A project's file is not asked, since it
 * may have come with what is verified, and would name the keys that signed it.
 * Refuses with input_required when only a project's file names somebody.
 */
export async function withTrustDefault<Flags extends VerifyFlagValues>(
  flags: Flags,
): Promise<Flags> {
  const {trust, 'public-key': keys = [], 'allowed-signers': signers} = flags
  if (trust !== undefined || keys.length > 0 || signers !== undefined) return flags
  const {own, settings} = await loadConfig()
  if (own.trust !== undefined) return {...flags, trust: own.trust.value}
  if (settings.trust === undefined) return flags
  const [file, anchor] = [settings.trust.origin.where, settings.trust.value].map(pathFromHere)
  throw new RelError('input_required', 'nobody was named whose signatures are trusted', {
    hint: `${file} names ${anchor}: give --trust ${anchor} if you trust it`,
  })
}

/**
 * Flags of a command that can do without trust, with the anchor of REL_TRUST or of the file of the
 * person or the machine. A project's file may have come with what is looked at.
 */
export async function withOwnTrust<Flags extends {readonly trust?: string | undefined}>(
  flags: Flags,
): Promise<Flags> {
  if (flags.trust !== undefined) return flags
  const {own} = await loadConfig()
  return own.trust === undefined ? flags : {...flags, trust: own.trust.value}
}

/** As it can be typed: the way from here unless that leads upwards. */
function pathFromHere(path: string): string {
  const way = relative(process.cwd(), path)
  return shellWord(way === '..' || way.startsWith('../') ? path : way)
}
