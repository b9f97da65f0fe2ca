import {basename, dirname, join} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {type Anchor, type AnchorFile, anchorLimits, checkAnchor} from './anchor.ts'
import {parseAnchor} from './anchor-parse.ts'
import {checkNext, isComplete, type Need, needsOf} from './anchor-update.ts'
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

/**
 * An anchor that an administrator trusts by naming its file. When the version before lies beside
 * it, it must follow from that one: a version that still waits for signatures is not trusted yet.
 * Refuses as readAnchor, checkAnchor, findPrevious and checkNext do.
 */
export function loadAnchor(path: string): AnchorFile {
  const file = readAnchor(path)
  checkAnchor(file)
  checkSame(readIfThere(anchorPaths(path).main), file)
  const previous = findPrevious(path, file.anchor.version)
  if (previous !== undefined) checkNext(previous, file)
  return file
}

function readIfThere(path: string): AnchorFile | undefined {
  return statIfThere(path) === undefined ? undefined : readAnchor(path)
}

/**
 * The version before, which decides whose signatures are needed; undefined for version 1.
 * Refuses with file_missing when nothing beside the path leads to it, and as findPrevious does.
 */
export function loadPrevious(path: string, version: number): AnchorFile | undefined {
  const previous = findPrevious(path, version)
  if (previous !== undefined || version === 1) return previous
  const before = anchorPaths(path).numbered(version - 1)
  throw new RelError('file_missing', `${before} is needed to know who must sign`)
}

/**
 * The version before when it is beside the path. trust.json comes first: what lies beside it under
 * a number counts only when it is the same version, or follows from it step by step. Otherwise
 * whoever may write in the folder could put down a chain of their own.
 * Refuses with anchor_inconsistent, and as checkAnchor and checkNext do.
 */
export function findPrevious(path: string, version: number): AnchorFile | undefined {
  const {main, numbered} = anchorPaths(path)
  const current = readIfThere(main)
  if (current === undefined || current.anchor.version >= version) {
    const kept = readIfThere(numbered(version - 1))
    if (kept?.anchor.version !== version - 1) return undefined
    checkAnchor(kept)
    return kept
  }
  checkAnchor(current)
  checkSame(readIfThere(numbered(current.anchor.version)), current)
  return walkTo(version - 1, current, numbered)
}

function walkTo(
  version: number,
  trusted: AnchorFile,
  numbered: AnchorPaths['numbered'],
): AnchorFile | undefined {
  if (version - trusted.anchor.version > anchorLimits.steps) return undefined
  let last = trusted
  while (last.anchor.version < version) {
    const next = readIfThere(numbered(last.anchor.version + 1))
    if (next === undefined) return undefined
    checkNext(last, next)
    last = next
  }
  return last
}

/** Refuses with anchor_inconsistent two files that hold the same version and say different things. */
function checkSame(other: AnchorFile | undefined, file: AnchorFile): void {
  const {version} = file.anchor
  if (other?.anchor.version !== version || other.canonical === file.canonical) return
  throw new RelError(
    'anchor_inconsistent',
    `two files beside each other differ in version ${version}`,
    {
      hint: 'Compare both with rel trust show, and remove the one that did not come from the owners.',
    },
  )
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
  const draft = draftOf(anchor)
  checkPlace(path, draft, previous)
  const file = await withSignature(draft, previous, signer)
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
  checkPlace(path, file, previous)
  return write(path, await withSignature(file, previous, signer), previous, {exclusive: false})
}

/**
 * Before anything is signed: trust.json must be older, and lead to this version, or be this version.
 * Refuses with anchor_inconsistent.
 */
function checkPlace(path: string, file: AnchorFile, previous: AnchorFile | undefined): void {
  const current = readIfThere(anchorPaths(path).main)
  if (current === undefined) return
  checkSame(current, file)
  if (previous !== undefined) checkSame(current, previous)
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
  if (!complete || !mayReplace(readIfThere(main), file))
    return {file, needs, complete, written: [own]}
  writeFileAtomic(main, text)
  return {file, needs, complete, written: [own, main]}
}

/**
 * False for a late signature of an old version, which must not bring that version back. The version
 * right after trust.json must follow from it by its own root keys; findPrevious has walked there
 * when more versions are in between. Refuses as checkNext does.
 */
function mayReplace(current: AnchorFile | undefined, file: AnchorFile): boolean {
  if (current === undefined) return true
  const steps = file.anchor.version - current.anchor.version
  if (steps === 1) checkNext(current, file)
  return steps >= 0
}

/** The version so far under its number, so that others can walk from it. */
function keepVersion(path: string, previous: AnchorFile): void {
  const own = anchorPaths(path).numbered(previous.anchor.version)
  const kept = readIfThere(own)
  if (kept === undefined) writeFileAtomic(own, anchorText(previous))
  else checkSame(kept, previous)
}
