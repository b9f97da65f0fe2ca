import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {checksumOf, parseChecksums} from '../../../src/upstream/checksums.ts'
import {throwsCode} from '../../support/rejects.ts'

const A = 'c3b2634fc5421626641e2f4256108c08078a9b2662f649d770af78e5e5d729a2'
const B = 'e2a6ae076f963f4985fca895222f642a9281e814b4a50e28b6265eb2e59deffb'
const amd64 = 'traefik_v3.7.12_linux_amd64.tar.gz'
const arm64 = 'traefik_v3.7.12_linux_arm64.tar.gz'
const nothing = {own: undefined, others: new Map<string, string>()}

const forms: Readonly<Record<string, string>> = {
  'two blanks, as goreleaser writes': `${A}  ${amd64}\n`,
  'an asterisk, binary mode': `${A} *${amd64}\n`,
  'one blank': `${A} ${amd64}\n`,
  'a tab': `${A}\t${amd64}\n`,
  './ before the name': `${A}  ./${amd64}\n`,
  'a build folder before the name': `${A}  build/out/${amd64}\n`,
  'upper-case digits': `${A.toUpperCase()}  ${amd64}\n`,
  'CRLF and a BOM': `\ufeff${A}  ${amd64}\r\n`,
  'no final newline': `${A}  ${amd64}`,
  'comments and empty lines': `# sha256\n\n${A}  ${amd64}\n`,
  BSD: `SHA256 (${amd64}) = ${A}\n`,
  'name and digest': `${amd64}:${A}\n`,
}
for (const [name, text] of Object.entries(forms))
  test(`read: ${name}`, () => {
    assert.equal(parseChecksums(Buffer.from(text)), [{name: amd64, sha256: A}])
  })

test('a digest alone is the digest of the one file it is for, and of nothing else', () => {
  const bytes = Buffer.from(`${A}\n`)
  assert.equal(parseChecksums(bytes, amd64), [{name: amd64, sha256: A}])
  throwsCode(() => parseChecksums(bytes), 'checksum_file_malformed')
})

const refused: readonly (readonly [string, string | Buffer, ErrorCode])[] = [
  ['a web page', '<!DOCTYPE html><html><body>Not Found</body></html>', 'checksum_file_html'],
  ['a web page after white space', '\n  <html lang="en">', 'checksum_file_html'],
  ['nothing', '', 'checksum_file_malformed'],
  ['blanks', ' \n\n', 'checksum_file_malformed'],
  ['a message', 'Not Found', 'checksum_file_malformed'],
  ['a SHA-1', `${A.slice(0, 40)}  ${amd64}`, 'checksum_file_malformed'],
  ['a digest of 65 digits', `${A}0  ${amd64}`, 'checksum_file_malformed'],
  ['one bad line among good ones', `${A}  a\nnot a line\n${B}  b`, 'checksum_file_malformed'],
  ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00]), 'checksum_file_malformed'],
  ['too many lines', `${A}  a\n`.repeat(10_001), 'checksum_file_malformed'],
  ['too many bytes', Buffer.alloc(1024 * 1024 + 1, 'a'), 'checksum_file_malformed'],
]
for (const [name, text, code] of refused)
  test(`refused: ${name}`, () => {
    throwsCode(() => parseChecksums(Buffer.from(text)), code)
  })

const lines = (...texts: readonly string[]) => parseChecksums(Buffer.from(texts.join('\n')))

test('the exact name alone counts', () => {
  const file = lines(`${A}  ${amd64}`, `${B}  x${amd64}`, `${B}  ${amd64}.sbom`)
  assert.is(checksumOf(file, amd64, nothing), A)
})

test('a missing line names the nearest ones', () => {
  const call = () => checksumOf(lines(`${A}  ${arm64}`), amd64, nothing)
  assert.match(throwsCode(call, 'checksum_missing').message, arm64)
})

test('the same line twice, and two digests for one name', () => {
  const line = `${A}  ${amd64}`
  throwsCode(() => checksumOf(lines(line, line), amd64, nothing), 'checksum_repeated')
  const other = `${B}  ./${amd64}`
  throwsCode(() => checksumOf(lines(line, other), amd64, nothing), 'checksum_contradiction')
})

test('with what the interface knows, a wrong name and a swap are told apart', () => {
  const known = {own: A, others: new Map([[arm64, B]])}
  const misnamed = () => checksumOf(lines(`${A}  traefik.tar.gz`), amd64, known)
  throwsCode(misnamed, 'checksum_misnamed')
  const swapped = () => checksumOf(lines(`${B}  ${amd64}`, `${A}  ${arm64}`), amd64, known)
  throwsCode(swapped, 'checksum_swapped')
  const same = {own: A, others: new Map([[arm64, A]])}
  assert.is(checksumOf(lines(`${A}  ${amd64}`, `${A}  ${arm64}`), amd64, same), A)
})

test.run()
