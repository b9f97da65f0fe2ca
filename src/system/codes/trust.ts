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
  anchor_malformed: {
    exit: 'verification',
    title: 'the trust anchor could not be understood',
    cause: 'A field is missing, unknown or of the wrong form; the message says which one.',
    fix: 'Check that the file is a trust.json made by rel trust init.',
  },
  anchor_limit: {
    exit: 'verification',
    title: 'a list in the trust anchor is too long',
    cause: 'Every list has a named limit, since the file is read before it is trusted.',
    fix: 'Remove entries that are no longer needed.',
  },
  anchor_inconsistent: {
    exit: 'verification',
    title: 'the trust anchor contradicts itself',
    cause:
      'It names keys that it does not hold or has revoked, thresholds that nobody can meet, or entries that can never decide; or two files beside each other are the same version and differ.',
    fix: 'Read the message: rel trust add, rotate and revoke never write such a file. Remove what did not come from the owners.',
  },
  threshold_unreachable: {
    exit: 'conflict',
    title: 'the change would leave too few keys for a threshold',
    cause: 'With fewer keys than must sign, nothing could ever be verified again.',
    fix: 'Add a key first (rel trust add), revoke with --replace-by, or lower --threshold.',
  },
  anchor_spec_unsupported: {
    exit: 'verification',
    title: 'the trust anchor has a newer format',
    cause: 'This version of rel knows spec 1 only, and never guesses.',
    fix: 'Update rel.',
  },
  anchor_expired: {
    exit: 'verification',
    title: 'the trust anchor has expired',
    cause:
      'An anchor must be renewed now and then: otherwise whoever holds back updates could freeze a device on old keys for ever.',
    fix: 'Get the newest trust.json; its owner makes one with rel trust renew.',
  },
  anchor_rollback: {
    exit: 'verification',
    title: 'the trust anchor offered is not newer',
    cause: 'An old anchor may hold keys that were revoked since; versions only rise.',
    fix: 'Keep the one you have, or get the newest.',
  },
  anchor_gap: {
    exit: 'verification',
    title: 'a version of the trust anchor was skipped',
    cause: 'Version N+1 is only proven by the keys of version N, so no version can be left out.',
    fix: 'Get the versions in between: they are kept as N.trust.json beside the anchor.',
  },
  anchor_steps: {
    exit: 'verification',
    title: 'there are too many versions of the trust anchor to walk',
    cause:
      'One update walks a limited number of versions, so that nobody can keep it busy for ever.',
    fix: 'Walk in two runs, or install the newest anchor by hand.',
  },
  anchor_old_root: {
    exit: 'verification',
    title: 'the new trust anchor lacks signatures by the old root keys',
    cause: 'Only the keys trusted so far can say who is trusted next.',
    fix: 'Have holders of the old root keys sign it with rel trust sign.',
  },
  anchor_new_root: {
    exit: 'verification',
    title: 'the new trust anchor lacks signatures by its own root keys',
    cause:
      'The new root keys must prove that they exist, or nobody could ever change the anchor again.',
    fix: 'Have holders of the new root keys sign it with rel trust sign.',
  },
  anchor_pending: {
    exit: 'conflict',
    title: 'a next version of the trust anchor waits for signatures',
    cause: 'Two different versions with one number would split those who trust them.',
    fix: 'Finish it with rel trust sign, or remove its file.',
  },
  anchor_unchanged: {
    exit: 'usage',
    title: 'the trust anchor says so already',
    cause: 'The change asked for would make a new version that says the same.',
    fix: 'rel trust show prints what it says.',
  },
  role_missing: {
    exit: 'verification',
    title: 'the trust anchor has no keys for this role',
    cause: 'Nobody was given the right to sign this kind of document.',
    fix: 'Give somebody the role: rel trust add KEY --role ROLE.',
  },
  key_not_for_role: {
    exit: 'verification',
    title: 'the key has other roles only',
    cause: 'A key of one role never counts for another.',
    fix: 'Sign with a key that has the role; rel trust show lists them.',
  },
  key_not_for_product: {
    exit: 'verification',
    title: 'the key is for other products',
    cause: 'The trust anchor limits it to products, and this is none of them.',
    fix: 'Sign with a key of this product; rel trust show lists them.',
  },
  key_not_for_channel: {
    exit: 'verification',
    title: 'the key is for other channels',
    cause: 'The trust anchor limits it: a key for canary cannot sign for stable.',
    fix: 'Sign with a key of this channel; rel trust show lists them.',
  },
  key_expired: {
    exit: 'verification',
    title: 'the key is past its last day',
    cause: 'The trust anchor gives the key an end (not_after), and that is over.',
    fix: 'Sign with a newer key, or give it a later end with rel trust add.',
  },
  key_revoked: {
    exit: 'verification',
    title: 'the key was revoked',
    cause:
      'It may be in wrong hands. Without a trusted time all its signatures fail, old ones too.',
    fix: 'Sign again with another key.',
  },
  anchor_key_not_found: {
    exit: 'usage',
    title: 'the trust anchor has no such key',
    cause: 'No key has that id or name, or the first digits given fit more than one.',
    fix: 'rel trust show lists key ids and names.',
  },
  digest_revoked: {
    exit: 'verification',
    title: 'the document was revoked',
    cause: 'The trust anchor lists its digest among those that must not be used again.',
    fix: 'Use another version.',
  },
  clock_set_back: {
    exit: 'verification',
    title: 'the clock was set back',
    cause:
      'It shows a time before one that it has shown already, so that what is expired could look fresh.',
    fix: 'Set the clock right.',
  },
  time_malformed: {
    exit: 'usage',
    title: 'a time could not be understood',
    cause:
      'Times are a date (2027-01-31), a UTC time (2027-01-31T12:00:00Z), seconds since the epoch, or a span from now (90d, 12h).',
    fix: 'Write it in one of these forms.',
  },
} as const satisfies CodeTable
