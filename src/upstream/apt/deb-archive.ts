import {closeSync, createReadStream, openSync, readSync} from 'node:fs'
import {pipeline, Readable, type Transform} from 'node:stream'
import {createGunzip, createZstdDecompress} from 'node:zlib'
import {extract} from 'tar-stream'
import {RelError} from '../../system/error.ts'
import {fileError} from '../../system/files.ts'
import {unpackXz} from './unpack-xz.ts'

/** Where a member of the archive is in the file. */
type Member = {readonly name: string; readonly start: number; readonly size: number}

const MAGIC = '!<arch>\n'
const HEADER_BYTES = 60

/** deb(5) has three; some archives add signatures. */
const MAX_MEMBERS = 16

/**
 * The content of one regular file of a Debian package (deb(5)), whose bytes were verified before:
 * nothing is unpacked to disk. Refuses with deb_malformed, tool_missing (xz), process_failed.
 */
export async function readDebFile(deb: string, wanted: string, maxBytes: number): Promise<Buffer> {
  const data = dataMember(deb)
  const end = data.start + data.size - 1
  const packed = createReadStream(deb, {start: data.start, end, highWaterMark: 1 << 18})
  const plain = unpacked(packed, data.name)
  const tar = extract()
  const source = Readable.from(plain)
  source.on('error', (error) => tar.destroy(error))
  source.pipe(tar)
  try {
    for await (const entry of tar) {
      if (entry.header.type !== 'file' || entry.header.name.replace(/^\.?\//, '') !== wanted)
        entry.resume()
      else
        return await readEntry(
          entry as AsyncIterable<Buffer>,
          entry.header.size ?? 0,
          wanted,
          maxBytes,
        )
    }
  } catch (error) {
    if (error instanceof RelError) throw error
    throw new RelError('deb_malformed', `the package does not unpack`, {cause: error})
  } finally {
    source.destroy()
    packed.destroy()
  }
  throw malformed(`the package has no ${wanted}`)
}

async function readEntry(
  entry: AsyncIterable<Buffer>,
  size: number,
  name: string,
  maxBytes: number,
): Promise<Buffer> {
  if (size > maxBytes) throw malformed(`${name} has ${size} bytes, at most ${maxBytes} are read`)
  const chunks: Buffer[] = []
  for await (const chunk of entry) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function unpacked(packed: Readable, name: string): AsyncIterable<Buffer> {
  if (name === 'data.tar.xz') return unpackXz(packed)
  if (name === 'data.tar.zst') return through(packed, createZstdDecompress())
  if (name === 'data.tar.gz') return through(packed, createGunzip())
  if (name === 'data.tar') return packed
  throw malformed(`the package has ${name}, want data.tar, .gz, .xz or .zst`)
}

/** Errors of the file end the unpacking too, unlike with pipe(). */
function through(packed: Readable, unpacker: Transform): AsyncIterable<Buffer> {
  return pipeline(packed, unpacker, () => {})
}

/** The one member data.tar.*; every header is of fixed size (ar(5)). */
function dataMember(deb: string): Member {
  const members = listMembers(deb)
  const data = members.filter(({name}) => name.startsWith('data.tar'))
  if (members[0]?.name !== 'debian-binary' || data.length !== 1 || data[0] === undefined)
    throw malformed('the package does not have the members of one')
  return data[0]
}

function listMembers(deb: string): readonly Member[] {
  const fd = openToRead(deb)
  try {
    if (readText(fd, 0, MAGIC.length) !== MAGIC) throw malformed('the package is no ar archive')
    const members: Member[] = []
    for (let at = MAGIC.length; members.length < MAX_MEMBERS; ) {
      const header = readText(fd, at, HEADER_BYTES)
      if (header === '') return members
      const member = parseHeader(header, at + HEADER_BYTES)
      members.push(member)
      at = member.start + member.size + (member.size % 2)
    }
    throw malformed(`the package has more than ${MAX_MEMBERS} members`)
  } finally {
    closeSync(fd)
  }
}

function parseHeader(header: string, start: number): Member {
  const [, name, size] =
    /^([a-z_][a-z0-9._-]{0,15})\/? *\d+ +\d+ +\d+ +[0-7]+ +(\d{1,10}) *`\n$/.exec(header) ?? []
  if (header.length !== HEADER_BYTES || name === undefined)
    throw malformed('the package has a damaged member')
  return {name, start, size: Number(size)}
}

function openToRead(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

function readText(fd: number, at: number, length: number): string {
  const bytes = Buffer.alloc(length)
  return bytes.toString('latin1', 0, readSync(fd, bytes, 0, length, at))
}

function malformed(message: string): RelError {
  return new RelError('deb_malformed', message)
}
