import {basename} from 'node:path'
import {type HardwareItem, readHardwareItem} from '../bump/hardware-item.ts'
import {signStatement} from '../bump/signed-statement.ts'
import type {Untestable} from '../gates/hardware-evidence.ts'
import {systemTime} from '../system/clock.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {sha256Hex} from '../system/hash.ts'
import type {Outcome} from './base-command.ts'
import {type KeyFlagValues, openSignerFromFlags} from './key-flags.ts'

type Flags = KeyFlagValues & {
  readonly about: Untestable
  readonly board: string
  readonly file: readonly string[]
  readonly log: string
  readonly 'tested-at'?: string | undefined
  readonly out: string
}

/** More than a firmware or a serial log has. */
const MAX_FILE_BYTES = 256 * 1024 * 1024

/** `rel smoke hardware`: signs what ran where and when. Refuses with file_exists, evidence_invalid. */
export async function hardwareRun(
  {item, version}: {readonly item: string; readonly version: string},
  flags: Flags,
): Promise<Outcome> {
  const {about, board, file: paths, log, out} = flags
  if (statIfThere(out) !== undefined) throw new RelError('file_exists', `${out} exists already`)
  const statement: HardwareItem = {
    ...{item, version, about, board},
    files: paths.map((path) => ({name: basename(path), sha256: digestOf(path)})),
    log_sha256: digestOf(log),
    tested_at: testedAt(flags['tested-at']),
  }
  const signer = await openSignerFromFlags(flags)
  try {
    const envelope = await signStatement('evidence', statement, signer)
    readHardwareItem(envelope)
    writeFileAtomic(out, `${JSON.stringify(envelope, null, 2)}\n`)
  } finally {
    signer.close?.()
  }
  return {
    result: {...statement, key_id: signer.publicKey.keyId, evidence: out},
    lines: [
      `✔ ${item} ${version} on ${board}, signed by ${signer.label}: ${out}`,
      ...statement.files.map(({name, sha256}) => `  ${sha256}  ${name}`),
    ],
    next: `rel bump ${item} NEW=${version} --hardware-evidence ${out} --sign-off KEY`,
  }
}

function digestOf(path: string): string {
  return sha256Hex(readFileLimited(path, MAX_FILE_BYTES))
}

function testedAt(text: string | undefined): number {
  if (text === undefined) return systemTime()
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(ms)) return ms / 1000
  throw new RelError('usage_invalid', `--tested-at ${text} is no time such as 2026-04-10T12:00:00Z`)
}
