import {RelError} from '../../system/error.ts'
import {MANIFEST_NAME} from '../manifest.ts'
import {sigstoreSidecars} from '../verify.ts'
import {verifyManifestBytes} from '../verify-manifest.ts'
import type {OnStep, VerifyPolicy} from '../verify-policy.ts'
import {vouchedSidecars} from '../vouched-sidecars.ts'
import {admitSidecar, checkManifestFirst, isRoot} from './admission.ts'
import {openArchive} from './decompress.ts'
import {type ArchiveSink, type Judge, readArchive, type VerifiedArchive} from './read-archive.ts'
import {TarReader} from './tar-reader.ts'

/**
 * The verdict on an archive in one pass, with nothing unpacked: the manifest first, then every
 * entry against it. `sink` is told of what was let in. Refuses as readArchive and
 * verifyManifestBytes do.
 */
export async function verifyArchive(
  path: string,
  policy: VerifyPolicy,
  onStep: OnStep = () => undefined,
  sink?: ArchiveSink,
): Promise<VerifiedArchive> {
  const options = {
    onFormat: (format: string) => onStep({check: 'archive', detail: `${format}, in one pass`}),
  }
  const bundle = await readArchive(path, judgeOf(policy, onStep), options, sink)
  const detail = `${bundle.fileCount} as signed, nothing missing, nothing more`
  onStep({check: 'files', detail})
  return bundle
}

/** The judge of what stands at the beginning of an archive, by a policy. */
export function judgeOf(policy: VerifyPolicy, onStep: OnStep = () => undefined): Judge {
  return async (manifest, sidecars) => {
    const name = sigstoreSidecars(MANIFEST_NAME).find((candidate) => sidecars.has(candidate))
    const sidecar = name === undefined ? undefined : sidecars.get(name)
    const verified = await verifyManifestBytes(manifest, policy, onStep, sidecar)
    return {verified, vouched: vouchedSidecars(sidecars, manifest, verified, policy)}
  }
}

/**
 * manifest.json of an archive as it is there: length-checked, but nothing in it is trusted.
 * Refuses as openArchive and TarReader do, and with archive_manifest_not_first, archive_limit.
 */
export async function readManifestOfArchive(path: string): Promise<Buffer> {
  const source = openArchive(path)
  const reader = new TarReader()
  const pieces: Buffer[] = []
  try {
    for await (const bytes of source.tar) {
      reader.feed(bytes)
      for (let token = reader.next(); token !== undefined; token = reader.next()) {
        if (token.kind === 'data') pieces.push(Buffer.from(token.bytes))
        else if (token.kind === 'end' && pieces.length > 0) return Buffer.concat(pieces)
        else if (token.kind === 'entry' && !isRoot(token.entry)) {
          checkManifestFirst(token.entry)
          admitSidecar(token.entry, new Set())
        }
      }
    }
  } finally {
    source.close()
  }
  throw new RelError('archive_manifest_not_first', 'the archive has no manifest.json')
}
