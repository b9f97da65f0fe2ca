/** One member of an archive; owned by root, dated 0. */
export type CpioEntry = {readonly path: string; readonly mode: number} & (
  | {readonly type: 'directory'}
  | {readonly type: 'file'; readonly content: Uint8Array}
  | {readonly type: 'character'; readonly major: number; readonly minor: number}
)

const typeBits = {directory: 0o040000, file: 0o100000, character: 0o020000} as const

/**
 * A cpio archive in "newc" form, as the Linux kernel unpacks it into its initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst). A multiple of 4 bytes long.
 */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const members = entries.map((entry, index) => member(entry, index + 1))
  const trailer = member({type: 'file', path: 'TRAILER!!!', mode: 0, content: new Uint8Array()}, 0)
  return Buffer.concat([...members, trailer])
}

/** The zeros that must stand before an archive that follows `length` bytes of another one. */
export function cpioPadding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4)
}

function member(entry: CpioEntry, inode: number): Buffer {
  const content = entry.type === 'file' ? entry.content : new Uint8Array()
  const device = entry.type === 'character' ? [entry.major, entry.minor] : [0, 0]
  const name = Buffer.from(`${entry.path}\0`, 'utf8')
  const links = entry.type === 'directory' ? 2 : 1
  const mode = inode === 0 ? 0 : typeBits[entry.type] | entry.mode
  const numbers = [inode, mode, 0, 0, links, 0, content.length, 0, 0, ...device, name.length, 0]
  const fields = numbers.map((value) => value.toString(16).padStart(8, '0')).join('')
  const head = Buffer.concat([Buffer.from(`070701${fields}`, 'ascii'), name])
  return Buffer.concat([head, cpioPadding(head.length), content, cpioPadding(content.length)])
}
