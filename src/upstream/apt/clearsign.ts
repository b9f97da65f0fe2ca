import {RelError} from '../../system/error.ts'
import {isValidUtf8} from '../../system/utf8.ts'

/** A cleartext signed message that is the whole of its file (RFC 9580 7). */
export type ClearsignFrame = {
  /** The frame itself, as the file has it. */
  readonly armored: string
  /** Names in the Hash headers, upper case, such as SHA256. */
  readonly hashes: readonly string[]
  /** What is signed: dash escapes and spaces at line ends removed, lines end with \n, no final newline. */
  readonly text: string
  /** The armored signatures alone, for engines that take detached ones. */
  readonly signature: string
}

/** sid's InRelease has 260 KB. */
export const MAX_IN_RELEASE_BYTES = 4 * 1024 * 1024

/** A file with its signatures in another one, Release and Release.gpg. */
export type DetachedFile = {
  /** What is signed, byte for byte. */
  readonly bytes: Uint8Array
  /** The same as text, without the final newline. */
  readonly text: string
  /** The armored signatures. */
  readonly signature: string
}

/** Debian's has 2 KB. */
export const MAX_SIGNATURE_BYTES = 64 * 1024

const begin = '-----BEGIN PGP SIGNED MESSAGE-----\n'
const middle = '\n-----BEGIN PGP SIGNATURE-----\n'
const end = '\n-----END PGP SIGNATURE-----\n'

/**
 * A Release file and the one armored block of signatures in Release.gpg. Refuses with
 * openpgp_frame_invalid.
 */
export function parseDetached(bytes: Uint8Array, signature: Uint8Array): DetachedFile {
  const [file, block] = ['the Release file', 'the Release.gpg file']
  const text = plainText(bytes, MAX_IN_RELEASE_BYTES, file)
  const armor = plainText(signature, MAX_SIGNATURE_BYTES, block)
  if (!armor.startsWith(middle.slice(1))) throw invalid('does not begin with a signature', block)
  if (!armor.endsWith(end)) throw invalid('has something after the signature', block)
  return {bytes, text: text.replace(/\n$/, ''), signature: parseArmor(armor, block)}
}

/**
 * Splits a clearsigned file, strictly: gpgv and openpgp.js both pass over text before and after the
 * frame, which a reader of the file would take for signed. Refuses with openpgp_frame_invalid.
 */
export function parseClearsign(bytes: Uint8Array): ClearsignFrame {
  const armored = plainText(bytes, MAX_IN_RELEASE_BYTES, IN_RELEASE)
  if (!armored.startsWith(begin)) throw invalid('has something before the signed message')
  if (!armored.endsWith(end)) throw invalid('has something after the signature')
  const signatureAt = armored.indexOf(middle)
  const headEnd = armored.indexOf('\n\n', begin.length - 1)
  if (signatureAt === -1 || headEnd === -1 || headEnd > signatureAt)
    throw invalid('has no signed text')
  return {
    armored,
    hashes: parseHashes(armored.slice(begin.length, headEnd + 1)),
    text: unescapeDashes(armored.slice(headEnd + 2, signatureAt)),
    signature: parseArmor(armored.slice(signatureAt + 1)),
  }
}

const IN_RELEASE = 'the InRelease file'

function plainText(bytes: Uint8Array, limit: number, file: string): string {
  if (bytes.length > limit) throw invalid(`has ${bytes.length} bytes`, file)
  if (!isValidUtf8(bytes)) throw invalid('is not UTF-8', file)
  const text = Buffer.from(bytes).toString('utf8')
  if (/[^\P{Cc}\t\n]/u.test(text)) throw invalid('has a control character', file)
  return text
}

function parseHashes(head: string): readonly string[] {
  const lines = head.split('\n').filter((line) => line !== '')
  const names = lines.flatMap(
    (line) => /^Hash: ([A-Za-z0-9-]+(?:, ?[A-Za-z0-9-]+)*)$/.exec(line)?.[1]?.split(/, ?/) ?? [''],
  )
  if (names.includes('')) throw invalid('has a header other than Hash')
  return names.map((name) => name.toUpperCase())
}

/** RFC 9580 7.1: a line that begins with a dash is escaped; an unescaped one begins another frame. */
function unescapeDashes(text: string): string {
  const lines = text.split('\n')
  const isBare = lines.some((line) => line.startsWith('-') && !line.startsWith('- '))
  if (isBare) throw invalid('has a second message or an unescaped dash')
  // spaces at the end of a line are not signed: nobody must read them
  return lines.map((line) => line.replace(/^- /, '').replace(/[ \t]+$/, '')).join('\n')
}

function parseArmor(armor: string, file = IN_RELEASE): string {
  const lines = armor.split('\n').slice(1, -2)
  if (lines.some((line) => line.startsWith('-'))) throw invalid('has a second message', file)
  if (!lines.every((line) => /^(?:[A-Za-z0-9+/=]{0,76}|(?:Version|Comment): .*)$/.test(line)))
    throw invalid('has something in the armor that is no base64', file)
  return armor
}

function invalid(what: string, file = IN_RELEASE): RelError {
  return new RelError('openpgp_frame_invalid', `${file} ${what}`)
}
