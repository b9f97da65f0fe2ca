import {closeSync, mkdirSync, openSync, writeSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {RelError} from '../../system/error.ts'
import {fileError} from '../../system/files.ts'
import {type ArchiveSink, type Judge, readArchive} from '../archive/read-archive.ts'
import {loadManifest} from '../inspect.ts'
import {parseManifest} from '../parse-manifest.ts'
import {kindOfPath} from '../verify.ts'
import {verifyTree} from '../verify-tree.ts'
import type {OldBundle} from './make-delta.ts'
import {makeScratch} from './spool.ts'

/**
 * Does work with a bundle that a delta starts from, directory or archive, once all its files are as
 * its manifest says; who signed it is the node's question. Refuses as verifyTree and readArchive do.
 */
export async function withOldBundle<T>(
  path: string,
  work: (old: OldBundle) => Promise<T>,
): Promise<T> {
  const {file, contentSha256: digest, manifestSha256} = await loadManifest(path)
  const {manifest} = file
  if (kindOfPath(path) === 'tree') {
    await verifyTree(path, manifest)
    return work({manifest, digest, directory: path})
  }
  const scratch = makeScratch()
  try {
    await readArchive(path, judge(digest, manifestSha256), {}, new Files(scratch.path))
    return await work({manifest, digest, directory: scratch.path})
  } finally {
    scratch.remove()
  }
}

/** Nobody's keys are asked: what is read only saves bytes, and a node compares all of it. */
function judge(contentSha256: string, manifestSha256: string): Judge {
  return async (bytes) => {
    const file = parseManifest(bytes)
    const nobody = {signedBy: [], threshold: 0, identities: []}
    const verified = {file, manifest: file.manifest, contentSha256, manifestSha256, ...nobody}
    return {verified, vouched: new Set()}
  }
}

/** The files of an archive in a folder of ours, without modes, links and sidecars. */
class Files implements ArchiveSink {
  readonly #root: string
  #fd = -1

  constructor(root: string) {
    this.#root = root
  }

  begin(): void {}
  sidecar(): void {}
  directory(): void {}
  link(): void {}

  open({path}: {readonly path: string}): void {
    const absolute = join(this.#root, path)
    try {
      mkdirSync(dirname(absolute), {recursive: true})
      this.#fd = openSync(absolute, 'wx', 0o600)
    } catch (error) {
      throw fileError(error, path, 'write')
    }
  }

  write(bytes: Buffer): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at)
    } catch (error) {
      throw fileError(error, 'a temporary file', 'write')
    }
  }

  close(): void {
    if (this.#fd === -1) throw new RelError('internal_error', 'a file was closed twice')
    closeSync(this.#fd)
    this.#fd = -1
  }
}
