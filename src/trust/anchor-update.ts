import {RelError} from '../system/error.ts'
import {type AnchorFile, anchorLimits, checkAnchor, checkAnchorFresh, rootKeys} from './anchor.ts'
import {parseAnchor} from './anchor-parse.ts'
import {checkSignatures, signersOf} from './envelope.ts'

/**
 * The anchor that follows a trusted one, TUF's root rule (theupdateframework/specification 5.3):
 * version N+1 exactly, signed by the threshold of the root keys of N and of its own. Expiry is not
 * looked at: a device that was off for a year walks over expired versions.
 * Refuses with anchor_rollback, anchor_gap, anchor_old_root, anchor_new_root, and as parseAnchor and
 * checkSignatures do.
 */
export function nextAnchor(trusted: AnchorFile, candidate: Uint8Array): AnchorFile {
  const next = parseAnchor(candidate)
  checkNext(trusted, next)
  return next
}

/** The rule of nextAnchor for a version that was read already. */
export function checkNext(trusted: AnchorFile, next: AnchorFile): void {
  checkVersion(trusted.anchor.version, next.anchor.version)
  const {canonical, signatures} = next
  const was = trusted.anchor.version
  orAs('anchor_old_root', `version ${was + 1} lacks signatures by the root keys of ${was}`, () =>
    checkSignatures('trust', canonical, signatures, rootKeys(trusted.anchor)),
  )
  orAs('anchor_new_root', `version ${was + 1} lacks signatures by its own root keys`, () =>
    checkAnchor(next),
  )
}

function checkVersion(trusted: number, candidate: number): void {
  const details = {details: {trusted, candidate}}
  if (candidate <= trusted) {
    const message = `version ${candidate} is offered, version ${trusted} is trusted already`
    throw new RelError('anchor_rollback', message, details)
  }
  if (candidate !== trusted + 1) {
    const message = `version ${candidate} is offered, version ${trusted + 1} must come first`
    throw new RelError('anchor_gap', message, details)
  }
}

/** Too few signatures get the code that says whose are missing; a false one keeps its own. */
function orAs(
  code: 'anchor_old_root' | 'anchor_new_root',
  message: string,
  check: () => unknown,
): void {
  try {
    check()
  } catch (cause) {
    const few = cause instanceof RelError && tooFew.has(cause.code)
    throw few ? new RelError(code, `${message}: ${cause.message}`, {cause}) : cause
  }
}

const tooFew: ReadonlySet<string> = new Set([
  'key_unknown',
  'threshold_not_met',
  'signature_missing',
])

/**
 * From a trusted anchor over each next version to the last; `now` is fixed before the first step,
 * and only the last one must not have expired. Stops at the first refusal: nothing of the walk
 * counts then. Refuses as nextAnchor does, with anchor_steps, and with anchor_expired.
 */
export function walkAnchors(
  trusted: AnchorFile,
  candidates: Iterable<Uint8Array>,
  now: number,
): AnchorFile {
  let last = trusted
  let steps = 0
  for (const candidate of candidates) {
    steps++
    if (steps > anchorLimits.steps)
      throw new RelError('anchor_steps', `more than ${anchorLimits.steps} versions to walk`)
    last = nextAnchor(last, candidate)
  }
  checkAnchorFresh(last.anchor, now)
  return last
}

/** Whose signatures a version has and which it still needs to follow from the version before. */
export type Need = {
  /** The version whose root keys are asked. */
  readonly version: number
  readonly threshold: number
  readonly signedBy: readonly string[]
  /** Root keys that have not signed; `threshold - signedBy.length` of them are enough. */
  readonly waitingFor: readonly string[]
}

/**
 * The needs of a version: its own root keys, and those of the version before unless it is the first.
 * Refuses with signature_invalid when a root key's signature fails, and as nextAnchor does.
 */
export function needsOf(file: AnchorFile, previous: AnchorFile | undefined): readonly Need[] {
  if (previous !== undefined) checkVersion(previous.anchor.version, file.anchor.version)
  const asked = previous === undefined ? [file] : [previous, file]
  return asked.map(({anchor}) => {
    const {keys, threshold} = rootKeys(anchor)
    const signedBy = signersOf('trust', file.canonical, file.signatures, keys)
    const waitingFor = keys.map(({keyId}) => keyId).filter((keyId) => !signedBy.includes(keyId))
    return {version: anchor.version, threshold, signedBy, waitingFor}
  })
}

/** True when every threshold is met. */
export function isComplete(needs: readonly Need[]): boolean {
  return needs.every(({threshold, signedBy}) => signedBy.length >= threshold)
}
