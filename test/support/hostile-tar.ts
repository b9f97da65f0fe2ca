import type {SignedTree} from './signed-tree.ts'

/** A raw tar header, every field of which a test can falsify. */
export type RawEntry = {
  readonly name: string | Buffer
  readonly content?: Buffer | string
  readonly type?: string
  /** Bits of the mode field. */
  readonly mode?: number
  /** The size field as text or bytes, when it is not that of the content. */
  readonly size?: string | Buffer
  readonly link?: string
  readonly prefix?: string
  readonly magic?: string
  /** Fills up the last block of the content. */
  readonly pad?: number
  readonly checksum?: string
  /** Bytes written over the block at these offsets, before the checksum is taken. */
  readonly patch?: Readonly<Record<number, string>>
}

const BLOCK = 512

/** One entry as bytes: header, content, padding. */
export function rawEntry(entry: RawEntry): Buffer {
  const content = Buffer.from(entry.content ?? '')
  const block = Buffer.alloc(BLOCK)
  const name = Buffer.from(entry.name)
  name.copy(block, 0, 0, 100)
  block.write(`${(entry.mode ?? 0o644).toString(8).padStart(7, '0')}\0`, 100, 'latin1')
  block.write('0000000\x000000000\0', 108, 'latin1')
  const size = entry.size ?? `${content.length.toString(8).padStart(11, '0')}\0`
  Buffer.from(size).copy(block, 124, 0, 12)
  block.write('00000000000\0', 136, 'latin1')
  block.write(entry.type ?? '0', 156, 'latin1')
  block.write(entry.link ?? '', 157)
  block.write(entry.magic ?? 'ustar\x0000', 257, 'latin1')
  block.write(entry.prefix ?? '', 345)
  for (const [at, bytes] of Object.entries(entry.patch ?? {}))
    block.write(bytes, Number(at), 'latin1')
  block.write(entry.checksum ?? checksum(block), 148, 'latin1')
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK, entry.pad ?? 0)
  return Buffer.concat([block, content, padding])
}

function checksum(block: Buffer): string {
  let sum = 8 * 0x20
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at > 155) sum += block[at] ?? 0
  return `${sum.toString(8).padStart(6, '0')}\0 `
}

/** An extended header with these records, as bytes. */
export function rawPax(records: Readonly<Record<string, string>>, type = 'x'): Buffer {
  const lines = Object.entries(records).map(([key, value]) => paxLine(key, value))
  return rawEntry({name: 'PaxHeader', type, content: lines.join('')})
}

function paxLine(key: string, value: string): string {
  const text = ` ${key}=${value}\n`
  let length = Buffer.byteLength(text)
  while (Buffer.byteLength(`${length}${text}`) !== length) length++
  return `${length}${text}`
}

export const END = Buffer.alloc(2 * BLOCK)

/** manifest.json of a tree as the first entry. */
export function manifestEntry(tree: SignedTree): Buffer {
  return rawEntry({name: 'manifest.json', content: tree.manifestBytes})
}

/** All files and links of a tree as entries, but for those named. */
export function fileEntries(tree: SignedTree, ...without: readonly string[]): Buffer {
  const files = [...tree.files].filter(([path]) => !without.includes(path))
  const links = tree.links.filter(({path}) => !without.includes(path))
  return Buffer.concat([
    ...files.map(([name, {content, mode}]) =>
      rawEntry({name, content, mode: Number.parseInt(mode, 8)}),
    ),
    ...links.map(({path, target}) => rawEntry({name: path, type: '2', link: target, mode: 0o777})),
  ])
}

/** A whole good archive of a tree. */
export function goodTar(tree: SignedTree): Buffer {
  return Buffer.concat([manifestEntry(tree), fileEntries(tree), END])
}

/** How one archive is hostile, and the code with which it must be refused. */
export type HostileShape = {readonly code: string; readonly bytes: Buffer}

/**
 * Archives that no reader may let in, by what is wrong with them. `tree` must have main.py (0644,
 * at least 8 bytes), bin/run (0755) and the link current to bin/run.
 */
export function hostileShapes(tree: SignedTree): Readonly<Record<string, HostileShape>> {
  const main = tree.files.get('main.py')?.content ?? Buffer.alloc(0)
  const head = manifestEntry(tree)
  const rest = fileEntries(tree, 'main.py')
  const all = fileEntries(tree)
  const withMain = (...parts: Buffer[]) => Buffer.concat([head, ...parts, rest, END])
  const extra = (entry: RawEntry) => Buffer.concat([head, all, rawEntry(entry), END])
  const evil = {content: 'evil'}
  const negative = Buffer.from('ffffffffffffffffffffff00', 'hex')
  const enormous = Buffer.from('80ffffffffffffffffffffff', 'hex')
  const shape = (code: string, bytes: Buffer): HostileShape => ({code, bytes})
  return {
    'manifest not first': shape('archive_manifest_not_first', Buffer.concat([all, head, END])),
    'no manifest': shape('archive_manifest_not_first', END),
    'two manifests': shape('archive_entry_duplicate', Buffer.concat([head, head, all, END])),
    'manifest as a link': shape(
      'file_not_regular',
      Buffer.concat([rawEntry({name: 'manifest.json', type: '2', link: '/etc/passwd'}), END]),
    ),
    'manifest of 1 GiB': shape(
      'archive_limit',
      Buffer.concat([rawEntry({name: 'manifest.json', size: '10000000000\0'}), END]),
    ),
    'unlisted file': shape('file_unlisted', extra({name: 'sitecustomize.py', ...evil})),
    'unlisted directory': shape('file_unlisted', extra({name: 'empty/', type: '5', mode: 0o755})),
    'missing file': shape('file_absent', withMain()),
    'path ..': shape('path_traversal', extra({name: '../evil', ...evil})),
    'path .. inside': shape('path_traversal', extra({name: 'bin/../../evil', ...evil})),
    'path .. by pax': shape(
      'path_traversal',
      withMain(rawPax({path: '../main.py'}), rawEntry({name: 'main.py', content: main})),
    ),
    'absolute path': shape('path_absolute', extra({name: '/etc/cron.d/evil', ...evil})),
    backslash: shape('path_malformed', extra({name: '..\\evil', ...evil})),
    'NUL inside a name': shape(
      'archive_malformed',
      withMain(rawEntry({name: Buffer.from('main.py\0.sh'), content: main})),
    ),
    'NUL in a pax path': shape(
      'archive_malformed',
      withMain(rawPax({path: 'main.py\0x'}), rawEntry({name: 'x', content: main})),
    ),
    'name that is not UTF-8': shape(
      'path_not_utf8',
      extra({name: Buffer.from('caf\xe9', 'latin1'), ...evil}),
    ),
    'duplicate entry': shape('archive_entry_duplicate', extra({name: 'main.py', content: main})),
    'duplicate through ./': shape(
      'archive_entry_duplicate',
      extra({name: './main.py', content: main}),
    ),
    'case collision': shape('file_unlisted', extra({name: 'MAIN.py', content: main})),
    'Unicode collision': shape('path_not_normal', extra({name: 'e\u0301', ...evil})),
    hardlink: shape(
      'file_hardlinked',
      withMain(rawEntry({name: 'main.py', type: '1', link: 'bin/run'})),
    ),
    'link in place of a file': shape(
      'file_not_regular',
      withMain(rawEntry({name: 'main.py', type: '2', link: 'bin/run'})),
    ),
    'link that leads elsewhere': shape(
      'link_mismatch',
      Buffer.concat([
        head,
        fileEntries(tree, 'current'),
        rawEntry({name: 'current', type: '2', link: '/etc'}),
        END,
      ]),
    ),
    'write through a link': shape(
      'file_unlisted',
      Buffer.concat([head, all, rawEntry({name: 'current/evil', ...evil}), END]),
    ),
    'directory as a link': shape(
      'file_not_regular',
      Buffer.concat([head, rawEntry({name: 'bin', type: '2', link: '/tmp'}), all, END]),
    ),
    'file as a directory': shape(
      'file_not_regular',
      withMain(rawEntry({name: 'main.py/', type: '5', mode: 0o755})),
    ),
    'character device': shape('file_not_regular', withMain(rawEntry({name: 'main.py', type: '3'}))),
    'block device': shape('file_not_regular', withMain(rawEntry({name: 'main.py', type: '4'}))),
    fifo: shape('file_not_regular', withMain(rawEntry({name: 'main.py', type: '6'}))),
    'contiguous file': shape(
      'archive_unsupported',
      withMain(rawEntry({name: 'main.py', type: '7', content: main})),
    ),
    'old GNU sparse file': shape(
      'archive_unsupported',
      withMain(rawEntry({name: 'main.py', type: 'S', content: main, magic: 'ustar  \0'})),
    ),
    'pax sparse file': shape(
      'archive_unsupported',
      withMain(
        rawPax({'GNU.sparse.major': '1', 'GNU.sparse.name': 'main.py'}),
        rawEntry({name: 'main.py', content: main}),
      ),
    ),
    'extended attribute': shape(
      'archive_unsupported',
      withMain(
        rawPax({'SCHILY.xattr.security.capability': 'x'}),
        rawEntry({name: 'main.py', content: main}),
      ),
    ),
    'global header': shape(
      'archive_unsupported',
      withMain(rawPax({path: 'main.py'}, 'g'), rawEntry({name: 'main.py', content: main})),
    ),
    'multi-volume continuation': shape(
      'archive_unsupported',
      withMain(rawEntry({name: 'main.py', type: 'M', content: main})),
    ),
    setuid: shape(
      'mode_forbidden',
      withMain(rawEntry({name: 'main.py', content: main, mode: 0o4644})),
    ),
    'setgid directory': shape(
      'mode_forbidden',
      Buffer.concat([head, rawEntry({name: 'bin/', type: '5', mode: 0o2755}), all, END]),
    ),
    'other mode': shape(
      'mode_mismatch',
      withMain(rawEntry({name: 'main.py', content: main, mode: 0o755})),
    ),
    'larger than signed': shape(
      'size_mismatch',
      withMain(rawEntry({name: 'main.py', content: Buffer.concat([main, main])})),
    ),
    'smaller than signed': shape(
      'size_mismatch',
      withMain(rawEntry({name: 'main.py', content: main.subarray(1)})),
    ),
    'other content': shape(
      'file_digest_mismatch',
      withMain(rawEntry({name: 'main.py', content: Buffer.alloc(main.length, 'x')})),
    ),
    'negative size': shape(
      'archive_malformed',
      withMain(rawEntry({name: 'main.py', content: main, size: negative})),
    ),
    'size beyond 2^53': shape(
      'archive_malformed',
      withMain(rawEntry({name: 'main.py', content: main, size: enormous})),
    ),
    'size with other characters': shape(
      'archive_malformed',
      withMain(rawEntry({name: 'main.py', content: main, size: '0x000000010\0'})),
    ),
    'two sizes (pax and header)': shape(
      'archive_malformed',
      withMain(rawPax({size: String(main.length)}), rawEntry({name: 'main.py', size: '0'})),
    ),
    'directory with a size': shape(
      'archive_malformed',
      Buffer.concat([head, rawEntry({name: 'bin/', type: '5', content: 'x', mode: 0o755}), END]),
    ),
    'false checksum': shape(
      'archive_malformed',
      withMain(rawEntry({name: 'main.py', content: main, checksum: '000001\0 '})),
    ),
    'no magic': shape(
      'archive_malformed',
      withMain(rawEntry({name: 'main.py', content: main, magic: '\0\0\0\0\0\0\0\0'})),
    ),
    ...unreadShapes((patch) => withMain(rawEntry({name: 'main.py', content: main, patch}))),
    'data in the padding': shape(
      'archive_malformed',
      withMain(rawEntry({name: 'main.py', content: main, pad: 0x41})),
    ),
    'pax header of 1 GiB': shape(
      'archive_limit',
      withMain(rawEntry({name: 'PaxHeader', type: 'x', size: '10000000000\0'})),
    ),
    'long name of 1 GiB': shape(
      'archive_limit',
      withMain(rawEntry({name: '././@LongLink', type: 'L', size: '10000000000\0'})),
    ),
    'path beyond its limit': shape(
      'archive_limit',
      withMain(rawPax({path: 'a/'.repeat(1000)}), rawEntry({name: 'x', content: main})),
    ),
    'pax record with a false length': shape(
      'archive_malformed',
      withMain(
        rawEntry({name: 'PaxHeader', type: 'x', content: '99 path=main.py\n'}),
        rawEntry({name: 'x', content: main}),
      ),
    ),
    'two extended headers': shape(
      'archive_malformed',
      withMain(
        rawPax({path: 'main.py'}),
        rawPax({path: 'bin/run'}),
        rawEntry({name: 'x', content: main}),
      ),
    ),
    'extended header without entry': shape(
      'archive_malformed',
      Buffer.concat([head, all, rawPax({path: 'x'}), END]),
    ),
    'entry after the end': shape('archive_trailing_data', Buffer.concat([head, all, END, head])),
    'entry after one block of zeros': shape(
      'archive_trailing_data',
      Buffer.concat([head, all, END.subarray(0, 512), rawEntry({name: 'x', ...evil}), END]),
    ),
    'zeros without end': shape(
      'archive_trailing_data',
      Buffer.concat([head, all, Buffer.alloc(1024 * 1024)]),
    ),
    'no end': shape('archive_truncated', Buffer.concat([head, all])),
    'half an end': shape('archive_truncated', Buffer.concat([head, all, END.subarray(512)])),
  }
}

/** Fields that rel does not use, in forms at which another tar stops or behind which data hides. */
function unreadShapes(
  archive: (patch: Readonly<Record<number, string>>) => Buffer,
): Readonly<Record<string, HostileShape>> {
  const patches: readonly [name: string, at: number, bytes: string][] = [
    ['uid that is no number', 108, 'root\0\0\0\0'],
    ['gid of spaces', 116, '        '],
    ['gid beyond 32 bits', 116, '\x800000000'],
    ['negative gid', 116, '\xff\xff\xff\xff\xff\xff\xff\xff'],
    ['mtime beyond 40 bits', 136, '\x80\0\0\0\0\0\x01\0\0\0\0\0'],
    ['mtime that is no number', 136, 'not a number'],
    ['mtime with data behind its NUL', 136, '1234567\x00evil'],
    ['device number that is no number', 329, '8888888\0'],
    ['data behind an empty link target', 158, 'evil'],
    ['data behind the name of the owner', 265, 'root\0evil'],
    ['data behind the name of the group', 297, 'root\0evil'],
    ['data behind an empty prefix', 346, 'evil'],
    ['data behind the prefix', 500, 'evil'],
  ]
  return Object.fromEntries(
    patches.map(([name, at, bytes]) => [
      name,
      {code: 'archive_malformed', bytes: archive({[at]: bytes})},
    ]),
  )
}
