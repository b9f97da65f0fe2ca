import {RelError} from '../system/error.ts'
import type {Trust} from '../trust/trust-source.ts'
import type {Drift} from '../upstream/upstream.ts'
import {checkHardwareItem} from './hardware-item.ts'
import type {LockEntry} from './lock-file.ts'
import type {Playbook} from './playbook.ts'
import {checkWaiver} from './waiver.ts'

type Terms = {readonly now: number; readonly trust: () => Promise<Trust>}

const GATE = 'hardware_evidence'

/**
 * What the lock has for gates that no machine can pass, and no longer counts: an expired, foreign or
 * forged waiver, evidence of something else, or nothing at all. Refuses as `trust` does, when
 * signatures are to be checked and nobody was named.
 */
export async function proofDrifts(
  {item, gates}: Playbook,
  {version, waivers = [], hardwareEvidence}: LockEntry,
  terms: Terms,
): Promise<readonly Drift[]> {
  const drifts: Drift[] = []
  const waived = new Set<string>()
  for (const envelope of waivers)
    try {
      const {gate} = await checkWaiver(envelope, {item, version, ...terms})
      waived.add(gate)
    } catch (error) {
      drifts.push(driftOf(`waiver in the lock of ${item}`, error, 'a waiver that stands'))
    }
  const [about] = gates.flatMap((gate) => (gate.uses === GATE ? [gate.about] : []))
  if (about === undefined || waived.has(GATE) || drifts.length > 0) return drifts
  if (hardwareEvidence === undefined)
    return [
      {subject: item, code: 'gate_needs_evidence', seen: 'nothing', wanted: 'a run on hardware'},
    ]
  try {
    const wish = {item, version, about, now: terms.now}
    checkHardwareItem(hardwareEvidence, wish, await terms.trust())
    return []
  } catch (error) {
    return [driftOf(`evidence in the lock of ${item}`, error, 'evidence of a run on hardware')]
  }
}

/** Whom to trust is the caller's to say: not knowing it is no drift. */
function driftOf(subject: string, error: unknown, wanted: string): Drift {
  if (!(error instanceof RelError) || error.code === 'input_required') throw error
  return {subject, code: error.code, seen: error.message, wanted}
}
