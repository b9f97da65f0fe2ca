import type {CodeTable} from './code.ts'

/** Codes of key files, passphrases and signers. */
export const keysCodes = {
  key_weak: {
    exit: 'verification',
    title: 'the public key is weak',
    cause:
      'The 32 bytes are no canonical point of the curve, or a point of small order: under such a key a signature can be valid for every message.',
    fix: 'Make a new key with rel keys new NAME. No sound tool makes such a key by accident.',
  },
  key_malformed: {
    exit: 'usage',
    title: 'the key file could not be understood',
    cause: 'The file is in none of the key formats that rel reads, or it is damaged.',
    fix: 'rel keys show FILE names the formats; check that the right file was given.',
  },
} as const satisfies CodeTable
