import {RelError} from '../system/error.ts'
import {statIfThere} from '../system/files.ts'
import type {Anchor, AnchorKey} from '../trust/anchor.ts'
import {planFirst} from '../trust/anchor-plan.ts'
import {anchorPaths, checkNothingPending, writeNewVersion} from '../trust/anchor-store.ts'
import type {Outcome} from './base-command.ts'
import {
  anchorKey,
  type ChangeFlagValues,
  configuredKey,
  keyName,
  type LimitFlagValues,
  limitsFromFlags,
  makeVersion,
  newExpiry,
  versionOutcome,
  withSigner,
} from './trust-change.ts'

type InitFlagValues = Omit<ChangeFlagValues, 'trust'> &
  LimitFlagValues & {
    readonly root?: readonly string[] | undefined
    readonly manifest?: readonly string[] | undefined
    readonly artifact?: readonly string[] | undefined
    readonly 'root-threshold': number
    readonly threshold: number
  }

/**
 * Version 1 of a new anchor. A role without keys of its own is held by the signing key.
 * Refuses with file_exists, and as planFirst and writeNewVersion do.
 */
export async function initAnchor(file: string, flags: InitFlagValues): Promise<Outcome> {
  const path = anchorPaths(file).main
  if (statIfThere(path) !== undefined) throw new RelError('file_exists', `${path} is there already`)
  checkNothingPending(path, 1)
  const name = await signerName(flags)
  if (flags['dry-run']) {
    const anchor = firstVersion(flags, () => publicHalf(name))
    return makeVersion({path, anchor, previous: undefined}, flags)
  }
  return withSigner(flags, async (signer) => {
    const named = name === undefined ? undefined : keyName(name)
    const own = {publicKey: signer.publicKey, ...(named === undefined ? {} : {name: named})}
    const anchor = firstVersion(flags, () => own)
    return versionOutcome(path, undefined, await writeNewVersion(path, anchor, undefined, signer))
  })
}

async function signerName(flags: InitFlagValues): Promise<string | undefined> {
  return flags['public-key'] ?? (await configuredKey(flags))
}

/** A dry run opens no private key, so it takes the public half from the store. */
function publicHalf(name: string | undefined): AnchorKey {
  if (name !== undefined) return anchorKey(name)
  throw new RelError('input_required', 'no key was named: give --key, or --root and --manifest')
}

function firstVersion(flags: InitFlagValues, own: () => AnchorKey): Anchor {
  const keys = (names: readonly string[] | undefined): readonly AnchorKey[] =>
    names === undefined ? [own()] : names.map((name) => anchorKey(name))
  const {root, manifest, artifact, threshold, 'root-threshold': rootThreshold} = flags
  const limits = limitsFromFlags(flags)
  return planFirst(
    [
      {role: 'root', keys: keys(root), threshold: rootThreshold},
      {role: 'manifest', keys: keys(manifest), threshold, ...limits},
      {role: 'artifact', keys: keys(artifact ?? manifest), threshold, ...limits},
    ],
    newExpiry(flags.expires),
  )
}
