import type {CodeTable} from './code.ts'

/** Codes of the panel's database, blobs, uploads and their upkeep (docs/formats/panel-storage.md). */
export const storeCodes = {
  store_busy: {
    exit: 'temporary',
    title: "the panel's database is held by another process",
    cause: 'Another process kept the database locked for longer than a publication ever takes.',
    fix: 'Try again; if it stays, look for a process that hangs on the data folder.',
  },
  store_full: {
    exit: 'local',
    title: "there is no space left for the panel's data",
    cause:
      'The disk, the quota or the database is full. Nothing was kept of what was being written.',
    fix: 'Make room (rel panel gc, a larger disk), then run the same command again.',
  },
  store_read_only: {
    exit: 'local',
    title: "the panel's data cannot be written",
    cause: 'The data folder, its file system or the database is read-only. Reading goes on.',
    fix: "Give the panel's user the right to write, or mount the file system for writing.",
  },
  store_failed: {
    exit: 'local',
    title: "the panel's data could not be read or written",
    cause:
      'The operating system, the database or the object store refused; the cause names its error.',
    fix: 'Look at the cause, mend it, and run the same command again.',
  },
  store_damaged: {
    exit: 'verification',
    title: "the panel's database is damaged",
    cause: 'The file is not a database, or its pages contradict each other.',
    fix: 'Restore the last backup (rel panel backup) and run rel panel verify.',
  },
  store_unavailable: {
    exit: 'temporary',
    title: 'the database or the object store does not answer',
    cause:
      'The connection was refused, lost or too slow. What was not confirmed may or may not be done; running it again is safe.',
    fix: 'Start the service or mend the network, then try again.',
  },
  store_newer: {
    exit: 'usage',
    title: "a newer rel wrote the panel's database",
    cause: 'Its schema is one that this version does not know, and guessing could damage it.',
    fix: 'Use the rel that wrote it, or a later one.',
  },
  store_address_invalid: {
    exit: 'usage',
    title: 'the address of the database or object store is not usable',
    cause: 'It is no postgres:// or s3:// address, or names no host, database or bucket.',
    fix: 'Write postgres://user@host/database or s3://host/bucket; secrets come from the environment.',
  },
  backup_unsupported: {
    exit: 'usage',
    title: 'this database makes its own backups',
    cause: 'rel copies SQLite while it runs; a PostgreSQL server has its own tools for that.',
    fix: 'Use pg_dump or continuous archiving, and rel panel verify after a restore.',
  },
  backup_damaged: {
    exit: 'verification',
    title: 'the backup is not what was written',
    cause: 'A file of it is absent, was changed, or does not belong to it.',
    fix: 'Use another backup; rel panel verify names what is damaged.',
  },
  version_burnt: {
    exit: 'conflict',
    title: 'the version was recalled and is never used again',
    cause: 'Nodes may have it; a second content under its number could not be told apart.',
    fix: 'Use the next version.',
  },
  version_below_floor: {
    exit: 'conflict',
    title: "the version is below the product's floor",
    cause: 'The floor says that nothing lower is offered any more, so that nobody is taken back.',
    fix: 'Use a version at or above the floor.',
  },
  floor_lowered: {
    exit: 'conflict',
    title: 'a floor only rises',
    cause: 'Nodes adopted the higher floor already.',
    fix: 'Set a floor that is at least the one there is.',
  },
  matrix_changed: {
    exit: 'conflict',
    title: 'the required artifacts changed while the release was being checked',
    cause: 'The release was found complete by a list that is no longer the one that counts.',
    fix: 'Publish again; it is checked against the new list.',
  },
  keys_changed: {
    exit: 'conflict',
    title: 'the trusted keys changed while the release was being checked',
    cause: 'The signatures were verified by a trust anchor that is no longer the one that counts.',
    fix: 'Publish again; it is checked by the new trust anchor.',
  },
  publisher_fenced: {
    exit: 'conflict',
    title: 'another publisher took over',
    cause: 'A later lease was given out, so this one may no longer write.',
    fix: 'Run rel publish again if this is the one that should go on.',
  },
  license_stale: {
    exit: 'conflict',
    title: 'the licence is older than the one there is',
    cause: 'Its serial number is not higher than the one that was stored last.',
    fix: 'Renew from the licence that is stored.',
  },
  token_unknown: {
    exit: 'upstreamMissing',
    title: 'there is no such token',
    cause: 'No token has this id.',
    fix: 'Look the id up in the list of tokens.',
  },
  token_conflict: {
    exit: 'conflict',
    title: 'this token exists already',
    cause: 'Its id or its digest is taken.',
    fix: 'Make a new one.',
  },
  blob_name_malformed: {
    exit: 'usage',
    title: 'this is no SHA-256',
    cause: 'Bytes are named by 64 lower-case hex digits and by nothing else.',
    fix: 'Correct the digest.',
  },
  blob_mismatch: {
    exit: 'verification',
    title: 'the bytes are not the ones that were announced',
    cause: 'Their size or SHA-256 is another. Nothing of them was kept.',
    fix: 'Send the file again; if it repeats, the file or the digest is wrong.',
  },
  blob_missing: {
    exit: 'local',
    title: 'the bytes are not in the store',
    cause: 'No blob has this digest, or it was lost.',
    fix: 'Upload the artifact again, or restore the blob from a backup.',
  },
  upload_offset_wrong: {
    exit: 'conflict',
    title: 'the upload goes on at another place',
    cause: 'The details name the offset that is stored; bytes before it are safe.',
    fix: 'Ask for the offset and go on from there.',
  },
  upload_too_long: {
    exit: 'usage',
    title: 'more bytes came than were announced',
    cause: 'The size of an upload is fixed when it begins.',
    fix: 'Begin a new upload with the right size.',
  },
  upload_incomplete: {
    exit: 'conflict',
    title: 'the upload is not complete',
    cause: 'Fewer bytes are stored than were announced.',
    fix: 'Send the rest, from the stored offset on.',
  },
  upload_busy: {
    exit: 'temporary',
    title: 'somebody else is writing to this upload',
    cause: 'Two requests may not append at once.',
    fix: 'Wait for the other one, then ask for the offset.',
  },
  audit_chain_broken: {
    exit: 'verification',
    title: 'the audit log was changed',
    cause:
      'A row no longer fits the hash of the one before it, so something was edited or removed.',
    fix: 'Compare with a backup, and find out who may write to the database.',
  },
  log_inconsistent: {
    exit: 'verification',
    title: 'the release log and the releases contradict each other',
    cause: 'Every publication and recall is one leaf, in the order of the sequence numbers.',
    fix: 'Compare with a backup, and find out who may write to the database.',
  },
  mirror_malformed: {
    exit: 'verification',
    title: 'the export is not one that rel wrote',
    cause: 'Its index is absent, malformed, or signed with no trusted key.',
    fix: 'Export again, and hand over the whole folder.',
  },
  mirror_conflict: {
    exit: 'conflict',
    title: 'the export contradicts what is here',
    cause:
      'A release of the same number has other content, or the log here is not the beginning of the one that is imported.',
    fix: 'Find out which of the two panels was tampered with before importing anything.',
  },
} as const satisfies CodeTable
