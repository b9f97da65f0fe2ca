import {basename, dirname, join} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {type Anchor, type AnchorFile, anchorLimits, checkAnchor} from './anchor.ts'
import {parseAnchor} from './anchor-parse.ts'
import {isComplete, type Need, needsOf} from './anchor-update.ts'
import {anchorText} from './anchor-write.ts'
import {addSignature, shortId} from './envelope.ts'
import type {Signer} from './signer.ts'

/** `trust.json` is the newest complete version; `N.trust.json` beside it is version N, also a pending one. */
export type AnchorPaths = {
  readonly main: string
  numbered(version: number): string
}

/** The paths that belong to an anchor, from the path of any of its versions. */
export function anchorPaths(path: string): AnchorPaths {
  const folder = dirname(path)
  const name = basename(path).replace(/^[1-9][0-9]*\./, '')
  return {main: join(folder, name), numbered: (version) => join(folder, `${version}.${name}`)}
}

/** A version as it stands in a file, complete or not. Refuses as parseAnchor does, and file_*. */
export function readAnchor(path: string): AnchorFile {
  return parseAnchor(readFileLimited(path, anchorLimits.bytes))
}

/** An anchor that an administrator trusts by naming its file. Refuses as readAnchor and checkAnchor do. */
export function loadAnchor(path: string): AnchorFile {
  const file = readAnchor(path)
  checkAnchor(file)
  return file
}

/**
 * The version before, which decides whose signatures are needed; undefined for version 1.
 * Refuses with file_missing when neither N-1.trust.json nor trust.json holds it.
 */
export function loadPrevious(path: string, version: number): AnchorFile | undefined {
  const previous = findPrevious(path, version)
  if (previous !== undefined || version === 1) return previous
  const before = anchorPaths(path).numbered(version - 1)
  throw new RelError('file_missing', `${before} is needed to know who must sign`)
}

/** The version before when it is beside the path. Refuses as loadAnchor does. */
export function findPrevious(path: string, version: number): AnchorFile | undefined {
  const {main, numbered} = anchorPaths(path)
  for (const candidate of [numbered(version - 1), main]) {
    const file = statIfThere(candidate) === undefined ? undefined : readAnchor(candidate)
    if (file?.anchor.version !== version - 1) continue
    checkAnchor(file)
    return file
  }
  return undefined
}

/** What became of a version. */
export type WrittenVersion = {
  readonly file: AnchorFile
  readonly needs: readonly Need[]
  readonly complete: boolean
  /** Paths, in the order they were written. */
  readonly written: readonly string[]
}

/** Refuses with anchor_pending when a file for the next version is there. */
export function checkNothingPending(path: string, version: number): void {
  const pending = anchorPaths(path).numbered(version)
  if (statIfThere(pending) === undefined) return
  const code = version === 1 ? 'file_exists' : 'anchor_pending'
  throw new RelError(code, `${pending} is there already`)
}

/**
 * A planned version as it will be read: what would not be, such as more keys than the limit, is
 * refused before it is signed. Refuses as parseAnchor does.
 */
export function draftOf(anchor: Anchor): AnchorFile {
  return parseAnchor(Buffer.from(anchorText({anchor, signatures: []})))
}

/**
 * Signs a planned version and writes it: `N.trust.json` always, `trust.json` once all signatures are
 * there, so that who reads `trust.json` never sees an unfinished one.
 * Refuses with anchor_pending, file_exists, key_not_for_role, and as addSignature does.
 */
export async function writeNewVersion(
  path: string,
  anchor: Anchor,
  previous: AnchorFile | undefined,
  signer: Signer,
): Promise<WrittenVersion> {
  checkNothingPending(path, anchor.version)
  const file = await withSignature(draftOf(anchor), previous, signer)
  if (previous !== undefined) keepVersion(path, previous)
  return write(path, file, previous, {exclusive: true})
}

/**
 * Adds one signature to a version in a file, and completes it when it was the last one needed.
 * Signing again with the same key changes nothing but finishes what was interrupted.
 * Refuses as readAnchor, loadPrevious and needsOf do, with key_not_for_role, and as addSignature does.
 */
export async function signVersion(path: string, signer: Signer): Promise<WrittenVersion> {
  const file = readAnchor(path)
  const previous = loadPrevious(path, file.anchor.version)
  return write(path, await withSignature(file, previous, signer), previous, {exclusive: false})
}

async function withSignature(
  file: AnchorFile,
  previous: AnchorFile | undefined,
  signer: Signer,
): Promise<AnchorFile> {
  const {keyId} = signer.publicKey
  const asked = needsOf(file, previous).flatMap((need) => [...need.waitingFor, ...need.signedBy])
  if (!asked.includes(keyId)) {
    const versions = previous === undefined ? 'version 1' : 'the old or the new version'
    const message = `key ${shortId(keyId)} is no root key of ${versions}`
    throw new RelError('key_not_for_role', message, {details: {root_keys: asked}})
  }
  const signatures = await addSignature('trust', file.canonical, file.signatures, signer)
  return {...file, signatures}
}

function write(
  path: string,
  file: AnchorFile,
  previous: AnchorFile | undefined,
  options: {readonly exclusive: boolean},
): WrittenVersion {
  const {main, numbered} = anchorPaths(path)
  const needs = needsOf(file, previous)
  const complete = isComplete(needs)
  const text = anchorText(file)
  const own = numbered(file.anchor.version)
  writeFileAtomic(own, text, options)
  if (!complete || isNewer(main, file)) return {file, needs, complete, written: [own]}
  writeFileAtomic(main, text)
  return {file, needs, complete, written: [own, main]}
}

/** A late signature for an old version must not bring that version back. */
function isNewer(main: string, {anchor}: AnchorFile): boolean {
  return statIfThere(main) !== undefined && readAnchor(main).anchor.version > anchor.version
}

/** The version so far under its number, so that others can walk from it. */
function keepVersion(path: string, previous: AnchorFile): void {
  const own = anchorPaths(path).numbered(previous.anchor.version)
  if (statIfThere(own) === undefined) writeFileAtomic(own, anchorText(previous))
}
