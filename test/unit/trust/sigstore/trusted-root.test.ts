import {readFileSync} from 'node:fs'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {installedTrustedRoot} from '../../../../scripts/update-trusted-root.ts'
import {loadTrustedRoot} from '../../../../src/trust/sigstore/load-trusted-root.ts'
import {parseTrustedRoot} from '../../../../src/trust/sigstore/trusted-root.ts'
import {rejectsCode, throwsCode} from '../../../support/rejects.ts'

const file = new URL('../../../../src/trust/sigstore/trusted-root.json', import.meta.url)
const embedded = JSON.parse(readFileSync(file, 'utf8'))

test('the embedded root is the one of the installed @sigstore/tuf', () => {
  const {taken, ...rest} = embedded
  // when this fails: node scripts/update-trusted-root.ts, and look at the diff
  assert.equal(rest, installedTrustedRoot())
  assert.match(taken, /^20\d\d-\d\d-\d\d$/)
})

test('the embedded root has the authorities of the public Sigstore', async () => {
  const root = await loadTrustedRoot()
  assert.equal(
    root.tlogs.map(({baseUrl}) => baseUrl),
    ['https://rekor.sigstore.dev', 'https://log2025-1.rekor.sigstore.dev'],
  )
  assert.is(root.certificateAuthorities.length, 2)
  assert.is(root.ctlogs.length, 2)
  assert.is(root.timestampAuthorities.length, 1)
  for (const {validFor} of [...root.certificateAuthorities, ...root.tlogs, ...root.ctlogs])
    assert.ok(validFor.start.getUTCFullYear() >= 2021)
})

// biome-ignore lint/suspicious/noExplicitAny: the cases break the shape on purpose
type Loose = any
const broken: Record<string, (root: Loose) => unknown> = {
  'a log without start of validity': (root) => delete root.tlogs[0].publicKey.validFor.start,
  'a log without validity': (root) => delete root.tlogs[0].publicKey.validFor,
  'a certificate log without start': (root) => delete root.ctlogs[1].publicKey.validFor.start,
  'a Fulcio without start': (root) => delete root.certificateAuthorities[0].validFor.start,
  'a timestamp authority without start': (root) =>
    delete root.timestampAuthorities[0].validFor.start,
  'a start in 1970': (root) => {
    root.tlogs[0].publicKey.validFor.start = '1970-01-01T00:00:00Z'
  },
  'a start that is no time': (root) => {
    root.tlogs[0].publicKey.validFor.start = 'soon'
  },
  'a start in the 13th month': (root) => {
    root.tlogs[0].publicKey.validFor.start = '2021-13-01T00:00:00Z'
  },
  'a start in local time': (root) => {
    root.tlogs[0].publicKey.validFor.start = '2021-01-12T11:53:27'
  },
  'an end before the start': (root) => {
    root.certificateAuthorities[0].validFor.end = '2021-01-01T00:00:00Z'
  },
  'no transparency log': (root) => {
    root.tlogs = []
  },
  'no certificate log': (root) => delete root.ctlogs,
  'no Fulcio': (root) => {
    root.certificateAuthorities = []
  },
  'a Fulcio without certificate': (root) => {
    root.certificateAuthorities[0].certChain.certificates = []
  },
  'a key that is not base64': (root) => {
    root.tlogs[0].publicKey.rawBytes = 'MFkw*'
  },
  'a log without id': (root) => delete root.tlogs[0].logId,
  'a log without address': (root) => {
    root.tlogs[0].baseUrl = ''
  },
  'an RSA key': (root) => {
    root.tlogs[0].publicKey.keyDetails = 'PKCS1_RSA_PKCS1V5'
  },
  'another media type': (root) => {
    root.mediaType = 'application/json'
  },
  'logs that are no list': (root) => {
    root.tlogs = {0: root.tlogs[0]}
  },
  'too many logs': (root) => {
    root.tlogs = Array.from({length: 65}, () => root.tlogs[0])
  },
}
for (const [name, breakIt] of Object.entries(broken)) {
  test(`a trusted root is refused: ${name}`, () => {
    const root = structuredClone(embedded.trusted_root)
    parseTrustedRoot(Buffer.from(JSON.stringify(root)))
    breakIt(root)
    throwsCode(() => parseTrustedRoot(Buffer.from(JSON.stringify(root))), 'trusted_root_invalid')
  })
}

test('a trusted root that is not strict JSON is refused', () => {
  const text = JSON.stringify(embedded.trusted_root)
  for (const bad of ['', text.slice(0, -1), text.replace('{', '{"tlogs":[],'), `\ufeff${text}`])
    throwsCode(() => parseTrustedRoot(Buffer.from(bad)), 'trusted_root_invalid')
})

test('a key that is none is refused when the root is used', async () => {
  const {verifyEntity} = await import('../../../../src/trust/sigstore/verify-entity.ts')
  const {parseSigstoreBundle} = await import('../../../../src/trust/sigstore/bundle-file.ts')
  const recorded = readFileSync(
    new URL('../../../vectors/sigstore/recorded-github-cli-2.54.0.sigstore.json', import.meta.url),
  )
  const bundle = await parseSigstoreBundle(recorded, 'dsseEnvelope')
  const root = structuredClone(embedded.trusted_root)
  root.tlogs[0].publicKey.rawBytes = 'AAAA'
  const parsed = parseTrustedRoot(Buffer.from(JSON.stringify(root)))
  await rejectsCode(
    () => verifyEntity(bundle, new Uint8Array(), parsed, 1_790_000_000),
    'trusted_root_invalid',
  )
})

test('a trusted root that is not there is refused as a file', async () => {
  await rejectsCode(() => loadTrustedRoot('/nonexistent/root.json'), 'file_missing')
})

test.run()
