import {Flags} from '@oclif/core'
import {RelError} from '../system/error.ts'
import type {Anchor} from '../trust/anchor.ts'
import type {RoleName} from '../trust/anchor-roles.ts'
import type {Trust} from '../trust/trust-source.ts'
import type {TrustOrigin} from './trust-origin.ts'

/** The flags of every command that verifies: who is trusted. */
export const trustFlags = {
  trust: Flags.string({
    exclusive: ['public-key'],
    helpGroup: 'TRUST',
    helpValue: 'FILE',
    summary: 'Trust anchor (rel trust init makes one).',
  }),
  'public-key': Flags.string({
    aliases: ['pub'],
    helpGroup: 'TRUST',
    helpValue: 'NAME|FILE',
    multiple: true,
    summary: 'Public key that is trusted for this one run; may be given several times.',
  }),
  threshold: Flags.integer({
    dependsOn: ['public-key'],
    helpGroup: 'TRUST',
    max: 16,
    min: 1,
    summary: 'How many of the public keys must have signed; 1 when not given.',
  }),
}

export type TrustFlagValues = {
  readonly trust?: string | undefined
  readonly 'public-key'?: readonly string[] | undefined
  readonly threshold?: number | undefined
}

/** A trust source, and the anchor it comes from: that also names identities and D2's fate. */
export type FlagTrust = Trust & {readonly anchor?: Anchor; readonly origin: TrustOrigin}

/**
 * Who is trusted to sign what a role signs: by --public-key, by --trust, or else by REL_TRUST.
 * Refuses with input_required when nobody is named, and as loadAnchor and readPublicKey do.
 */
export async function trustSourceFromFlags(
  flags: TrustFlagValues,
  env: Readonly<Record<string, string | undefined>>,
  role: RoleName = 'manifest',
): Promise<FlagTrust> {
  const {anchorTrust, keyListTrust} = await import('../trust/trust-source.ts')
  const {'public-key': names = [], threshold = 1} = flags
  if (names.length > 0) {
    const files = await keyFiles(names)
    const keys = keyListTrust(await readKeys(files), threshold)
    return {...keys, origin: {public_keys: [...files.values()]}}
  }
  const path = flags.trust ?? env.REL_TRUST
  if (!path)
    throw new RelError('input_required', 'nobody was named whose signatures are trusted', {
      hint: 'give --trust FILE (rel trust init makes one) or --public-key FILE',
    })
  const {loadAnchor} = await import('../trust/anchor-store.ts')
  const file = loadAnchor(path)
  const {anchor} = file
  return {...anchorTrust(file, role), anchor, origin: {anchor: path, version: anchor.version}}
}

/** The file of each key that was named. */
async function keyFiles(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const {publicKeyPath} = await import('../trust/key-store.ts')
  return new Map(names.map((name) => [name, publicKeyPath('', name)]))
}

async function readKeys(files: ReadonlyMap<string, string>) {
  const {readPublicKey} = await import('../trust/public-key.ts')
  return new Map([...files].map(([name, path]) => [name, readPublicKey(path)]))
}
