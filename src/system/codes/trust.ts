import type {CodeTable} from './code.ts'

/** Codes of signatures and of the trust anchor (docs/formats/envelope.md, trust-anchor.md). */
export const trustCodes = {
  signature_missing: {
    exit: 'verification',
    title: 'there is no signature',
    cause: 'The document carries no signature, so nobody vouches for it.',
    fix: 'Ask its maker to sign it, or sign it yourself with rel sign.',
  },
  signature_malformed: {
    exit: 'verification',
    title: 'a signature could not be read',
    cause: 'A signature is {keyid, sig}: 64 lower-case hex digits, and 64 bytes in padded base64.',
    fix: 'Ask for the file again, or sign it again.',
  },
  signature_limit: {
    exit: 'verification',
    title: 'there are too many signatures',
    cause: 'At most 16 signatures are read, so that nobody can make verification slow.',
    fix: 'Remove signatures that no trust anchor asks for.',
  },
  signature_duplicate: {
    exit: 'verification',
    title: 'two signatures name the same key',
    cause: 'One key counts once; a repeated entry is an attempt to meet a threshold with one key.',
    fix: 'Ask for the file again, or sign it again.',
  },
  signature_invalid: {
    exit: 'verification',
    title: 'a signature by a trusted key does not fit',
    cause: 'What was signed is not what is here: it was changed, or the signature was copied.',
    fix: 'Do not use it. Fetch it again; if it fails again, tell its maker.',
  },
  key_unknown: {
    exit: 'verification',
    title: 'no trusted key has signed',
    cause: 'There are signatures, but none by a key that is trusted for this.',
    fix: 'Check the key ids in the message: rel trust add adds a key, --public-key names one for a single run.',
  },
  threshold_not_met: {
    exit: 'verification',
    title: 'too few trusted keys have signed',
    cause: 'The trust anchor asks for more different keys than have signed.',
    fix: 'Have further key holders sign with rel sign --add, or rel trust sign for a trust anchor.',
  },
} as const satisfies CodeTable
