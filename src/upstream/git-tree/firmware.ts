import {RelError} from '../../system/error.ts'
import type {BuildId} from './build-id.ts'

/** A file by its git blob id, now or as it was locked. */
export type NamedBlob = {readonly path: string; readonly blob: string}

/** What a lock keeps of a build. */
export type LockedBuild = {
  readonly path: string
  readonly hash: string
  readonly builtAt: number
}

/** start4.elf goes with fixup4.dat of its folder, start4x.elf with fixup4x.dat; undefined for others. */
function partnerOf(path: string): string | undefined {
  const [, folder = '', kind, variant = '', suffix] =
    /^(.*\/)?(start|fixup)([0-9a-z_]*)\.(elf|dat)$/.exec(path) ?? []
  if (kind === 'start' && suffix === 'elf') return `${folder}fixup${variant}.dat`
  return kind === 'fixup' && suffix === 'dat' ? `${folder}start${variant}.elf` : undefined
}

/** True for the program of the GPU, which has a build id. */
export function isStart(path: string): boolean {
  return path.endsWith('.elf') && partnerOf(path) !== undefined
}

/**
 * That start and fixup files come in pairs, and that a pair changed as one against what was locked:
 * half an old pair does not boot. Refuses with firmware_pair_incomplete.
 */
export function checkPairs(
  files: readonly NamedBlob[],
  locked: readonly NamedBlob[] = [],
): readonly (readonly [start: string, fixup: string])[] {
  const blobs = new Map(files.map(({path, blob}) => [path, blob]))
  const before = new Map(locked.map(({path, blob}) => [path, blob]))
  for (const {path} of files) {
    const partner = partnerOf(path)
    if (partner !== undefined && !blobs.has(partner))
      throw new RelError('firmware_pair_incomplete', `${path} is without ${partner}`)
  }
  const pairs = files
    .filter(({path}) => isStart(path))
    .map(({path}) => [path, partnerOf(path) ?? ''] as const)
  if (pairs.length === 0)
    throw new RelError('firmware_pair_incomplete', 'there is no start*.elf among the files')
  for (const pair of pairs) {
    if (pair.some((path) => !before.has(path))) continue
    const [start, fixup] = pair.map((path) => before.get(path) !== blobs.get(path))
    if (start === fixup) continue
    const [changed, kept] = start === true ? pair : [...pair].reverse()
    throw new RelError('firmware_pair_incomplete', `${changed} has changed and ${kept} has not`)
  }
  return pairs
}

/** A start*.elf with the build id that was read from it. */
export type Built = {readonly path: string; readonly build: BuildId}

/**
 * That each build is of the wanted branch and of committed sources, and that all are of one build.
 * Refuses with firmware_branch_unexpected, firmware_build_unclean, firmware_pair_incomplete.
 */
export function checkBuilds(builds: readonly Built[], branch: string): void {
  for (const {path, build} of builds) {
    if (build.branch !== branch)
      throw new RelError(
        'firmware_branch_unexpected',
        `${path} was built from branch ${build.branch}, want ${branch}`,
      )
    if (!build.isClean)
      throw new RelError('firmware_build_unclean', `${path} was built from uncommitted sources`)
  }
  const [first, ...others] = builds
  const other = others.find(({build}) => build.hash !== first?.build.hash)
  if (first === undefined || other === undefined) return
  throw new RelError(
    'firmware_pair_incomplete',
    `${first.path} is of build ${first.build.hash}, ${other.path} of ${other.build.hash}`,
  )
}

/**
 * That the builds moved with the version: `direction` is above zero when the version is newer than
 * the locked one, below when it is older. Refuses with firmware_build_unchanged and
 * firmware_build_older, which says that time went the other way than the version.
 */
export function checkProgress(
  builds: readonly Built[],
  locked: readonly LockedBuild[],
  direction: number,
): void {
  if (direction === 0) return
  for (const {path, build} of builds) {
    const before = locked.find((it) => it.path === path)
    if (before === undefined) continue
    if (before.hash === build.hash)
      throw new RelError('firmware_build_unchanged', `${path} is the build ${build.hash} as before`)
    if ((build.builtAt - before.builtAt) * direction > 0) continue
    const [seen, was] = [build.builtAt, before.builtAt].map((secs) => isoOf(secs))
    throw new RelError(
      'firmware_build_older',
      `${path} was built ${seen}, the locked one ${was}: the versions go the other way`,
    )
  }
}

function isoOf(secs: number): string {
  return new Date(secs * 1000).toISOString()
}
