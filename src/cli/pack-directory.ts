import {formatOfName} from '../bundle/archive/archive-name.ts'
import {applyPack, planPack} from '../bundle/archive/pack.ts'
import {counted} from '../system/counted.ts'
import {shellWord} from '../system/shell-word.ts'
import type {Outcome} from './base-command.ts'
import {type ProgressMode, withProgress} from './progress.ts'
import {verifyNext} from './verify-next.ts'

export type PackFlags = ProgressMode & {
  readonly output: string
  readonly format?: 'tar' | 'tar.gz' | 'tar.zst' | undefined
  readonly level?: number | undefined
  readonly force: boolean
  readonly 'dry-run': boolean
}

/** `rel pack`: a plan of the archive, and the archive. */
export async function packDirectory(directory: string, flags: PackFlags): Promise<Outcome> {
  const {output, level} = flags
  const plan = planPack({
    directory,
    output,
    format: flags.format ?? formatOfName(output),
    replace: flags.force,
    ...(level === undefined ? {} : {level}),
  })
  const {manifest, fileCount, format, tarSize} = plan
  const facts = {
    archive: output,
    format,
    level: plan.level ?? null,
    bundle_name: manifest.bundleName,
    version: manifest.version,
    files: fileCount,
    tar_size: tarSize,
  }
  const what = `${manifest.bundleName}: ${counted(fileCount, 'file')}`
  if (flags['dry-run'])
    return {
      result: {...facts, dry_run: true},
      lines: [`would pack ${what} into ${output} (${format}, ${tarSize} bytes before compression)`],
    }
  const written = await withProgress(`Packing ${directory}`, flags, () => applyPack(plan))
  return {
    result: {
      ...facts,
      dry_run: false,
      size: written.size,
      sha256: written.sha256,
    },
    lines: [`✔ ${output}: ${what}, ${written.size} bytes`, `  sha256: ${written.sha256}`],
    next: verifyNext(output),
    undo: `rm ${shellWord(output)}`,
  }
}
