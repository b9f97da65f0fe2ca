import type {CodeTable} from './code.ts'

/** Codes of hardware evidence and waivers (docs/formats/hardware-evidence.md). */
export const proofsCodes = {
  evidence_invalid: {
    exit: 'verification',
    title: 'a file is no evidence of a run on hardware',
    cause: 'It is no signed evidence item, or says something that no such item can say.',
    fix: 'Have it made with rel smoke hardware by who ran the board.',
  },
  evidence_mismatch: {
    exit: 'gate',
    title: 'the evidence is of something else',
    cause: 'It names another item, version or file than the one that is bumped, or a time to come.',
    fix: 'Run this very version on the board, and make the evidence of that run.',
  },
  waiver_invalid: {
    exit: 'verification',
    title: 'a waiver cannot be read',
    cause: 'The waiver in rel.lock.json is no signed waiver, or is valid for longer than 90 days.',
    fix: 'Restore rel.lock.json from the base branch, or lock the item again: rel bump ITEM --lock.',
  },
  waiver_mismatch: {
    exit: 'verification',
    title: 'a waiver is for something else',
    cause: 'It was signed for another item, version or gate than the entry it lies in.',
    fix: 'Lock the item again with evidence or a waiver of its own: rel bump ITEM --lock.',
  },
  waiver_unused: {
    exit: 'usage',
    title: 'there is nothing to waive',
    cause: 'A waiver counts only for a gate of the playbook that says it cannot prove its point.',
    fix: 'Leave --waive out, or correct the name of the gate.',
  },
  waiver_expired: {
    exit: 'gate',
    title: 'a waiver has expired',
    cause: 'A waiver stands for 90 days. By then somebody must have run it on the hardware.',
    fix: 'rel bump ITEM --lock --hardware-evidence FILE --sign-off KEY; or sign a new waiver with --waive.',
  },
} as const satisfies CodeTable
