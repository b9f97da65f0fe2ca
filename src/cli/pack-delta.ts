import {join} from 'node:path'
import {applyPack} from '../bundle/archive/pack.ts'
import {applyDeltaPack, planDeltaPack} from '../bundle/delta/make-delta.ts'
import {withOldBundle} from '../bundle/delta/old-bundle.ts'
import {makeScratch} from '../bundle/delta/spool.ts'
import {counted} from '../system/counted.ts'
import {shellWord} from '../system/shell-word.ts'
import type {Outcome} from './base-command.ts'
import type {PackFlags} from './pack-directory.ts'
import {withProgress} from './progress.ts'

/** `rel pack --delta-from`: what a node with the old bundle needs to have the new one. */
export async function packDelta(
  directory: string,
  from: string,
  flags: PackFlags,
): Promise<Outcome> {
  const {output, level} = flags
  return withProgress(`Comparing ${from} with ${directory}`, flags, () =>
    withOldBundle(from, async (old) => {
      const plan = await planDeltaPack({
        directory,
        output,
        old,
        replace: flags.force,
        ...(level === undefined ? {} : {level}),
      })
      const {manifest} = plan.pack
      const facts = {
        archive: output,
        bundle_name: manifest.bundleName,
        version: manifest.version,
        from_version: old.manifest.version,
        files: manifest.files.length,
        changed_files: plan.changed.length,
      }
      const what = `${old.manifest.version} to ${manifest.version}: ${counted(plan.changed.length, 'file')} of ${manifest.files.length} changed`
      if (flags['dry-run'])
        return {
          result: {...facts, dry_run: true},
          lines: [`would pack ${output}, ${what}`],
        }
      const written = await applyDeltaPack(plan)
      const {size, sha256, patched, whole} = written
      const wholeSize = await sizeOfWhole(plan.pack)
      const share = ((100 * size) / wholeSize).toFixed(1)
      return {
        result: {
          ...facts,
          dry_run: false,
          patched_files: patched,
          whole_files: whole,
          size,
          sha256,
          whole_size: wholeSize,
        },
        lines: [
          `✔ ${output}, ${what} (${patched} as patches, ${whole} whole)`,
          `  ${size} bytes, ${share} % of the ${wholeSize} bytes of the whole archive`,
          `  sha256: ${sha256}`,
        ],
        ...(size < wholeSize / 2
          ? {}
          : {warnings: ['it saves less than half of the whole: it may not be worth publishing']}),
        undo: `rm ${shellWord(output)}`,
      }
    }),
  )
}

/** Measured, not estimated; it also compares every file of the new bundle with its manifest. */
async function sizeOfWhole(pack: Parameters<typeof applyPack>[0]): Promise<number> {
  const scratch = makeScratch()
  try {
    const {size} = await applyPack({...pack, output: join(scratch.path, 'whole.tar.zst')})
    return size
  } finally {
    scratch.remove()
  }
}
