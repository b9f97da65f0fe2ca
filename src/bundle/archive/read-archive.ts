import {createHash, type Hash, hash} from 'node:crypto'
import {RelError} from '../../system/error.ts'
import {MANIFEST_NAME} from '../manifest.ts'
import {shownPath} from '../path-rules.ts'
import type {VerifiedBundle, VerifiedManifest} from '../verify-policy.ts'
import type {Sidecars} from '../vouched-sidecars.ts'
import {
  Admission,
  type Admitted,
  admitSidecar,
  checkManifestFirst,
  isRoot,
  isSidecar,
} from './admission.ts'
import {type ArchiveFormat, type ArchiveSource, openArchive} from './decompress.ts'
import {archiveLimits} from './limits.ts'
import {SecondReader} from './second-reader.ts'
import {type TarEntry, TarReader, type TarToken} from './tar-reader.ts'

export type AdmittedFile = Extract<Admitted, {kind: 'file'}>

/** The verdict on the manifest, and which of the sidecars that follow it somebody vouches for. */
export type Verdict = {
  readonly verified: VerifiedManifest
  readonly vouched: ReadonlySet<string>
}

/** Asked once, about manifest.json and the sidecars that directly follow it; a refusal is thrown. */
export type Judge = (manifest: Buffer, sidecars: Sidecars) => Promise<Verdict>

export type VerifiedArchive = VerifiedBundle & {
  /** Sidecars in the archive that nobody trusted vouches for: no sink is told of them. */
  readonly leftOut: readonly string[]
}

/** What becomes of the entries that were let in; verifying alone needs none of it. */
export type ArchiveSink = {
  /** Called once, before anything else, when the manifest is trusted. */
  begin(verified: VerifiedManifest): void
  /** manifest.json, or a sidecar that somebody vouches for. */
  sidecar(name: string, bytes: Buffer): void
  directory(path: string): void
  link(path: string, target: string): void
  /** The bytes of one file follow by `write`, at most as many as were signed. */
  open(file: AdmittedFile): void
  write(bytes: Buffer): void
  /** The bytes were as signed. */
  close(): void
}

const nowhere: ArchiveSink = {
  begin: () => undefined,
  sidecar: () => undefined,
  directory: () => undefined,
  link: () => undefined,
  open: () => undefined,
  write: () => undefined,
  close: () => undefined,
}

export type ArchiveOptions = {
  readonly onFormat?: (format: ArchiveFormat) => void
}

/**
 * One pass over an archive: the manifest is judged before anything else is looked at, then every
 * entry is admitted, measured and hashed as it goes by. Refuses as openArchive, TarReader,
 * Admission and the judge do, and with file_digest_mismatch and archive_readers_disagree.
 */
export async function readArchive(
  path: string,
  judge: Judge,
  options: ArchiveOptions,
  sink: ArchiveSink = nowhere,
): Promise<VerifiedArchive> {
  const source = openArchive(path)
  options.onFormat?.(source.format)
  const second = new SecondReader()
  try {
    const intake = new Intake(judge, sink, (entry) => second.expect(entry))
    const reader = new TarReader()
    let inflated = 0
    for await (const bytes of source.tar) {
      inflated += bytes.length
      if (intake.isUnsized()) checkRatio(inflated, source)
      reader.feed(bytes)
      for (let token = reader.next(); token !== undefined; token = reader.next()) {
        const verdict = intake.take(token)
        if (verdict !== undefined) await verdict // not for each token: it costs more than hashing
      }
      await second.feed(bytes)
    }
    reader.finish()
    await second.finish()
    return await intake.finish()
  } finally {
    second.close()
    source.close()
  }
}

function checkRatio(inflated: number, source: ArchiveSource): void {
  const most = archiveLimits.ratioFrom + archiveLimits.ratio * source.bytesRead()
  if (inflated > most)
    throw new RelError('archive_limit', `what nobody has signed inflates to over ${most} bytes`)
}

/** What becomes of each token: the order of checks of docs/formats/archive.md. */
class Intake {
  readonly #judge: Judge
  readonly #sink: ArchiveSink
  readonly #onEntry: (entry: TarEntry) => void
  readonly #seenSidecars = new Set<string>()
  readonly #sidecars = new Map<string, Buffer>()
  #rootSeen = false
  #admission: Admission | undefined
  #verified: VerifiedManifest | undefined
  #vouched: ReadonlySet<string> = new Set()
  #body: Body = skipped
  #totalSize = 0

  constructor(judge: Judge, sink: ArchiveSink, onEntry: (entry: TarEntry) => void) {
    this.#judge = judge
    this.#sink = sink
    this.#onEntry = onEntry
  }

  /** True while nothing signed limits what comes. */
  isUnsized(): boolean {
    return this.#verified === undefined || this.#verified.manifest.rel === undefined
  }

  take(token: TarToken): Promise<void> | undefined {
    if (token.kind === 'data') this.#body.write(token.bytes)
    else if (token.kind === 'end') this.#end()
    else return this.#begin(token.entry)
    return undefined
  }

  async finish(): Promise<VerifiedArchive> {
    if (!this.#seenSidecars.has(MANIFEST_NAME))
      throw new RelError('archive_manifest_not_first', 'the archive has no manifest.json')
    if (this.#verified === undefined) await this.#verify()
    this.#admission?.checkComplete()
    const verified = this.#verified
    if (verified === undefined) throw new RelError('internal_error', 'an archive without a verdict')
    const fileCount = verified.manifest.files.length
    const leftOut = [...this.#seenSidecars].filter((name) => !this.#vouched.has(name))
    return {...verified, source: 'archive', fileCount, totalSize: this.#totalSize, leftOut}
  }

  #begin(entry: TarEntry): Promise<void> | undefined {
    this.#onEntry(entry)
    if (isRoot(entry)) return this.#root(entry)
    if (this.#seenSidecars.size === 0) checkManifestFirst(entry)
    if (isSidecar(entry)) return this.#beginSidecar(entry)
    if (this.#verified === undefined) return this.#verify().then(() => this.#admit(entry))
    this.#admit(entry)
    return undefined
  }

  #root(entry: TarEntry): undefined {
    if (this.#rootSeen)
      throw new RelError('archive_entry_duplicate', `${entry.path} is there twice`)
    this.#rootSeen = true
    this.#body = skipped
  }

  #beginSidecar(entry: TarEntry): undefined {
    const name = admitSidecar(entry, this.#seenSidecars)
    // one that comes late was not there when it could have been verified
    const isLate = this.#verified !== undefined
    this.#body = isLate ? skipped : new Collected((bytes) => this.#sidecars.set(name, bytes))
  }

  #admit(entry: TarEntry): void {
    const admitted = this.#admission?.admit(entry)
    this.#body = skipped
    if (admitted?.kind === 'directory') this.#sink.directory(admitted.path)
    else if (admitted?.kind === 'link') this.#sink.link(admitted.link.path, admitted.link.target)
    else if (admitted?.kind === 'file') {
      this.#totalSize += admitted.size
      this.#body = new HashedBody(admitted, this.#sink)
    }
  }

  #end(): void {
    const body = this.#body
    this.#body = skipped
    body.end()
  }

  async #verify(): Promise<void> {
    const manifest = this.#sidecars.get(MANIFEST_NAME)
    if (manifest === undefined) throw new RelError('internal_error', 'a manifest was not collected')
    const {verified, vouched} = await this.#judge(manifest, this.#sidecars)
    this.#verified = verified
    this.#vouched = new Set([MANIFEST_NAME, ...vouched])
    this.#admission = new Admission(verified.manifest)
    this.#sink.begin(verified)
    for (const [name, bytes] of this.#sidecars)
      if (this.#vouched.has(name)) this.#sink.sidecar(name, bytes)
    this.#sidecars.clear()
  }
}

/** The bytes of the entry at hand. */
type Body = {write(bytes: Buffer): void; end(): void}

const empty = Buffer.alloc(0)

const skipped: Body = {write: () => undefined, end: () => undefined}

/** A sidecar, whose size was limited when it was admitted. */
class Collected implements Body {
  readonly #pieces: Buffer[] = []
  readonly #done: (bytes: Buffer) => void

  constructor(done: (bytes: Buffer) => void) {
    this.#done = done
  }

  write(bytes: Buffer): void {
    this.#pieces.push(Buffer.from(bytes)) // the piece is overwritten by the next
  }

  end(): void {
    this.#done(Buffer.concat(this.#pieces))
  }
}

/** A file: one that came in one piece is hashed before a byte of it is written. */
class HashedBody implements Body {
  readonly #file: AdmittedFile
  readonly #sink: ArchiveSink
  #hasher: Hash | undefined
  #isOpen = false

  constructor(file: AdmittedFile, sink: ArchiveSink) {
    this.#file = file
    this.#sink = sink
    if (file.size === 0) this.#pass(empty)
  }

  write(bytes: Buffer): void {
    if (bytes.length === this.#file.size) {
      this.#pass(bytes)
      return
    }
    this.#open()
    this.#hasher ??= createHash('sha256')
    this.#hasher.update(bytes)
    this.#sink.write(bytes)
  }

  end(): void {
    if (this.#hasher !== undefined) this.#check(this.#hasher.digest('hex'))
    this.#sink.close()
  }

  #pass(bytes: Buffer): void {
    this.#check(hash('sha256', bytes, 'hex'))
    this.#open()
    this.#sink.write(bytes)
  }

  #open(): void {
    if (!this.#isOpen) this.#sink.open(this.#file)
    this.#isOpen = true
  }

  #check(sha256: string): void {
    const {path, sha256: signed} = this.#file
    if (sha256 === signed) return
    throw new RelError(
      'file_digest_mismatch',
      `${shownPath(path)}: SHA-256 is ${sha256}, signed is ${signed}`,
    )
  }
}
