import {z} from 'zod'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import type {Trust} from '../trust/trust-source.ts'
import {checkStatement, statementIn} from './signed-statement.ts'

/** A waiver stands for 90 days: by then somebody must have run it on the hardware. */
const WAIVER_SECS = 90 * 24 * 3600

const schema = z.strictObject({
  item: z.string().max(40),
  version: z.string().max(200),
  gate: z.string().max(100),
  reason: z.string().min(1).max(2000),
  issued_at: z.int().min(0),
  expires_at: z.int().min(0),
})

/** What was waived, why, and from when to when, in seconds since the epoch. */
export type Waiver = z.output<typeof schema>

/** A waiver as it is signed. */
export function waiverOf(
  about: Pick<Waiver, 'item' | 'version' | 'gate' | 'reason'>,
  issuedAt: number,
): Waiver {
  return {...about, issued_at: issuedAt, expires_at: issuedAt + WAIVER_SECS}
}

/** A waiver from its envelope, signed by whomever. Refuses with waiver_invalid. */
export function readWaiver(envelope: JsonObject): Waiver {
  const {data: waiver, error} = schema.safeParse(statementIn('waiver', envelope))
  if (waiver === undefined)
    throw new RelError('waiver_invalid', `a waiver cannot be read: ${error.issues[0]?.message}`)
  const days = (waiver.expires_at - waiver.issued_at) / 86_400
  if (days >= 0 && days * 86_400 <= WAIVER_SECS) return waiver
  throw new RelError('waiver_invalid', `the waiver of ${waiver.gate} is for ${days} days`)
}

/** Refuses with waiver_expired. */
export function checkWaiverFresh({item, gate, expires_at: end}: Waiver, now: number): void {
  if (now < end) return
  const day = new Date(end * 1000).toISOString().slice(0, 10)
  throw new RelError('waiver_expired', `the waiver of ${gate} for ${item} ended on ${day}`)
}

export type WaiverTerms = {
  readonly item: string
  readonly version: string
  /** Asked only for a waiver that has not expired. */
  readonly trust: () => Promise<Trust>
  readonly now: number
}

/**
 * A waiver that counts: for this item and version, not expired, signed by who may. Refuses with
 * waiver_invalid, waiver_mismatch, waiver_expired, and as checkStatement does.
 */
export async function checkWaiver(envelope: JsonObject, terms: WaiverTerms): Promise<Waiver> {
  const {item, version, now} = terms
  const waiver = readWaiver(envelope)
  if (waiver.item !== item || waiver.version !== version)
    throw new RelError(
      'waiver_mismatch',
      `the waiver is for ${waiver.item} ${waiver.version}, want ${item} ${version}`,
    )
  checkWaiverFresh(waiver, now)
  if (waiver.issued_at > now)
    throw new RelError('waiver_invalid', `the waiver of ${waiver.gate} begins in the future`)
  checkStatement('waiver', envelope, item, await terms.trust(), now)
  return waiver
}
