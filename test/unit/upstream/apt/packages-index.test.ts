import {execFileSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {sha256Hex} from '../../../../src/system/hash.ts'
import {kernelBanner} from '../../../../src/upstream/apt/kernel-banner.ts'
import {readPackages} from '../../../../src/upstream/apt/packages-index.ts'
import type {PackagesIndex} from '../../../../src/upstream/apt/release-file.ts'
import {needs} from '../../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../../support/rejects.ts'
import {temporaryFolder} from '../../../support/tmp.ts'

const folder = temporaryFolder()
const digest = 'ab'.repeat(32)

function stanza(name: string, extra = ''): string {
  const file = `Filename: pool/${name}.deb\nSize: 7\nSHA256: ${digest}\n`
  return `Package: ${name}\nVersion: 1-1\nArchitecture: arm64\n${extra}${file}`
}

type Packing = {readonly compression: PackagesIndex['compression']; pack(plain: Buffer): Buffer}
const gz: Packing = {compression: 'gz', pack: (plain) => gzipSync(plain)}
const none: Packing = {compression: 'none', pack: (plain) => plain}
const xz: Packing = {
  compression: 'xz',
  pack: (plain) => execFileSync('xz', ['--stdout'], {input: plain}),
}

function indexOf(text: string, {compression, pack}: Packing): {path: string; index: PackagesIndex} {
  const plain = Buffer.from(text)
  const packed = pack(plain)
  const path = join(folder, `Packages.${compression}`)
  writeFileSync(path, packed)
  const listed = (bytes: Buffer) => ({sha256: sha256Hex(bytes), size: bytes.length})
  return {path, index: {paths: [], compression, packed: listed(packed), plain: listed(plain)}}
}

async function namesIn(text: string, packing: Packing = gz, wanted = /./): Promise<string[]> {
  const {path, index} = indexOf(text, packing)
  const packages = await readPackages(path, index, (name) => wanted.test(name))
  return packages.map(({name}) => name)
}

const three = [stanza('a'), stanza('linux-image-x', 'Depends: b\n'), stanza('c')].join('\n')

for (const packing of [gz, none, ...(needs('xz') ? [xz] : [])])
  test(`wanted packages of an index: ${packing.compression}`, async () => {
    assert.equal(await namesIn(three, packing), ['a', 'linux-image-x', 'c'])
    assert.equal(await namesIn(three, packing, /^linux-/), ['linux-image-x'])
    assert.equal(await namesIn('', packing), [])
  })

test('the name may stand anywhere, and empty lines may be many', async () => {
  const moved = `Version: 1-1\npackage: late\nArchitecture: all\n${stanza('x').split('\n').slice(3).join('\n')}`
  assert.equal(await namesIn(`${stanza('a')}\n\n\n${moved}\n\n`), ['a', 'late'])
})

test('a stanza may lie across many pieces', async () => {
  const long = stanza('long', `Description: ${'x'.repeat(900_000)}\n`)
  assert.equal(await namesIn([stanza('a'), long, stanza('z')].join('\n'), gz, /^[lz]/), [
    'long',
    'z',
  ])
})

test('dependencies that come before count too', async () => {
  const both = stanza('a', 'Pre-Depends: p (>= 1)\nDepends: d\n')
  const {path, index} = indexOf(both, gz)
  const [entry] = await readPackages(path, index, () => true)
  assert.is(entry?.depends, 'p (>= 1), d')
})

const bad: Readonly<Record<string, string>> = {
  'a field twice': stanza('a', 'Version: 2-1\n'),
  'no name': 'Version: 1-1\n',
  'a stanza without end': stanza('a', `Description: ${'x'.repeat(2_000_000)}\n`),
  'a name with a slash': stanza('../a'),
  'no digest': stanza('a').replace(/SHA256.*\n/, ''),
  'a short digest': stanza('a').replace(digest, digest.slice(2)),
  'a size of zero': stanza('a').replace('Size: 7', 'Size: 0'),
}

for (const [name, text] of Object.entries(bad))
  test(`an index is refused: ${name}`, async () => {
    await rejectsCode(() => namesIn(text), 'deb822_malformed')
  })

type Change = (index: PackagesIndex) => PackagesIndex
const lies: Readonly<Record<string, Change>> = {
  'another digest of the packed file': (index) => ({
    ...index,
    packed: {...index.packed, sha256: digest},
  }),
  'another size of the packed file': (index) => ({...index, packed: {...index.packed, size: 1}}),
  'another digest of the plain file': (index) => ({
    ...index,
    plain: {sha256: digest, size: index.plain?.size ?? 0},
  }),
  'a plain file that is longer than signed': (index) => ({
    ...index,
    plain: {sha256: index.plain?.sha256 ?? '', size: 10},
  }),
  'a plain file that is shorter than signed': (index) => ({
    ...index,
    plain: {sha256: index.plain?.sha256 ?? '', size: 100_000},
  }),
  'bytes that do not unpack': (index) => ({...index, compression: 'gz'}),
}

for (const [name, change] of Object.entries(lies))
  test(`an index is refused: ${name}`, async () => {
    const {path, index} = indexOf(three, name.startsWith('bytes') ? none : gz)
    await rejectsCode(() => readPackages(path, change(index), () => true), 'apt_index_mismatch')
  })

async function withPath<T>(path: string, run: () => Promise<T>): Promise<T> {
  const before = process.env.PATH
  process.env.PATH = path
  try {
    return await run()
  } finally {
    process.env.PATH = before
  }
}

const xzFaults: readonly [string, string | undefined, ErrorCode][] = [
  ['xz is not installed', '/nonexistent', 'tool_missing'],
  ['xz cannot read it', undefined, 'process_failed'],
]

if (needs('xz'))
  for (const [name, path, code] of xzFaults)
    test(`an index is refused: ${name}`, async () => {
      const packed = indexOf(three, path === undefined ? none : xz)
      const index: PackagesIndex = {...packed.index, compression: 'xz'}
      const run = () => rejectsCode(() => readPackages(packed.path, index, () => true), code)
      await (path === undefined ? run() : withPath(path, run))
    })

/** As Linux lays it out: the offset of the text stands at 0x20e. */
function x86Image(text: string): Buffer {
  const image = Buffer.alloc(0x400)
  image.write('HdrS', 0x202, 'latin1')
  image.writeUInt16LE(0x100, 0x20e)
  image.write(`${text}\0`, 0x300, 'latin1')
  return image
}

const says = '6.1.0-56-arm64 (d@d) # SMP Debian 6.1.192-2 (2026)'
const images: Readonly<Record<string, Buffer>> = {
  'an arm64 image': Buffer.from(`\0\0Linux version %s (%s)\0Linux version ${says}\nmore`),
  'a gzipped arm64 image': gzipSync(Buffer.from(`\0Linux version ${says}\n`)),
  'an x86 image': x86Image(says),
}

for (const [name, image] of Object.entries(images))
  test(`the text of ${name}`, () => {
    assert.is(kernelBanner(image), says)
  })

for (const [name, image] of Object.entries({
  'no text': Buffer.alloc(1024),
  'a format only': Buffer.from('Linux version %s (%s)\0'),
  'damaged gzip': Buffer.from([0x1f, 0x8b, 1, 2, 3]),
  nothing: Buffer.alloc(0),
}))
  test(`an image is refused: ${name}`, () => {
    throwsCode(() => kernelBanner(image), 'kernel_image_mismatch')
  })

test.run()
