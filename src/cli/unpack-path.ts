import {unpackArchive} from '../bundle/archive/unpack.ts'
import {verifyArchive} from '../bundle/archive/verify-archive.ts'
import {counted} from '../system/counted.ts'
import {shellWord} from '../system/shell-word.ts'
import {shortId} from '../trust/envelope.ts'
import type {Outcome} from './base-command.ts'
import {type ProgressMode, withProgress} from './progress.ts'
import {originLines} from './trust-origin.ts'
import {type VerifyFlagValues, verifyPolicyFromFlags} from './verify-flags.ts'

type Flags = VerifyFlagValues &
  ProgressMode & {readonly directory: string; readonly 'dry-run': boolean}

/** `rel unpack`: one pass that verifies and writes, or, as a dry run, only verifies. */
export async function unpackPath(archive: string, flags: Flags): Promise<Outcome> {
  const policy = await verifyPolicyFromFlags(flags, process.env)
  const isDry = flags['dry-run']
  const title = `${isDry ? 'Verifying' : 'Unpacking'} ${archive}`
  const verified = await withProgress(title, flags, () =>
    isDry ? verifyArchive(archive, policy) : unpackArchive(archive, flags.directory, policy),
  )
  const {manifest, fileCount, totalSize, signedBy, identities} = verified
  const who = signedBy.map((id) => `${policy.trust.nameOf(id) ?? 'key'} (${shortId(id)})`)
  const {directory} = flags
  return {
    result: {
      archive,
      directory,
      dry_run: isDry,
      bundle_name: manifest.bundleName,
      version: manifest.version,
      files: fileCount,
      total_size: totalSize,
      signed_by: signedBy,
      identities,
      trust: policy.trust.origin,
      manifest_sha256: verified.manifestSha256,
    },
    lines: [
      `✔ ${isDry ? 'would unpack' : 'unpacked'} ${manifest.bundleName} into ${directory}`,
      ...[...who, ...identities.map((id) => `identity ${id}`)].map((name) => `✔ signed by ${name}`),
      ...originLines(policy.trust.origin),
      `✔ ${counted(fileCount, 'file')}, ${counted(totalSize, 'byte')}, exactly as signed`,
    ],
    warnings: verified.leftOut.map((name) => `${name} left out: nobody trusted vouches for it`),
    ...(isDry ? {} : {undo: `rm -r ${shellWord(directory)}`}),
  }
}
