import type {CodeTable} from './code.ts'

const askAgain = 'Get the archive again; if it is refused again, have it made by rel pack.'
const packAgain = 'Make the archive with rel pack, which writes only what every reader understands.'

/** Codes of archives of bundles (docs/formats/archive.md): one cause, one code. */
export const archiveCodes = {
  archive_unrecognised: {
    exit: 'usage',
    title: 'the file is no archive that rel reads',
    cause: 'Its first bytes are neither those of a tar nor of one compressed by gzip or zstd.',
    fix: 'Check that the right file was given; archives are .tar, .tar.gz or .tar.zst.',
  },
  archive_compression: {
    exit: 'verification',
    title: 'the compressed data is damaged',
    cause: 'The gzip member or zstd frame breaks its format, or its checksum does not fit.',
    fix: askAgain,
  },
  archive_truncated: {
    exit: 'verification',
    title: 'the archive ends too early',
    cause: 'A download or a copy stopped, so the end of the archive is not there.',
    fix: askAgain,
  },
  archive_trailing_data: {
    exit: 'verification',
    title: 'something follows the end of the archive',
    cause:
      'Data after the end, or a second gzip member or zstd frame, is read by some tools and skipped by others.',
    fix: packAgain,
  },
  archive_malformed: {
    exit: 'verification',
    title: 'the archive breaks the tar format',
    cause: 'A header, its checksum, a length or the padding is not what POSIX and GNU tar write.',
    fix: askAgain,
  },
  archive_unsupported: {
    exit: 'verification',
    title: 'the archive uses a feature that a bundle cannot have',
    cause:
      'Sparse files, global headers, extended attributes and volumes change what a file is from outside of it.',
    fix: packAgain,
  },
  archive_limit: {
    exit: 'verification',
    title: 'the archive is over a limit',
    cause:
      'Manifest, names, extended headers, compression window and ratio have limits, so that a small file cannot fill memory or disk.',
    fix: packAgain,
  },
  archive_manifest_not_first: {
    exit: 'verification',
    title: 'the archive does not begin with manifest.json',
    cause: 'Files can only be checked while they are read when the manifest comes before them.',
    fix: packAgain,
  },
  archive_entry_duplicate: {
    exit: 'verification',
    title: 'the archive has the same path twice',
    cause: 'Readers disagree on which of the two counts.',
    fix: packAgain,
  },
  archive_readers_disagree: {
    exit: 'verification',
    title: 'two readers see different things in the archive',
    cause:
      'rel reads every archive with two implementations of tar; one that they read differently was made to deceive, or has found a bug.',
    fix: 'Do not use it. Please report it with the archive.',
  },
} as const satisfies CodeTable
