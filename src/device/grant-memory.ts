import {RelError} from '../system/error.ts'
import {readFileLimited} from '../system/files.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {checkClock, trustedNow} from './clock-mark.ts'
import type {Device} from './device.ts'
import type {DurableFs} from './durable-fs.ts'
import {
  checkGrant,
  type GrantFile,
  type GrantMemory,
  grantLimits,
  grantOver,
  parseGrant,
  type UsedGrant,
  withUsed,
} from './grant.ts'
import {paths, type Records} from './layout.ts'
import {isSafeVersion, type Slot} from './record.ts'
import {readSealed, writeSealed} from './sealed-file.ts'
import {anchorOf} from './verify-installed.ts'

/** A grant from a file. Refuses with upgrade_grant_invalid, file_missing, file_unreadable. */
export function readGrant(path: string): GrantFile {
  return parseGrant(readFileLimited(path, grantLimits.bytes))
}

/**
 * That a grant lets this node go from what runs to `slot`, and was not used for something else.
 * Writes nothing. Refuses with upgrade_grant_invalid, upgrade_state_corrupt.
 */
export function checkGrantFor(
  device: Device,
  {record}: Records,
  file: GrantFile,
  slot: Pick<Slot, 'version' | 'digest' | 'channel'>,
): void {
  const {root, config} = device
  checkClock(device)
  const now = trustedNow(device)
  checkGrant(file, anchorOf(root).anchor, {
    product: config.product,
    node: config.node,
    from: record.running.version,
    to: slot.version,
    channel: slot.channel,
    now,
  })
  withUsed(readGrantMemory(root), usedGrant(file, record.seq, slot), now)
}

function usedGrant(
  {grant: {nonce, from, to, notAfter}}: GrantFile,
  seq: number,
  {digest}: Pick<Slot, 'digest'>,
): UsedGrant & {readonly seq: number} {
  return {nonce, from, to, digest, notAfter, seq}
}

/**
 * Remembers that a grant is used on this record, durably before anything is done with it. The answer
 * is to be called once that is recorded: state files that somebody puts back let it in no more then.
 * Refuses as checkGrantFor does.
 */
export function useGrant(
  device: Device,
  records: Records,
  file: GrantFile,
  slot: Slot,
): () => void {
  checkGrantFor(device, records, file, slot)
  const {root, world} = device
  const before = readGrantMemory(root)
  const after = withUsed(before, usedGrant(file, records.record.seq, slot), trustedNow(device))
  if (after !== before) writeGrantMemory(world.fs, after)
  return () => {
    writeGrantMemory(world.fs, {...after, used: after.used.map(closed)})
  }
}

function closed({seq: _, ...used}: UsedGrant): UsedGrant {
  return used
}

/**
 * Ends what a run that was killed has left open: a grant that was taken for an earlier record has had
 * its effect, or is given up. Not what a record waits for: on a full disk the next run does it.
 */
export function closeGrants({root, world}: Device, {record: {seq: now}}: Records): void {
  const isOpen = ({seq}: UsedGrant) => seq !== undefined && seq < now
  try {
    const memory = readGrantMemory(root)
    if (!memory.used.some(isOpen)) return
    const used = memory.used.map((it) => (isOpen(it) ? closed(it) : it))
    writeGrantMemory(world.fs, {...memory, used})
  } catch (error) {
    const isLeft = ['upgrade_disk_full', 'upgrade_state_corrupt']
    if (!(error instanceof RelError) || !isLeft.includes(error.code)) throw error
  }
}

function writeGrantMemory(fs: DurableFs, {used, forgottenUntil}: GrantMemory): void {
  writeSealed(fs, paths.grants, {
    schema: 1,
    forgotten_until: forgottenUntil,
    used: used.map(({nonce, from, to, digest, notAfter, seq}) => ({
      nonce,
      from,
      to,
      digest,
      not_after: notAfter,
      ...(seq === undefined ? {} : {seq}),
    })),
  })
}

/** The version that a grant, already used to stage it, still lets in from what runs. */
export function grantedVersion(device: Device, {record}: Records, slot: Slot): string | undefined {
  const over = grantOver(readGrantMemory(device.root), slot)
  const isGood =
    over !== undefined &&
    over.from === record.running.version &&
    trustedNow(device) <= over.notAfter
  return isGood ? slot.version : undefined
}

/** What a node remembers of grants; nothing, where none was used. Refuses with upgrade_state_corrupt. */
export function readGrantMemory(root: string): GrantMemory {
  const json = readSealed(root, paths.grants)
  if (json === undefined) return {used: [], forgottenUntil: 0}
  const corrupt = () => new RelError('upgrade_state_corrupt', `${paths.grants} holds no grants`)
  const {schema, used, forgotten_until: forgottenUntil, ...rest} = json
  if (schema !== 1 || !Array.isArray(used) || !isCount(forgottenUntil)) throw corrupt()
  if (Object.keys(rest).length > 0) throw corrupt()
  return {used: used.map((entry) => usedOf(entry, corrupt)), forgottenUntil}
}

function usedOf(json: JsonValue, corrupt: () => RelError): UsedGrant {
  const {nonce, from, to, digest, not_after: notAfter, seq} = (json ?? {}) as JsonObject
  if (typeof nonce !== 'string' || typeof digest !== 'string') throw corrupt()
  if (!isSafeVersion(from) || !isSafeVersion(to)) throw corrupt()
  if (!isCount(notAfter) || (seq !== undefined && !isCount(seq))) throw corrupt()
  return {nonce, from, to, digest, notAfter, ...(seq === undefined ? {} : {seq})}
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
