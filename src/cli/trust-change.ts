import {basename} from 'node:path'
import {systemTime} from '../system/clock.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {shellWord, shellWords} from '../system/shell-word.ts'
import type {Anchor, AnchorFile, AnchorKey, Limits} from '../trust/anchor.ts'
import {limitName, plainName} from '../trust/anchor-parse.ts'
import {
  anchorPaths,
  checkNothingPending,
  draftOf,
  loadAnchor,
  type WrittenVersion,
  writeNewVersion,
} from '../trust/anchor-store.ts'
import {describeChange, keyLabel} from '../trust/anchor-text.ts'
import {isComplete, type Need, needsOf} from '../trust/anchor-update.ts'
import {parseTime, timeText} from '../trust/expiry.ts'
import {publicKeyPath} from '../trust/key-store.ts'
import {readPublicKey} from '../trust/public-key.ts'
import type {Outcome} from './base-command.ts'
import {configDefault, loadConfig} from './config.ts'
import {type KeyFlagValues, openSignerFromFlags} from './key-flags.ts'

type VersionFlagValues = KeyFlagValues & {readonly 'dry-run': boolean}

export type ChangeFlagValues = VersionFlagValues & {
  readonly trust?: string | undefined
  readonly expires: string
}

/**
 * Makes the next version of the anchor that the flags name: plan, and unless --dry-run sign and
 * write it. Refuses as loadAnchor, the plan and writeNewVersion do.
 */
export async function changeAnchor(
  flags: ChangeFlagValues,
  plan: (anchor: Anchor, expires: number) => Anchor,
): Promise<Outcome> {
  const path = await anchorPath(flags.trust)
  const previous = loadAnchor(path)
  const anchor = plan(previous.anchor, newExpiry(flags.expires))
  return makeVersion({path, anchor, previous}, flags)
}

/** --expires of a new version. Refuses with time_malformed, and with usage_invalid what is over. */
export function newExpiry(text: string): number {
  const now = systemTime()
  const expires = parseTime(text, now)
  if (expires > now) return expires
  throw new RelError('usage_invalid', `--expires is over: ${timeText(expires)}`)
}

/** --trust, or the configured anchor, or trust.json here. */
export async function anchorPath(given: string | undefined): Promise<string> {
  return given ?? configDefault(await loadConfig(), 'trust') ?? 'trust.json'
}

export type PlannedVersion = {
  readonly path: string
  readonly anchor: Anchor
  readonly previous: AnchorFile | undefined
}

/** Signs and writes a planned version, or with --dry-run only says what it would be. */
export async function makeVersion(
  {path, anchor, previous}: PlannedVersion,
  flags: VersionFlagValues,
): Promise<Outcome> {
  checkNothingPending(path, anchor.version)
  if (flags['dry-run']) {
    const file = draftOf(anchor)
    const needs = needsOf(file, previous)
    return versionOutcome(path, previous, {file, needs, complete: isComplete(needs), written: []})
  }
  return withSigner(flags, async (signer) => {
    const written = await writeNewVersion(path, anchor, previous, signer)
    return versionOutcome(path, previous, written)
  })
}

/** --key, or the configured key unless --signer names the holder. */
export async function configuredKey({key, signer}: KeyFlagValues): Promise<string | undefined> {
  if (key !== undefined || signer !== undefined) return key
  return configDefault(await loadConfig(), 'key')
}

/** Runs with the signer of the flags, or the configured key, and has it forget its key at the end. */
export async function withSigner<T>(
  flags: KeyFlagValues,
  use: (signer: Awaited<ReturnType<typeof openSignerFromFlags>>) => Promise<T>,
): Promise<T> {
  const signer = await openSignerFromFlags({...flags, key: await configuredKey(flags)})
  try {
    return await use(signer)
  } finally {
    signer.close?.()
  }
}

/** What a version says, and whose signatures it has and needs. */
export function versionOutcome(
  path: string,
  previous: AnchorFile | undefined,
  {file, needs, complete, written}: WrittenVersion,
): Outcome {
  const {anchor} = file
  const {main, numbered} = anchorPaths(path)
  const own = numbered(anchor.version)
  const changes = describeChange(previous?.anchor, anchor)
  const ending = endingOf({main, own, complete, written, version: anchor.version})
  return {
    result: {
      file: complete && written.length > 0 ? main : own,
      version: anchor.version,
      expires: anchor.expires,
      complete,
      dry_run: written.length === 0,
      changes,
      needs: needs.map(needJson),
      written,
    },
    lines: [
      `Version ${anchor.version} of ${main}, until ${timeText(anchor.expires)}`,
      ...changes.map((line) => `  ${line}`),
      ...needs.map((need) => needLine(need, previous, file)),
      ending.line,
    ],
    ...ending.after,
  }
}

type Ending = {
  readonly main: string
  readonly own: string
  readonly complete: boolean
  readonly written: readonly string[]
  readonly version: number
}

function endingOf({main, own, complete, written, version}: Ending) {
  if (written.length === 0) return {line: 'Nothing was signed or written.', after: {}}
  const remove = version === 1 ? `rm ${shellWords(written)}` : `rm ${shellWord(own)}`
  if (!complete)
    return {
      line: `! ${own} waits for signatures; until then ${main} stays as it is`,
      after: {next: `rel trust sign ${shellWord(own)} --key NAME`, undo: remove},
    }
  if (!written.includes(main))
    return {line: `✔ ${own} has all signatures; ${main} is newer and stays`, after: {}}
  const restore = `cp ${shellWords([anchorPaths(own).numbered(version - 1), main])} && ${remove}`
  const undo = `${version === 1 ? remove : restore} (before others have it)`
  return {
    line: `✔ ${main} is version ${version}`,
    after: {next: `rel trust show ${shellWord(main)}`, undo},
  }
}

export function needJson({version, threshold, signedBy, waitingFor}: Need): JsonObject {
  return {version, threshold, signed_by: signedBy, waiting_for: waitingFor}
}

/** `root of version 1: 1 of 2 signatures, 1 needed of 0123456789abcdef (anna)`. */
export function needLine(need: Need, previous: AnchorFile | undefined, file: AnchorFile): string {
  const {version, threshold, signedBy, waitingFor} = need
  const {anchor} = previous?.anchor.version === version ? previous : file
  const count = `root of version ${version}: ${signedBy.length} of ${threshold} signatures`
  if (signedBy.length >= threshold) return `  ${count}`
  const missing = waitingFor.map((keyId) => keyLabel(anchor, keyId)).join(', ')
  return `  ${count}, ${threshold - signedBy.length} needed of ${missing}`
}

/** A public key by name or file, as the anchor keeps it; the weak are refused with key_weak. */
export function anchorKey(nameOrFile: string): AnchorKey {
  const {raw, keyId, object} = readPublicKey(publicKeyPath(process.cwd(), nameOrFile))
  const name = keyName(nameOrFile)
  return {publicKey: {raw, keyId, object}, ...(name === undefined ? {} : {name})}
}

/** What to call a key by its file: keys/anna.pub is anna. */
export function keyName(nameOrFile: string): string | undefined {
  const name = basename(nameOrFile).replace(/\.(pub|pem|key|der|jwk)$/, '')
  return plainName.test(name) ? name : undefined
}

export type LimitFlagValues = {
  readonly product?: readonly string[] | undefined
  readonly channel?: readonly string[] | undefined
}

/** Limits as given by --product and --channel. Refuses with usage_invalid. */
export function limitsFromFlags({product, channel}: LimitFlagValues): Limits {
  const bad = [...(product ?? []), ...(channel ?? [])].find((name) => !limitName.test(name))
  if (bad !== undefined)
    throw new RelError('usage_invalid', `${JSON.stringify(bad)} is no name of a product or channel`)
  return {
    ...(product === undefined ? {} : {products: [...new Set(product)]}),
    ...(channel === undefined ? {} : {channels: [...new Set(channel)]}),
  }
}
