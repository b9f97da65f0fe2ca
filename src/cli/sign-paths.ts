import {kindOfPath} from '../bundle/verify.ts'
import {RelError} from '../system/error.ts'
import type {Outcome} from './base-command.ts'
import type {SignFlagValues} from './sign-flags.ts'

/** What only a bundle has; a file that was given one of them was taken for a directory. */
const bundleOnly = [
  'add',
  'd2',
  'sbom',
  'output',
  'sequence',
  'expires',
  'min-version',
  'min-from',
  'min-updater',
] as const

/** `rel sign`: one directory as a bundle, or files one by one. */
export async function signPaths(argv: readonly string[], flags: SignFlagValues): Promise<Outcome> {
  const {'bundle-dir': directory} = flags
  const paths = directory === undefined ? argv : [...argv, directory]
  const [first] = paths
  if (first === undefined)
    throw new RelError('input_required', 'nothing was named to sign', {
      hint: 'Give a directory or files.',
    })
  const trees = paths.filter((path) => kindOfPath(path) === 'tree')
  if (trees.length === 0) {
    checkFileFlags(flags)
    const {signFiles} = await import('./sign-files.ts')
    return signFiles(paths, flags)
  }
  if (paths.length > 1)
    throw new RelError('usage_invalid', 'a directory is signed alone: one bundle, one manifest')
  const {signBundle} = await import('./sign-bundle.ts')
  return signBundle(first, flags)
}

function checkFileFlags(flags: SignFlagValues): void {
  const wrong = bundleOnly.find((name) => flags[name] !== undefined && flags[name] !== false)
  if (wrong !== undefined)
    throw new RelError('usage_invalid', `--${wrong} is for a directory, and none was given`)
  if (flags.also?.includes('sigstore') === true)
    throw new RelError('usage_invalid', '--also sigstore is for a directory, and none was given')
}
