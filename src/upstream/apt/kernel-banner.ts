import {gunzipSync} from 'node:zlib'
import {RelError} from '../../system/error.ts'

/** A kernel with everything built in has some 60 MiB. */
export const MAX_KERNEL_BYTES = 256 * 1024 * 1024

const MARKER = 'Linux version '

/**
 * What a kernel says of itself after "Linux version ": the release, who built it, and the version of
 * its package. Reads uncompressed and gzipped arm64 images and the header of x86 ones (Linux
 * Documentation/arch/x86/boot.rst). Refuses with kernel_image_mismatch when it says nothing.
 */
export function kernelBanner(image: Buffer): string {
  if (image.length >= 0x210 && image.toString('latin1', 0x202, 0x206) === 'HdrS')
    return textAt(image, image.readUInt16LE(0x20e) + 0x200)
  const plain = image[0] === 0x1f && image[1] === 0x8b ? gunzipped(image) : image
  for (let at = plain.indexOf(MARKER); at !== -1; at = plain.indexOf(MARKER, at + 1)) {
    const text = textAt(plain, at + MARKER.length)
    if (/^\d+\.\d+\S* \(/.test(text)) return text // others are formats with %s
  }
  throw new RelError('kernel_image_mismatch', 'the kernel image has no “Linux version” text')
}

function gunzipped(image: Buffer): Buffer {
  try {
    return gunzipSync(image, {maxOutputLength: MAX_KERNEL_BYTES})
  } catch (error) {
    throw new RelError('kernel_image_mismatch', 'the kernel image does not unpack', {cause: error})
  }
}

/** Up to the end of the line or of the text, at most 400 characters. */
function textAt(bytes: Buffer, at: number): string {
  const [text = ''] = bytes.toString('latin1', at, at + 400).split(/[\0\n]/)
  return text
}
