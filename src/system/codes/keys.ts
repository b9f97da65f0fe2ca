import type {CodeTable} from './code.ts'

/** Codes of key files, passphrases, signers and the signature formats of single files. */
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
  key_empty: {
    exit: 'usage',
    title: 'the key file is empty',
    cause: 'The file has no bytes, or only white space. A copy or a secret mount has failed.',
    fix: 'Write the key file again from where it is kept.',
  },
  key_truncated: {
    exit: 'usage',
    title: 'the key file is cut short',
    cause: 'The file begins as a key does and ends before the key does.',
    fix: 'Copy the key file again and compare its size with the original.',
  },
  key_algorithm: {
    exit: 'usage',
    title: 'the key is not an Ed25519 key',
    cause: 'The file is a key of another algorithm; rel signs and verifies with Ed25519 alone.',
    fix: 'Make an Ed25519 key with rel keys new NAME.',
  },
  key_private: {
    exit: 'usage',
    title: 'a private key was given where a public key belongs',
    cause: 'Who verifies needs the public half only; a private key in that place tends to leak.',
    fix: 'Give the .pub file. If the private key was copied around, replace it by a new one.',
  },
  key_public: {
    exit: 'usage',
    title: 'a public key was given where a private key belongs',
    cause: 'A public key cannot sign.',
    fix: 'Give the private key file, such as .rel/keys/NAME.key.',
  },
  key_mismatch: {
    exit: 'usage',
    title: 'the private key does not belong to its public key',
    cause:
      'The file, or the signer, names a public key that is not the one of its private key: it was damaged or put together by hand.',
    fix: 'Write the key file again from where it is kept.',
  },
  key_permissions: {
    exit: 'usage',
    title: 'the private key can be read by others',
    cause: 'Group or others may read or write the file, so the key may be known to them already.',
    fix: 'chmod 600 FILE, or --insecure-key-perms where the file system has no permissions.',
  },
  key_folder_unsafe: {
    exit: 'usage',
    title: 'the folder for private keys was prepared by somebody',
    cause:
      '.rel and .rel/keys must be real directories of the user who runs rel, writable by nobody else, and .rel/.gitignore must say * and nothing more: otherwise a private key lands where others read it, or in a commit.',
    fix: 'Look at what is there. Remove .rel and run the command again, or chmod 700 .rel .rel/keys where they are yours.',
  },
  key_not_found: {
    exit: 'usage',
    title: 'there is no key of that name',
    cause: 'Names stand for rel.keys/NAME.pub and .rel/keys/NAME.key in the current directory.',
    fix: 'rel keys list shows the keys; rel keys new NAME makes one.',
  },
  key_name_invalid: {
    exit: 'usage',
    title: 'that is no name for a key',
    cause: 'Names become file names: letters, digits, dot, dash and underscore, at most 64.',
    fix: 'Choose a name such as release-2026.',
  },
  key_encrypted: {
    exit: 'usage',
    title: 'the private key is encrypted in a way that rel does not open',
    cause: 'OpenSSH and signify derive the key with bcrypt_pbkdf, which rel has no code for.',
    fix: 'Use the key through ssh-agent (--signer ssh-agent:…), or remove its passphrase with ssh-keygen -p.',
  },
  key_kdf_limit: {
    exit: 'usage',
    title: 'the key file asks for too much memory or time',
    cause:
      'The cost of the passphrase in the file is not signed by anyone; beyond N=2^21 (2 GiB), or 32 MiB or 10,000,000 rounds in PKCS#8, it is refused.',
    fix: 'Write the key file again with a lower cost.',
  },
  passphrase_wrong: {
    exit: 'unauthorised',
    title: 'the passphrase does not open the key',
    cause: 'The passphrase is another one, or the encrypted part of the key file is damaged.',
    fix: 'Try again. The passphrase cannot be recovered from the file.',
  },
  passphrase_empty: {
    exit: 'usage',
    title: 'the passphrase is empty',
    cause: 'An empty passphrase protects nothing; mostly a CI secret was not set.',
    fix: 'Set the secret, or use --no-passphrase for a key that is to be stored in the clear.',
  },
  passphrase_malformed: {
    exit: 'usage',
    title: 'the passphrase cannot be used',
    cause: 'Passphrases are one line of UTF-8 text of at most 1,024 bytes.',
    fix: 'Write one line to the file or descriptor; the line end is not part of it.',
  },
  passphrase_mismatch: {
    exit: 'usage',
    title: 'the two passphrases differ',
    cause: 'A new passphrase is asked for twice, so that a typing error does not lock the key.',
    fix: 'Run the command again.',
  },
  signer_unknown: {
    exit: 'usage',
    title: 'the signer could not be understood',
    cause: 'A signer is file:PATH, exec:COMMAND, pkcs11:URI or ssh-agent:KEY.',
    fix: 'rel sign --help shows an example of each.',
  },
  signer_failed: {
    exit: 'local',
    title: 'the signer made no usable signature',
    cause:
      'The program, token or agent failed, or what it returned is not a signature of the message under the public key it stands for.',
    fix: 'Try the signer alone; check that the public key given belongs to it.',
  },
  signer_message_limit: {
    exit: 'usage',
    title: 'the message is too long for this signer',
    cause: 'Tokens and key services take messages up to a limit of their own.',
    fix: 'Leave out the signature over the whole manifest with --no-legacy.',
  },
  comment_malformed: {
    exit: 'usage',
    title: 'the comment does not fit into a signature file',
    cause: 'Comments of a .minisig are one line, without control characters, of bounded length.',
    fix: 'Shorten the comment, or remove line ends from it.',
  },
  minisig_not_prehashed: {
    exit: 'verification',
    title: 'the signature has the old form of minisign',
    cause:
      'It covers the whole file instead of its BLAKE2b-512, so it cannot be checked by digest.',
    fix: 'Sign again with a current minisign (or minisign -S -H).',
  },
  namespace_malformed: {
    exit: 'usage',
    title: 'that is no namespace for an SSH signature',
    cause: 'A namespace is 1 to 255 printable ASCII characters without spaces.',
    fix: 'Use file, or a name such as release@example.com.',
  },
  namespace_mismatch: {
    exit: 'verification',
    title: 'the SSH signature was made for another purpose',
    cause: 'The namespace keeps a signature made for one use (git, file) from counting in another.',
    fix: 'Verify with the namespace it was made for, or sign again with the wanted one.',
  },
  sshsig_hash: {
    exit: 'verification',
    title: 'the SSH signature uses another hash',
    cause: 'rel reads SSH signatures over SHA-512, the default of ssh-keygen.',
    fix: 'Sign again with ssh-keygen -Y sign -O hashalg=sha512.',
  },
} as const satisfies CodeTable
