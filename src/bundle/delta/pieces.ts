import {createZstdDecompress, constants as zlibConstants, zstdCompressSync} from 'node:zlib'
import {RelError} from '../../system/error.ts'
import {ZstdFrameWalker} from '../archive/zstd-frame.ts'
import {deltaFailed} from './delta-document.ts'

/** zstd takes a shorter dictionary for none. */
const LEAST_DICTIONARY = 8

/** The optimal parser begins at 13 and costs ten times more; below 11, dictionaries are used badly. */
const LEVEL = 12

/**
 * Bytes as one zstd frame out of a part of an old file, as `zstd --patch-from` makes them; undefined
 * when no frame comes back as those bytes (an old part that looks like a trained dictionary).
 */
export async function encodePiece(part: Buffer, old: Buffer): Promise<Buffer | undefined> {
  const params = {
    [zlibConstants.ZSTD_c_compressionLevel]: LEVEL,
    [zlibConstants.ZSTD_c_checksumFlag]: 0,
  }
  try {
    const frame = zstdCompressSync(part, {...dictionaryOf(old), params})
    return (await isFrameOf(part, frame, old)) ? frame : undefined
  } catch (error) {
    if (error instanceof RelError || isZstdError(error)) return undefined
    throw error
  }
}

async function isFrameOf(part: Buffer, frame: Buffer, old: Buffer): Promise<boolean> {
  let at = 0
  for await (const bytes of decodePiece(frame, old, part.length)) {
    if (!bytes.equals(part.subarray(at, at + bytes.length))) return false
    at += bytes.length
  }
  return true
}

/** Bytes that are decoded at a time. */
const BLOCK = 1024 * 1024

/**
 * The bytes that a frame gives, exactly `size` of them, in blocks: nothing is decoded beyond them,
 * and the window of the frame is no larger than what it needs. Refuses with upgrade_delta_failed,
 * possibly after the first blocks.
 */
export async function* decodePiece(
  frame: Buffer,
  old: Buffer,
  size: number,
): AsyncGenerator<Buffer> {
  checkOneFrame(frame)
  let left = size
  try {
    const decompressor = createZstdDecompress({
      ...dictionaryOf(old),
      chunkSize: BLOCK,
      params: {[zlibConstants.ZSTD_d_windowLogMax]: windowLogOf(old.length + size)},
    })
    decompressor.end(frame)
    for await (const bytes of decompressor as AsyncIterable<Buffer>) {
      left -= bytes.length
      if (left < 0) throw deltaFailed(`a frame gives more than ${size} bytes`)
      yield bytes
    }
  } catch (error) {
    if (!isZstdError(error)) throw error
    throw deltaFailed(`a frame does not decode: ${error.code}`)
  }
  if (left > 0) throw deltaFailed(`a frame gives ${size - left} bytes, not ${size}`)
}

/** What node:zlib throws of bytes that are not right, or more than they should be. */
function isZstdError(error: unknown): error is {readonly code: string} {
  const {code = ''} = error as {code?: string}
  return /^(?:Z_|ZSTD_|ERR_BUFFER_TOO_LARGE|ERR_ZSTD|ERR_ZLIB)/.test(code)
}

/** Some versions of Node take a frame that is cut short, some read on into a second one. */
function checkOneFrame(frame: Buffer): void {
  const walker = new ZstdFrameWalker()
  try {
    walker.feed(frame)
    walker.finish()
  } catch (error) {
    throw error instanceof RelError ? deltaFailed(error.message, error) : error
  }
}

function dictionaryOf(old: Buffer): {readonly dictionary?: Buffer} {
  return old.length < LEAST_DICTIONARY ? {} : {dictionary: old}
}

/** The window that covers so many bytes, within what Node takes. */
function windowLogOf(bytes: number): number {
  return Math.min(31, Math.max(10, Math.ceil(Math.log2(bytes))))
}

const probe = {
  frame: Buffer.from('KLUv/SBihQAAMMhyZWwAFAIAYIyp7kixAQ==', 'base64'),
  old: Buffer.from(Array.from({length: 96}, (_, at) => (at * at * 7 + at * 13) & 255)),
  size: 98,
}

/** False on a Node that ignores the dictionary of zstd silently (22.15 to 22.18). */
export async function decodesDeltas(): Promise<boolean> {
  const {frame, old, size} = probe
  const wanted = Buffer.concat([old.subarray(40, 90), Buffer.from('rel'), old.subarray(0, 45)])
  try {
    return wanted.length === size && (await isFrameOf(wanted, frame, old))
  } catch (error) {
    if (error instanceof RelError) return false
    throw error
  }
}
