import type {CodeTable} from './code.ts'
import {gitTreeCodes} from './git-tree.ts'

const askLater = 'Run the same command again later: nothing was changed.'
const doNotUse =
  'Do not use it. Compare with the project’s own announcements and ask its maintainers.'
const readChecksums =
  'Look at the checksum file of the release and correct the playbook, or ask upstream.'

/** Codes of the HTTP client (src/system/http.ts). */
const httpCodes = {
  cache_not_private: {
    exit: 'local',
    title: 'others can write into the cache',
    cause:
      'Bytes in it could be changed after they were checked: it must be a directory of the user who runs rel, writable by nobody else.',
    fix: 'Remove it, or name another place: XDG_CACHE_HOME=FOLDER.',
  },
  http_unreachable: {
    exit: 'temporary',
    title: 'a server could not be reached',
    cause: 'Its name does not resolve, it refuses connections, or the connection broke each time.',
    fix: 'Check the network and the proxy settings, then run the same command again.',
  },
  http_timeout: {
    exit: 'temporary',
    title: 'a server was too slow',
    cause:
      'Connecting, answering, the next bytes or the whole exchange took longer than its limit.',
    fix: askLater,
  },
  http_truncated: {
    exit: 'temporary',
    title: 'an answer ended too early',
    cause: 'The connection broke before the announced length was there, on every attempt.',
    fix: 'Run the same command again: a download goes on where it stopped.',
  },
  http_server_error: {
    exit: 'temporary',
    title: 'a server has failed',
    cause: 'It answered with a status of 500 or above on every attempt.',
    fix: askLater,
  },
  http_malformed: {
    exit: 'verification',
    title: 'an answer breaks HTTP',
    cause: 'Its length, its encoding or its framing is not what the protocol allows.',
    fix: 'Check that the address is right and that no proxy changes what it passes on.',
  },
  http_too_large: {
    exit: 'verification',
    title: 'an answer is larger than its limit',
    cause:
      'Every answer and every download has a limit, so that no server can fill memory or disk.',
    fix: 'Check that the address is right; a playbook can raise max_bytes of an asset.',
  },
  http_certificate_refused: {
    exit: 'verification',
    title: 'the certificate of a server is not accepted',
    cause: 'It has expired, is for another name, or no trusted authority has issued it.',
    fix: 'Check the clock and the address; for a private authority set NODE_EXTRA_CA_CERTS.',
  },
  http_redirect_refused: {
    exit: 'verification',
    title: 'a redirect is not followed',
    cause: 'It leads from https to http, to no web address, in a circle, or there are too many.',
    fix: 'Check that the address is right.',
  },
  http_not_found: {
    exit: 'upstreamMissing',
    title: 'nothing is at an address',
    cause: 'The server answered 404 or 410. Private things are hidden this way from strangers.',
    fix: 'Check the address, and the token if the project is private.',
  },
  http_unauthorised: {
    exit: 'unauthorised',
    title: 'a server does not accept who asks',
    cause: 'The token is missing, expired, wrong, or lacks the right that is needed.',
    fix: 'Set a token with the rights that docs/formats/upstream-github.md names.',
  },
  http_refused: {
    exit: 'upstreamMissing',
    title: 'a server has refused a request',
    cause: 'It answered with a status that asking again will not change.',
    fix: 'Check the address and the configuration that it was made from.',
  },
  http_digest_mismatch: {
    exit: 'verification',
    title: 'a download has another SHA-256 than expected',
    cause: 'The bytes were damaged or exchanged on the server or on the way.',
    fix: doNotUse,
  },
  rate_limited: {
    exit: 'temporary',
    title: 'a server asks to come back later',
    cause: 'The number of requests in an hour, or in a short time, is used up.',
    fix: 'Come back at the time in the message; ask less often, or from fewer places at once.',
  },
} as const satisfies CodeTable

/** Codes of releases with assets (docs/formats/upstream-github.md). */
const releaseCodes = {
  upstream_version_malformed: {
    exit: 'usage',
    title: 'the version is not written as this project writes it',
    cause:
      'Each upstream has its own form of versions; another form is a typing mistake or a trick.',
    fix: 'Write the version as the project’s tags do, such as v3.3.5 with its v.',
  },
  release_missing: {
    exit: 'upstreamMissing',
    title: 'there is no such release',
    cause: 'The project has no published release of this tag.',
    fix: 'Check the spelling against the project’s list of releases.',
  },
  upstream_release_incomplete: {
    exit: 'temporary',
    title: 'the release is not complete yet',
    cause:
      'Projects publish first and upload afterwards; some files that it needs are not there yet.',
    fix: askLater,
  },
  asset_missing: {
    exit: 'upstreamMissing',
    title: 'the release has no file of this name',
    cause: 'Upstream renamed its files or dropped an architecture.',
    fix: 'Compare the nearest names in the message with the playbook’s assets.',
  },
  asset_size_mismatch: {
    exit: 'verification',
    title: 'a file has another size than the release says',
    cause: 'The file was exchanged, or the server gave another one.',
    fix: doNotUse,
  },
  upstream_answer_malformed: {
    exit: 'verification',
    title: 'an answer of upstream could not be understood',
    cause: 'A field is missing or has another type than the interface describes.',
    fix: 'Check the address of the interface in the configuration.',
  },
  checksum_file_missing: {
    exit: 'upstreamMissing',
    title: 'the checksum file is not there',
    cause: 'The playbook demands it, and upstream lists it or used to, yet it cannot be had.',
    fix: readChecksums,
  },
  checksum_file_html: {
    exit: 'verification',
    title: 'a web page came instead of a checksum file',
    cause: 'A server, a proxy or a login page answered 200 with a page for people.',
    fix: 'Check the address and the network; a captive portal does this.',
  },
  checksum_file_malformed: {
    exit: 'verification',
    title: 'the checksum file could not be understood',
    cause: 'It is empty, is not text, or has lines of no known form.',
    fix: readChecksums,
  },
  checksum_missing: {
    exit: 'verification',
    title: 'the checksum file does not speak of a file',
    cause: 'No line has exactly this name.',
    fix: readChecksums,
  },
  checksum_repeated: {
    exit: 'verification',
    title: 'the checksum file has a file twice',
    cause: 'A tool that reads the first line and one that reads the last could be told apart.',
    fix: readChecksums,
  },
  checksum_contradiction: {
    exit: 'verification',
    title: 'the checksum file says two things of one file',
    cause: 'Two lines have the same name and different digests.',
    fix: doNotUse,
  },
  checksum_misnamed: {
    exit: 'verification',
    title: 'the checksum of a file stands under another name',
    cause: 'The digest is in the checksum file, at a line that names something else.',
    fix: readChecksums,
  },
  checksum_swapped: {
    exit: 'verification',
    title: 'the checksum of a file is that of another file',
    cause: 'Two lines were exchanged, so that one architecture could pass for the other.',
    fix: doNotUse,
  },
  digest_absent: {
    exit: 'verification',
    title: 'the release interface gives no digest',
    cause: 'GitHub has digests for files since June 2025 only, and the playbook demands one.',
    fix: 'Take a newer version, or set digest: if_present in the playbook.',
  },
  digest_malformed: {
    exit: 'verification',
    title: 'the release interface gives a digest of unknown form',
    cause: 'It is not sha256: and 64 lower-case hex digits.',
    fix: 'Check the address of the interface in the configuration.',
  },
  digest_mismatch: {
    exit: 'verification',
    title: 'the release interface and the checksum file disagree',
    cause: 'One of the two was changed after the release was made.',
    fix: doNotUse,
  },
  second_origin_disagrees: {
    exit: 'verification',
    title: 'a second origin has another digest',
    cause: 'An earlier audit, or another server, knows this very version with other bytes.',
    fix: doNotUse,
  },
  integrity_too_low: {
    exit: 'verification',
    title: 'the integrity is below what the playbook demands',
    cause: 'Upstream offers less proof than verify.min asks for.',
    fix: 'Add a second origin or a signature to the playbook, or lower verify.min knowingly.',
  },
  attestation_missing: {
    exit: 'verification',
    title: 'there is no attestation of a file',
    cause:
      'The playbook demands a signer, and upstream has published no attestation for this digest.',
    fix: 'Check that upstream attests this version; else take the signer out of the playbook.',
  },
  attestation_other_file: {
    exit: 'verification',
    title: 'the attestation is about other files',
    cause: 'The digest of the file is not among the subjects of the signed statement.',
    fix: doNotUse,
  },
  binary_missing: {
    exit: 'verification',
    title: 'the archive does not have the program',
    cause: 'Upstream changed the layout of its archive.',
    fix: 'Compare the names in the message with member in the playbook.',
  },
  binary_repeated: {
    exit: 'verification',
    title: 'the archive has the program twice',
    cause: 'Readers disagree on which of the two counts.',
    fix: doNotUse,
  },
  archive_path_unsafe: {
    exit: 'verification',
    title: 'the archive has a path that leads outside of it',
    cause: 'An absolute path, a segment .., a link or a device could write anywhere when unpacked.',
    fix: doNotUse,
  },
  tag_moved: {
    exit: 'verification',
    title: 'a tag points at another commit than before',
    cause: 'Somebody moved the tag after it was audited; what it now names was never looked at.',
    fix: doNotUse,
  },
  asset_replaced: {
    exit: 'verification',
    title: 'a file of a release was replaced',
    cause: 'Its id, digest, size or date is not the one that was locked.',
    fix: doNotUse,
  },
  asset_gone: {
    exit: 'verification',
    title: 'a file of a release is gone',
    cause: 'Upstream removed or renamed a file that was locked.',
    fix: 'Keep the copy you have, and ask upstream why before the next bump.',
  },
  release_gone: {
    exit: 'verification',
    title: 'a release is gone',
    cause: 'Upstream removed a release that was locked; that often has a reason.',
    fix: 'Keep the copy you have, and ask upstream why before the next bump.',
  },
} as const satisfies CodeTable

const notThisArchive =
  'Check url, suite and distribution in the playbook; if they are right, the archive or something on the way gives the wrong file.'

/** Codes of Debian and Ubuntu archives (docs/formats/upstream-apt.md). */
const aptCodes = {
  snapshot_id_malformed: {
    exit: 'usage',
    title: 'the snapshot id is not of the form YYYYMMDDTHHMMSSZ',
    cause: 'apt takes any text and servers answer with something; rel does not.',
    fix: 'Write date and time in UTC with a capital T and Z, such as 20260331T120000Z.',
  },
  snapshot_id_impossible: {
    exit: 'usage',
    title: 'the snapshot id is no date and time of the calendar',
    cause: 'It has a day, an hour or a minute that does not exist.',
    fix: 'Correct the snapshot id.',
  },
  snapshot_in_future: {
    exit: 'usage',
    title: 'the snapshot id is in the future',
    cause: 'What it names would change from day to day until that instant is past.',
    fix: 'Take an instant of the past, and check the clock of this machine.',
  },
  snapshot_too_early: {
    exit: 'usage',
    title: 'the snapshot service does not go back that far',
    cause: 'Ubuntu has snapshots since 2023-03-01, Debian since 2005-03-12.',
    fix: 'Take a later instant.',
  },
  pin_ineffective: {
    exit: 'verification',
    title: 'the pin does not take effect',
    cause:
      'What a build gets is not the state that the pin names: the signed date is after it, or apt asks for the live archive because it ignores the option.',
    fix: 'Write the snapshot into the URL of the sources; apt before 2.7 ignores Snapshot options.',
  },
  openpgp_frame_invalid: {
    exit: 'verification',
    title: 'a signed file is not one signed message',
    cause:
      'There is text before or after it, a second message, or no readable signature. Programs that pass over such text show what nobody signed.',
    fix: doNotUse,
  },
  openpgp_keyring_unusable: {
    exit: 'local',
    title: 'the keyring has none of the pinned keys',
    cause: 'The file is no OpenPGP keyring, or not the one of this distribution.',
    fix: 'Install debian-archive-keyring or ubuntu-keyring, or set keyring.file in the playbook.',
  },
  openpgp_signer_unknown: {
    exit: 'verification',
    title: 'no pinned key has signed',
    cause: 'The signatures are by keys that the playbook does not pin.',
    fix: 'Compare the key ids with those that the distribution publishes; pin what is missing.',
  },
  openpgp_signature_invalid: {
    exit: 'verification',
    title: 'the signature by a pinned key is wrong',
    cause: 'The signed text was changed, or the signature belongs to another one.',
    fix: doNotUse,
  },
  openpgp_key_invalid: {
    exit: 'verification',
    title: 'a pinned key was not valid when it signed',
    cause: 'It had expired or was revoked, or its subkey is not bound to it.',
    fix: 'Update the keyring package; if that does not help, pin the archive’s newer key.',
  },
  openpgp_weak_hash: {
    exit: 'verification',
    title: 'a signature rests on a weak hash',
    cause:
      'Only SHA-256 and better are taken: for SHA-1, two texts with one signature can be made.',
    fix: 'Use an archive that signs with SHA-256 or better.',
  },
  openpgp_hash_header: {
    exit: 'verification',
    title: 'the Hash header does not say what the signatures use',
    cause: 'The header is not signed; a false one misleads programs that believe it.',
    fix: doNotUse,
  },
  openpgp_engines_disagree: {
    exit: 'verification',
    title: 'two OpenPGP programs disagree on a signed file',
    cause: 'openpgp.js and gpgv or sqv found other signers, or another text.',
    fix: 'Do not use it. Update both programs; if they still disagree, report the file.',
  },
  deb822_malformed: {
    exit: 'verification',
    title: 'a control file of an archive could not be understood',
    cause: 'A field is missing, repeated or of the wrong form.',
    fix: notThisArchive,
  },
  dpkg_version_malformed: {
    exit: 'verification',
    title: 'this is no version of a Debian package',
    cause: 'dpkg would not take it: wrong characters, no digit at the start, or an empty part.',
    fix: 'Write the version as dpkg-query shows it.',
  },
  apt_suite_mismatch: {
    exit: 'verification',
    title: 'a signed file speaks of another suite',
    cause: 'The signature is right, but what it covers is not what was asked for.',
    fix: notThisArchive,
  },
  apt_architecture_missing: {
    exit: 'verification',
    title: 'the suite has no packages of an architecture',
    cause: 'Some snapshots and mirrors keep a part of the architectures only.',
    fix: 'Use the address that has it, such as ports.ubuntu.com for arm64 before 25.10.',
  },
  apt_component_missing: {
    exit: 'verification',
    title: 'the suite does not have a component',
    cause: 'The signed file does not name it.',
    fix: notThisArchive,
  },
  apt_index_missing: {
    exit: 'verification',
    title: 'the signed file lists no package index',
    cause: 'There is no Packages.gz, Packages.xz or Packages of this component.',
    fix: notThisArchive,
  },
  apt_index_mismatch: {
    exit: 'verification',
    title: 'a package index is not the one that was signed',
    cause: 'Its size or SHA-256 differs: it was changed, or the archive was just being updated.',
    fix: 'Run the same command again in some minutes; if it stays, do not use this archive.',
  },
  apt_release_in_future: {
    exit: 'verification',
    title: 'a signed file is dated in the future',
    cause: 'The clock of this machine is slow, or the file was made to outlive its time.',
    fix: 'Check the clock of this machine.',
  },
  apt_release_stale: {
    exit: 'verification',
    title: 'a signed file is older than the playbook allows',
    cause: 'An old publication is still signed, but lacks the security updates since.',
    fix: 'Use another mirror, or raise max_age_days of the suite.',
  },
  apt_release_expired: {
    exit: 'verification',
    title: 'a signed file was no longer valid',
    cause: 'Its Valid-Until is before the pinned instant, or before now.',
    fix: 'Use another mirror or a later snapshot.',
  },
  apt_package_missing: {
    exit: 'upstreamMissing',
    title: 'the archive does not have a package',
    cause: 'No signed index of the suites in the playbook has it.',
    fix: 'Check the name, the components and the suites in the playbook.',
  },
  apt_package_contradiction: {
    exit: 'verification',
    title: 'two suites have one version of a package with different bytes',
    cause: 'Which of the two a build gets would depend on the order of its sources.',
    fix: doNotUse,
  },
  apt_package_replaced: {
    exit: 'verification',
    title: 'the archive has another package than was locked',
    cause: 'The version is the same, the digest is not; an archive must not do that.',
    fix: doNotUse,
  },
  snapshot_changed: {
    exit: 'verification',
    title: 'a snapshot is no longer what it was',
    cause: 'The signed file of this very instant has another digest than was locked.',
    fix: doNotUse,
  },
  kernel_meta_unclear: {
    exit: 'verification',
    title: 'the meta package does not name the kernel',
    cause:
      'It has to depend on exactly one kernel image, at the version that the archive has of it.',
    fix: 'Check meta in the playbook, such as linux-image-arm64, and that suites has every pocket.',
  },
  kernel_line_mismatch: {
    exit: 'verification',
    title: 'the kernel is of another line',
    cause:
      'Its series or flavour, or HWE instead of GA, is not that of the meta package in the playbook.',
    fix: 'Take a kernel of this line; to change the line, name its package in meta and the one before in meta_before.',
  },
  kernel_abi_mismatch: {
    exit: 'verification',
    title: 'kernel release and package version do not belong together',
    cause: 'The ABI in the name of the package is not the one in its version.',
    fix: 'Check the suites in the playbook: they may mix two distributions.',
  },
  kernel_modules_mismatch: {
    exit: 'verification',
    title: 'kernel and modules are of two versions',
    cause: 'Such a kernel cannot load its drivers and may not find its root file system.',
    fix: 'Wait until the archive has both, or pin all pockets of the release.',
  },
  kernel_image_mismatch: {
    exit: 'verification',
    title: 'the kernel image is another one than its package says',
    cause: 'Its own “Linux version” text has another release or version.',
    fix: doNotUse,
  },
  deb_malformed: {
    exit: 'verification',
    title: 'a Debian package could not be read',
    cause: 'It is no ar archive with a data.tar member, or lacks the file that is wanted.',
    fix: 'Check that the package is the right one; report it to the distribution.',
  },
} as const satisfies CodeTable

export const upstreamCodes = {
  ...httpCodes,
  ...releaseCodes,
  ...aptCodes,
  ...gitTreeCodes,
} as const satisfies CodeTable
