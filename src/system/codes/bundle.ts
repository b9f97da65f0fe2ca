import type {CodeTable} from './code.ts'

const signAgain = 'Restore the file, or sign the bundle again if the change is meant.'
const askAgain =
  'Get the bundle again from whoever made it; do not repair a signed manifest by hand.'
const rename = 'Rename the file and sign again.'

/** Codes of manifests and of trees of files (docs/formats/manifest.md): one cause, one code. */
export const bundleCodes = {
  manifest_missing: {
    exit: 'verification',
    title: 'the bundle has no manifest.json',
    cause: 'Without a signed manifest nothing is known of the files, so nothing can be verified.',
    fix: 'Sign it with rel sign DIR, or check that the right directory was given.',
  },
  manifest_malformed: {
    exit: 'verification',
    title: 'manifest.json does not follow its format',
    cause: 'A field is missing, unknown, or of a wrong type or form.',
    fix: askAgain,
  },
  manifest_limit: {
    exit: 'verification',
    title: 'the bundle is over a limit of the manifest format',
    cause: 'Size of manifest.json, number of files, signatures and targets have named limits.',
    fix: 'Split the bundle, or ship small files inside an archive of their own.',
  },
  spec_unsupported: {
    exit: 'verification',
    title: 'the manifest is newer than this version of rel',
    cause: 'Its signed spec number is higher than the ones this version understands.',
    fix: 'Update your verifier: install a newer rel.',
  },
  kind_unsupported: {
    exit: 'verification',
    title: 'the manifest is not the manifest of a bundle',
    cause: 'The signed kind says that it describes something else.',
    fix: 'Use the command that belongs to that kind of document.',
  },
  files_missing: {
    exit: 'verification',
    title: 'the manifest has no list of files',
    cause: 'A manifest that lists nothing would verify anything.',
    fix: askAgain,
  },
  files_empty: {
    exit: 'verification',
    title: 'the bundle has no files',
    cause: 'An empty list verifies nothing, so neither signing nor verifying it means anything.',
    fix: 'Check that the right directory was given.',
  },
  total_size_mismatch: {
    exit: 'verification',
    title: 'the total size is not the sum of the file sizes',
    cause: 'The two numbers are signed together, so the manifest contradicts itself.',
    fix: askAgain,
  },
  product_mismatch: {
    exit: 'verification',
    title: 'the bundle is of another product',
    cause: 'The signed product is not the one that was asked for.',
    fix: 'Check what was offered under this name; give --product as it is signed.',
  },
  version_mismatch: {
    exit: 'verification',
    title: 'the bundle has another version',
    cause:
      'The signed version is not the one that was asked for: an old bundle may be offered under a new name.',
    fix: 'Check what was offered under this name; give --version as it is signed.',
  },
  channel_mismatch: {
    exit: 'verification',
    title: 'the bundle is of another channel',
    cause: 'The signed channel is not the one that was asked for.',
    fix: 'Check what was offered under this name; give --channel as it is signed.',
  },
  target_mismatch: {
    exit: 'verification',
    title: 'the bundle is for other machines',
    cause: 'The signed list of targets does not name the one that was asked for.',
    fix: 'Get the bundle for this target; rel inspect shows the targets it was signed for.',
  },
  manifest_expired: {
    exit: 'verification',
    title: 'the manifest has expired',
    cause: 'Its signed expiry has passed: someone may be holding newer releases back.',
    fix: 'Get a newer release, or sign this one again with a later --expires.',
  },
  timestamp_future: {
    exit: 'verification',
    title: 'the manifest was signed in the future',
    cause: 'The clock of this machine or of the signer is wrong by more than five minutes.',
    fix: 'Set the clock of this machine, then verify again.',
  },
  legacy_refused: {
    exit: 'verification',
    title: 'the manifest has no rel section',
    cause: 'A D2 manifest signs neither product, channel, modes nor sizes, so it must be allowed.',
    fix: 'Verify with --legacy allow, or have the bundle signed again by rel sign.',
  },
  version_malformed: {
    exit: 'usage',
    title: 'the version is not a semantic version',
    cause: 'Versions are compared, so they follow semver.org 2.0.0 exactly, without a leading v.',
    fix: 'Give it as MAJOR.MINOR.PATCH, such as 1.4.2 or 1.5.0-rc.1.',
  },
  path_malformed: {
    exit: 'verification',
    title: 'a path is malformed',
    cause: 'It is empty or too long, has an empty segment, or a character that no path may have.',
    fix: rename,
  },
  path_absolute: {
    exit: 'verification',
    title: 'a path is absolute',
    cause: 'It would reach outside of the bundle.',
    fix: askAgain,
  },
  path_traversal: {
    exit: 'verification',
    title: 'a path climbs out of the bundle',
    cause: 'It has a segment . or .., which would reach outside of the bundle.',
    fix: askAgain,
  },
  path_not_portable: {
    exit: 'verification',
    title: 'a path means something else on another system',
    cause: 'It ends in a dot or a space, or names a Windows device such as CON or NUL.',
    fix: rename,
  },
  path_reserved: {
    exit: 'verification',
    title: 'a path is the name of a sidecar',
    cause: 'Files that speak about a bundle, such as manifest.json, cannot be part of it.',
    fix: rename,
  },
  path_not_ascii: {
    exit: 'usage',
    title: 'a path has characters outside of ASCII',
    cause: 'Systems disagree on how such names are stored, so they must be asked for.',
    fix: 'Rename the file, or sign with --allow-unicode-paths.',
  },
  path_not_normal: {
    exit: 'verification',
    title: 'a path is not in Unicode normal form C',
    cause:
      'The same name can be written in several ways, and systems disagree on whether they are one.',
    fix: 'Rename the file to its NFC form and sign again.',
  },
  path_not_utf8: {
    exit: 'verification',
    title: 'a file name is not valid UTF-8',
    cause: 'A manifest is UTF-8, so it cannot name the file.',
    fix: rename,
  },
  path_collision: {
    exit: 'verification',
    title: 'two paths are the same on some systems',
    cause:
      'They differ only by case or by Unicode form, so one file would silently replace the other.',
    fix: 'Rename one of the two and sign again.',
  },
  path_conflict: {
    exit: 'verification',
    title: 'a path is a file and a directory at once',
    cause: 'One path is the directory of another, so both cannot be written.',
    fix: askAgain,
  },
  link_invalid: {
    exit: 'verification',
    title: 'a symbolic link does not stay inside the bundle',
    cause:
      'A link must be relative and lead to a file or directory of the bundle, without a circle.',
    fix: 'Replace the link with a copy of the file, then sign again.',
  },
  link_mismatch: {
    exit: 'verification',
    title: 'a symbolic link leads elsewhere than was signed',
    cause: 'The target on disk is not the target in the manifest.',
    fix: signAgain,
  },
  file_absent: {
    exit: 'verification',
    title: 'a file of the bundle is missing',
    cause: 'The manifest lists it and it is not there: the bundle is incomplete.',
    fix: signAgain,
  },
  file_unlisted: {
    exit: 'verification',
    title: 'a file is not in the manifest',
    cause: 'Nobody signed it; a program could load it as if it were part of the bundle.',
    fix: 'Remove the file, or sign the bundle again if it belongs to it.',
  },
  file_not_regular: {
    exit: 'verification',
    title: 'something is not a regular file',
    cause: 'Symbolic links, devices, sockets and pipes can read or write outside of the bundle.',
    fix: 'Replace it with a regular file. Links inside the bundle: rel sign --allow-links.',
  },
  file_hardlinked: {
    exit: 'verification',
    title: 'a file has another name elsewhere',
    cause: 'A hard link lets someone change the content through the other name after the check.',
    fix: 'Copy the bundle (cp -r makes plain files) and use the copy.',
  },
  mode_forbidden: {
    exit: 'verification',
    title: 'a file or a directory has permissions that no bundle may have',
    cause:
      'Bundles carry 0644 and 0755 only: setuid, setgid, sticky and foreign write bits give away rights. Sidecars are at most 0644.',
    fix: 'chmod the file to 0644 or 0755, or sign with --normalise-modes. For directories: chmod o-w.',
  },
  mode_mismatch: {
    exit: 'verification',
    title: 'a file has other permissions than were signed',
    cause: 'The permission bits on disk are not the ones in the manifest.',
    fix: 'Set the signed mode with chmod, or sign the bundle again if the change is meant.',
  },
  size_mismatch: {
    exit: 'verification',
    title: 'a file has another size than was signed',
    cause: 'The file was truncated, extended or replaced.',
    fix: signAgain,
  },
  file_digest_mismatch: {
    exit: 'verification',
    title: 'a file has another content than was signed',
    cause: 'The SHA-256 of the file on disk is not the one in the manifest.',
    fix: signAgain,
  },
  tree_changed: {
    exit: 'conflict',
    title: 'the directory changed while it was read',
    cause: 'A file or a directory was written during the run, so no one state of it was seen.',
    fix: 'Stop whatever writes there and run the same command again.',
  },
  bundle_mismatch: {
    exit: 'conflict',
    title: 'the manifest to be co-signed is not of these files',
    cause: 'A further signature vouches for the files, and they are not the ones in the manifest.',
    fix: 'Get the bundle as it was signed first, or sign it anew without --add.',
  },
  sigstore_bundle_exists: {
    exit: 'conflict',
    title: 'a Sigstore bundle covers these bytes of manifest.json',
    cause: 'It signs the exact bytes, so a further signature would break it.',
    fix: 'Remove manifest.sig.bundle and manifest.json.sigstore.json, add signatures, then issue them again.',
  },
  file_name_mismatch: {
    exit: 'verification',
    title: 'the file was signed under another name',
    cause:
      'The signed comment names the file. A signature that sits beside another file, of one maker and all, passes one program off as the other.',
    fix: 'Give the file the name it was signed under, or ask for the signature of this file.',
  },
  cross_protocol: {
    exit: 'verification',
    title: 'a bare signature over this file would mean something else as well',
    cause:
      'The file is a manifest, or the input of a DSSE, SSH or minisign signature. Its detached signature could be passed off as one of those, or one of those as its own.',
    fix: 'Sign a directory with rel sign DIR; pack other files into an archive before signing them.',
  },
  bundle_unrecognised: {
    exit: 'usage',
    title: 'this is nothing that rel can verify',
    cause: 'The path is no directory, no archive, and no file with a detached signature.',
    fix: 'Give a bundle, or a file that has a .minisig or .sig beside it.',
  },
} as const satisfies CodeTable
