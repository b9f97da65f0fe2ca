import {mkdirSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'
import {realRoot, whileLocked} from '../device/device.ts'
import {realFs, replaceFile} from '../device/durable-fs.ts'
import {paths} from '../device/layout.ts'
import {isOurUnit, planUnits} from '../device/units.ts'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {shellWords} from '../system/shell-word.ts'
import type {Outcome} from './base-command.ts'
import {openDevice} from './device.ts'

/** More than any unit of ours has. */
const MAX_UNIT_BYTES = 64 * 1024

type Flags = {
  readonly service: string
  readonly rel: string
  readonly out: string
  readonly 'dry-run': boolean
  readonly 'verify-at-start': boolean
}

/** `rel device install-unit`: the guard beside the records of the node, its units where systemd looks. */
export async function deviceInstallUnit(path: string, flags: Flags): Promise<Outcome> {
  const root = realRoot(path)
  const {config} = openDevice(root)
  const {service, rel, 'verify-at-start': verifyAtStart} = flags
  const out = resolve(flags.out)
  const plan = planUnits({root, service, rel, out, verifyAtStart, config})
  const files = [join(root, paths.guard), ...plan.units.map((unit) => unit.path)]
  for (const unit of plan.units) checkOurs(unit.path)
  const result = {service: plan.service, files, enable: plan.enable, dry_run: flags['dry-run']}
  if (flags['dry-run']) return {result, lines: files.map((file) => `✔ would write ${file}`)}
  await whileLocked(root, async () => {
    replaceFile(realFs(root), paths.guard, plan.guard, 0o755)
    for (const {path: unit, text} of plan.units) {
      try {
        mkdirSync(dirname(unit), {recursive: true})
      } catch (error) {
        throw fileError(error, unit, 'write')
      }
      writeFileAtomic(unit, text)
    }
  })
  return {
    result,
    lines: files.map((file) => `✔ wrote ${file}`),
    next: plan.enable,
    undo: `${plan.disable}; rm ${shellWords(files)} && systemctl daemon-reload`,
  }
}

/** Refuses with file_exists a unit that somebody else has written. */
function checkOurs(path: string): void {
  if (statIfThere(path) === undefined) return
  if (isOurUnit(readFileLimited(path, MAX_UNIT_BYTES).toString('utf8'))) return
  throw new RelError('file_exists', `${path} is there, and was not written by rel`)
}
