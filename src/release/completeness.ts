import type {Matrix, Release, Slot} from './release.ts'

/** Something that keeps a release from being published. */
export type Missing =
  | {readonly slot: Slot; readonly reason: 'no_artifact' | 'not_required'}
  | {
      readonly name: string
      readonly sha256: string
      readonly slot: Slot
      readonly reason: 'not_uploaded'
    }

/**
 * What a release lacks, in a fixed order: slots of the matrix that no artifact fills
 * (`no_artifact`) or only one that its publisher did not mark as required (`not_required`), then
 * artifacts whose bytes are not among `present` (SHA-256 in hex). Empty for a complete release.
 */
export function missingFrom(
  release: Release,
  matrix: Matrix,
  present: ReadonlySet<string>,
): readonly Missing[] {
  const slots = matrix.required.flatMap((slot): readonly Missing[] => {
    const filling = release.artifacts.filter((artifact) => isIn(slot, artifact))
    if (filling.length === 0) return [{slot, reason: 'no_artifact'}]
    return filling.some(({required}) => required) ? [] : [{slot, reason: 'not_required'}]
  })
  const bytes = release.artifacts
    .filter(({sha256}) => !present.has(sha256))
    .map(
      ({name, sha256, component, os, arch}): Missing => ({
        name,
        sha256,
        slot: {component, os, arch},
        reason: 'not_uploaded',
      }),
    )
  return [...slots.toSorted((a, b) => order(slotText(a.slot), slotText(b.slot))), ...bytes]
}

/** A slot as people read it: `agent linux/arm64`. */
export function slotText({component, os, arch}: Slot): string {
  return `${component} ${os}/${arch}`
}

function isIn(slot: Slot, {component, os, arch}: Slot): boolean {
  return component === slot.component && os === slot.os && arch === slot.arch
}

function order(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
