import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {sha256Hex} from '../../../../src/system/hash.ts'
import type {AllowedSigner} from '../../../../src/trust/sigstore/allowed-signer.ts'
import {checkSigstoreBundle} from '../../../../src/trust/sigstore/check-bundle.ts'
import {identityChecker} from '../../../../src/trust/sigstore/identity-policy.ts'
import {checkLoggedCertificate} from '../../../../src/trust/sigstore/log-entry.ts'
import {signWithSigstore} from '../../../../src/trust/sigstore/sign.ts'
import {parseTrustedRoot} from '../../../../src/trust/sigstore/trusted-root.ts'
import '../../../support/no-network.ts'
import {rejectsCode, throwsCode} from '../../../support/rejects.ts'
import {
  type Claims,
  type MockSigstore,
  mockDsse,
  releaseClaims,
  startMockSigstore,
} from '../../../support/sigstore-mock.ts'

const manifest = Buffer.from('{"manifest":{"version":"1.4.2"}}\n')
const workflow = 'https://github.com/acme/app/.github/workflows/release.yml'

const tagSigner: AllowedSigner = {
  issuer: releaseClaims.iss,
  san: `${workflow}@refs/tags/v{version}`,
  repoId: '123456',
  trigger: ['push'],
  runner: 'github-hosted',
  notBefore: 0,
}
const mainSigner: AllowedSigner = {...tagSigner, san: `${workflow}@refs/heads/main`}

/** The parts of a bundle that the cases change. */
type BundleJson = {
  mediaType: string
  messageSignature: {messageDigest: {digest: string; algorithm: string}; signature: string}
  dsseEnvelope?: unknown
  verificationMaterial: {
    certificate?: {rawBytes: string}
    publicKey?: unknown
    x509CertificateChain?: unknown
    tlogEntries: {
      integratedTime: string
      inclusionPromise?: unknown
      inclusionProof: {rootHash: string; checkpoint: {envelope: string}}
      canonicalizedBody: string
      kindVersion: {kind: string; version: string}
    }[]
    timestampVerificationData: {rfc3161Timestamps: {signedTimestamp: string}[]}
  }
}

const test = suite<{mock: MockSigstore; bundle: Buffer}>('Sigstore bundles')

test.before(async (context) => {
  context.mock = await startMockSigstore()
  context.bundle = await signAs(context.mock, releaseClaims)
})
test.after(async ({mock}) => mock.close())

async function signAs(mock: MockSigstore, claims: Claims, tsaUrl?: string): Promise<Buffer> {
  const signed = await signWithSigstore(manifest, {
    fulcioUrl: mock.url,
    rekorUrl: mock.url,
    ...(tsaUrl === undefined ? {} : {tsaUrl}),
    trustedRoot: mock.trustedRoot,
    env: {SIGSTORE_ID_TOKEN: mock.token(claims)},
    now: mock.now,
  })
  return signed.bundleBytes
}

type Question = Parameters<typeof checkSigstoreBundle>[0]

function ask(mock: MockSigstore, bundleBytes: Buffer, more: Partial<Question> = {}) {
  const {trustedRoot, now} = mock
  const allowed = [tagSigner]
  const version = '1.4.2'
  const question = {bundleBytes, artifact: manifest, allowed, version, trustedRoot, now}
  return checkSigstoreBundle({...question, ...more})
}

/** The bundle with a change made to its JSON. */
function changed(bundle: Buffer, change: (json: BundleJson) => void): Buffer {
  const json = JSON.parse(bundle.toString('utf8')) as BundleJson
  change(json)
  return Buffer.from(JSON.stringify(json))
}

test('the listed workflow on the tag of the version is allowed', async ({mock, bundle}) => {
  const identity = await ask(mock, bundle)
  assert.is(identity.allowedBy, tagSigner)
  const other = {...tagSigner, repoId: '7'}
  assert.is((await ask(mock, bundle, {allowed: [other, tagSigner]})).allowedBy, tagSigner)
})

const strangers: Record<string, [Claims, ErrorCode]> = {
  'a suffix after the listed ref': [
    {san: `${workflow}@refs/heads/main-evil`},
    'identity_not_allowed',
  ],
  'a part of the listed name': [{san: `${workflow}@refs/heads/mai`}, 'identity_not_allowed'],
  'the listed name with its dots replaced': [
    {san: `${workflow}@refs/heads/main`.replaceAll('.', 'x')},
    'identity_not_allowed',
  ],
  'the listed name inside of another': [
    {san: `https://evil.test/?x=${workflow}@refs/heads/main`},
    'identity_not_allowed',
  ],
  'other letter case': [{san: `${workflow}@refs/heads/Main`}, 'identity_not_allowed'],
  'an empty name': [{san: ' '}, 'sigstore_certificate_invalid'],
  'another issuer': [{iss: 'https://token.evil.test'}, 'identity_issuer_mismatch'],
  'an issuer with a slash more': [{iss: `${releaseClaims.iss}/`}, 'identity_issuer_mismatch'],
  'another repository of the same name': [
    {repository_id: '654321'},
    'identity_repository_mismatch',
  ],
  'no repository id': [{repository_id: undefined}, 'identity_repository_mismatch'],
  'another trigger': [{event_name: 'pull_request_target'}, 'identity_trigger_mismatch'],
  'no trigger': [{event_name: undefined}, 'identity_trigger_mismatch'],
  'another runner': [{runner_environment: 'self-hosted'}, 'identity_runner_mismatch'],
}
for (const [name, [claims, code]] of Object.entries(strangers)) {
  test(`refused as a signer: ${name}`, async ({mock}) => {
    const main = {...releaseClaims, san: mainSigner.san}
    await ask(mock, await signAs(mock, main), {allowed: [mainSigner]})
    const signing = signAs(mock, {...main, ...claims})
    await rejectsCode(async () => ask(mock, await signing, {allowed: [mainSigner]}), code)
  })
}

test('the ref of another version is refused by its own code', async ({mock, bundle}) => {
  const error = await rejectsCode(
    () => ask(mock, bundle, {version: '99.0.0'}),
    'identity_version_mismatch',
  )
  assert.equal(error.details, {
    field: 'san',
    seen: `${workflow}@refs/tags/v1.4.2`,
    wanted: `${workflow}@refs/tags/v99.0.0`,
  })
  for (const version of ['1.4.20', '1.4', '1.4.2-rc.1', '1.4.2+build', '$&', ''])
    await rejectsCode(() => ask(mock, bundle, {version}), 'identity_version_mismatch')
})

test('a version cannot bring a pattern into the name', async ({mock}) => {
  const star = await signAs(mock, {...releaseClaims, san: `${workflow}@refs/tags/v.*`})
  await rejectsCode(() => ask(mock, star, {version: '1.4.2'}), 'identity_not_allowed')
  await rejectsCode(() => ask(mock, star, {version: '.'}), 'identity_not_allowed')
})

test('of several entries the closest one words the refusal', async ({mock, bundle}) => {
  const allowed = [
    {...tagSigner, issuer: 'https://example.org'},
    {...tagSigner, trigger: ['release', 'schedule']},
    mainSigner,
  ]
  const error = await rejectsCode(() => ask(mock, bundle, {allowed}), 'identity_trigger_mismatch')
  assert.equal(error.details, {field: 'trigger', seen: 'push', wanted: 'release or schedule'})
})

test('an empty policy allows nobody, whatever the bundle is', async ({mock}) => {
  await rejectsCode(
    () => ask(mock, Buffer.from('no bundle'), {allowed: []}),
    'identity_policy_empty',
  )
})

test('a signature from outside of the period of an entry is refused', async ({mock, bundle}) => {
  const {now} = mock
  await ask(mock, bundle, {allowed: [{...tagSigner, notBefore: now, notAfter: now}]})
  for (const period of [{notBefore: now + 1}, {notBefore: 0, notAfter: now - 1}])
    await rejectsCode(
      () => ask(mock, bundle, {allowed: [{...tagSigner, ...period}]}),
      'identity_out_of_period',
    )
})

const hostile: Record<string, [(json: BundleJson) => void, ErrorCode]> = {
  'no log entry': [
    (json) => json.verificationMaterial.tlogEntries.splice(0),
    'sigstore_tlog_missing',
  ],
  'a log time moved by 7 seconds': [
    (json) => {
      const entry = entryOf(json)
      entry.integratedTime = String(Number(entry.integratedTime) + 7)
    },
    'sigstore_tlog_invalid',
  ],
  'a log time after the certificate has expired': [
    (json) => {
      const entry = entryOf(json)
      entry.integratedTime = String(Number(entry.integratedTime) + 3600)
    },
    'sigstore_certificate_invalid',
  ],
  'a log time that is no number': [
    (json) => {
      entryOf(json).integratedTime = 'soon'
    },
    'sigstore_certificate_invalid',
  ],
  'no promise of the log, which is the only proof of the time': [
    (json) => delete entryOf(json).inclusionPromise,
    'sigstore_timestamp_invalid',
  ],
  'a checkpoint with another root': [
    (json) => {
      const {checkpoint} = entryOf(json).inclusionProof
      checkpoint.envelope = checkpoint.envelope.replace('\n1\n', '\n2\n')
    },
    'sigstore_tlog_invalid',
  ],
  'a log entry about other bytes': [
    (json) => {
      const entry = entryOf(json)
      const body = Buffer.from(entry.canonicalizedBody, 'base64').toString('utf8')
      const other = body.replace(sha256Hex(manifest), sha256Hex('other'))
      entry.canonicalizedBody = Buffer.from(other).toString('base64')
    },
    'sigstore_tlog_invalid',
  ],
  'the same log entry twice': [
    (json) => json.verificationMaterial.tlogEntries.push(entryOf(json)),
    'sigstore_timestamp_invalid',
  ],
  'nine log entries': [
    (json) => {
      const entry = entryOf(json)
      json.verificationMaterial.tlogEntries = Array.from({length: 9}, () => entry)
    },
    'sigstore_bundle_malformed',
  ],
  'a digest of other bytes': [
    (json) => {
      json.messageSignature.messageDigest.digest = Buffer.alloc(32).toString('base64')
    },
    'sigstore_digest_mismatch',
  ],
  'a digest by a weaker hash': [
    (json) => {
      json.messageSignature.messageDigest.algorithm = 'HASH_ALGORITHM_UNSPECIFIED'
    },
    'sigstore_bundle_malformed',
  ],
  'a signature with a bit flipped': [
    (json) => {
      const bytes = Buffer.from(json.messageSignature.signature, 'base64')
      bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20)
      json.messageSignature.signature = bytes.toString('base64')
    },
    'sigstore_tlog_invalid',
  ],
  'a certificate with a bit flipped': [
    (json) => {
      const certificate = json.verificationMaterial.certificate ?? {rawBytes: ''}
      const bytes = Buffer.from(certificate.rawBytes, 'base64')
      const at = bytes.indexOf('acme/app')
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      certificate.rawBytes = bytes.toString('base64')
    },
    'sigstore_certificate_invalid',
  ],
  'a certificate that is none': [
    (json) => {
      json.verificationMaterial.certificate = {rawBytes: 'AAAA'}
    },
    'sigstore_bundle_malformed',
  ],
  'a bare key instead of a certificate': [
    (json) => {
      delete json.verificationMaterial.certificate
      json.verificationMaterial.publicKey = {hint: 'mine'}
    },
    'sigstore_bundle_malformed',
  ],
  'a bare key beside the certificate': [
    (json) => {
      json.verificationMaterial.publicKey = {hint: 'mine'}
    },
    'sigstore_bundle_malformed',
  ],
  'a chain beside the certificate': [
    (json) => {
      json.verificationMaterial.x509CertificateChain = {certificates: []}
    },
    'sigstore_bundle_malformed',
  ],
  'an envelope beside the signature': [
    (json) => {
      json.dsseEnvelope = {payload: '', payloadType: '', signatures: []}
    },
    'sigstore_bundle_malformed',
  ],
  'a timestamp that is none': [
    (json) => {
      json.verificationMaterial.timestampVerificationData.rfc3161Timestamps = [
        {signedTimestamp: 'MAA='},
      ]
    },
    'sigstore_bundle_malformed',
  ],
  'a media type of tomorrow': [
    (json) => {
      json.mediaType = 'application/vnd.dev.sigstore.bundle.v0.9+json'
    },
    'sigstore_bundle_malformed',
  ],
}
for (const [name, [change, code]] of Object.entries(hostile)) {
  test(`refused in a bundle: ${name}`, async ({mock, bundle}) => {
    await rejectsCode(() => ask(mock, changed(bundle, change)), code)
  })
}

function entryOf(json: BundleJson): BundleJson['verificationMaterial']['tlogEntries'][number] {
  const [entry] = json.verificationMaterial.tlogEntries
  if (entry === undefined) throw new Error('the bundle has no log entry')
  return entry
}

test('a logged entry that names another certificate is refused', async ({mock, bundle}) => {
  const relogged = async (json: BundleJson) => {
    const {canonicalizedBody} = entryOf(json)
    return changedEntry(json, await log(mock, JSON.parse(utf8(canonicalizedBody))))
  }
  const own = JSON.parse(bundle.toString('utf8')) as BundleJson
  await ask(mock, await relogged(own))

  const theirs = JSON.parse((await signAs(mock, releaseClaims)).toString('utf8')) as BundleJson
  const body = JSON.parse(utf8(entryOf(own).canonicalizedBody))
  const other = JSON.parse(utf8(entryOf(theirs).canonicalizedBody))
  body.spec.signature.publicKey = other.spec.signature.publicKey
  const hidden = changedEntry(own, await log(mock, body))
  await rejectsCode(() => ask(mock, hidden), 'sigstore_tlog_invalid')
})

function utf8(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8')
}

type Logged = {
  body: string
  integratedTime: number
  logIndex: number
  verification: {
    signedEntryTimestamp: string
    inclusionProof: {checkpoint: string; logIndex: number; treeSize: number; rootHash: string}
  }
}

/** Enters a body in the mock's log, which checks nothing of it. */
async function log(mock: MockSigstore, body: object): Promise<Logged> {
  const answer = await fetch(`${mock.url}/api/v1/log/entries`, {
    method: 'POST',
    body: JSON.stringify(body),
  })
  const [entry] = Object.values((await answer.json()) as Record<string, Logged>)
  if (entry === undefined) throw new Error('the log has made no entry')
  return entry
}

/** The bundle with another log entry in the place of its own. */
function changedEntry(json: BundleJson, logged: Logged): Buffer {
  const {signedEntryTimestamp, inclusionProof} = logged.verification
  const {checkpoint, logIndex, treeSize, rootHash} = inclusionProof
  const entry = {
    ...entryOf(json),
    logIndex: String(logged.logIndex),
    integratedTime: String(logged.integratedTime),
    inclusionPromise: {signedEntryTimestamp},
    inclusionProof: {
      logIndex: String(logIndex),
      treeSize: String(treeSize),
      rootHash: Buffer.from(rootHash, 'hex').toString('base64'),
      hashes: [],
      checkpoint: {envelope: checkpoint},
    },
    canonicalizedBody: logged.body,
  }
  const {verificationMaterial} = json
  const changed = {...verificationMaterial, tlogEntries: [entry]}
  return Buffer.from(JSON.stringify({...json, verificationMaterial: changed}))
}

test('an entry of a kind that rel does not read is refused', async ({bundle}) => {
  const entry = entryOf(JSON.parse(bundle.toString('utf8')) as BundleJson)
  const canonicalizedBody = Buffer.from(entry.canonicalizedBody, 'base64')
  const kindVersion = {kind: 'helm', version: '0.0.1'}
  throwsCode(
    () => checkLoggedCertificate({canonicalizedBody, kindVersion}, new Uint8Array()),
    'sigstore_tlog_invalid',
  )
})

test('every {version} of a name is filled in', async ({mock}) => {
  const san = `${workflow.replace('release', 'release-1.4.2')}@refs/tags/v1.4.2`
  const signed = await signAs(mock, {...releaseClaims, san})
  const template = san.replaceAll('1.4.2', '{version}')
  const allowed = [{...tagSigner, san: template}]
  await ask(mock, signed, {allowed})
  await rejectsCode(() => ask(mock, signed, {allowed, version: '1.4.3'}), 'identity_not_allowed')
})

const texts: Record<string, [(text: string) => string | Buffer, ErrorCode]> = {
  'cut short': [(text) => text.slice(0, -20), 'json_syntax'],
  empty: [() => '', 'json_syntax'],
  'with a field twice': [
    (text) => text.replace('{', '{"mediaType":"application/json",'),
    'json_duplicate_key',
  ],
  'with __proto__': [(text) => text.replace('{', '{"__proto__":{},'), 'json_forbidden_key'],
  'followed by another one': [(text) => text + text, 'json_trailing'],
  'over its size limit': [(text) => `${' '.repeat(2 * 1024 * 1024)}${text}`, 'json_too_large'],
  'an array': [(text) => `[${text}]`, 'sigstore_bundle_malformed'],
}
for (const [name, [change, code]] of Object.entries(texts)) {
  test(`refused as a file: a bundle ${name}`, async ({mock, bundle}) => {
    const bytes = Buffer.from(change(bundle.toString('utf8').trim()))
    await rejectsCode(() => ask(mock, bytes), code)
  })
}

test('tampered bytes and the bundle of another manifest are refused', async ({mock, bundle}) => {
  const artifact = Buffer.from(manifest)
  artifact.writeUInt8(artifact.readUInt8(3) ^ 1, 3)
  await rejectsCode(() => ask(mock, bundle, {artifact}), 'sigstore_digest_mismatch')
  const relabelled = changed(bundle, (json) => {
    json.messageSignature.messageDigest.digest = Buffer.from(sha256Hex(artifact), 'hex').toString(
      'base64',
    )
  })
  await rejectsCode(() => ask(mock, relabelled, {artifact}), 'sigstore_tlog_invalid')
})

test('a certificate that had expired when the log saw the signature is refused', async () => {
  const slow = await startMockSigstore({logDelaySecs: 20 * 60})
  try {
    await rejectsCode(() => signAs(slow, releaseClaims), 'sigstore_certificate_invalid')
    const inTime = await startMockSigstore({logDelaySecs: 5 * 60})
    await ask(inTime, await signAs(inTime, releaseClaims))
    await inTime.close()
  } finally {
    await slow.close()
  }
})

test('a bundle from the future is refused, one from five minutes ahead is not', async (context) => {
  const {mock, bundle} = context
  await ask(mock, bundle, {now: mock.now - 300})
  await rejectsCode(() => ask(mock, bundle, {now: mock.now - 301}), 'sigstore_timestamp_invalid')
})

test('a timestamp of a foreign authority is refused', async ({mock, bundle}) => {
  const other = await startMockSigstore()
  const theirs = JSON.parse(
    (await signAs(other, releaseClaims, other.url)).toString('utf8'),
  ) as BundleJson
  await other.close()
  const mixed = changed(bundle, (json) => {
    json.verificationMaterial.timestampVerificationData =
      theirs.verificationMaterial.timestampVerificationData
  })
  await rejectsCode(() => ask(mock, mixed), 'sigstore_timestamp_invalid')
})

test('a root without the key of the log or the start of an authority is of no use', async (context) => {
  const {mock, bundle} = context
  const other = await startMockSigstore()
  await other.close()
  const rootOf = (change: object) =>
    parseTrustedRoot(Buffer.from(JSON.stringify({...mock.rootJson, ...change})))
  const wrong: [object, ErrorCode][] = [
    [{tlogs: other.rootJson.tlogs}, 'sigstore_tlog_invalid'],
    [{ctlogs: other.rootJson.ctlogs}, 'sigstore_certificate_invalid'],
    [
      {certificateAuthorities: other.rootJson.certificateAuthorities},
      'sigstore_certificate_invalid',
    ],
  ]
  for (const [change, code] of wrong)
    await rejectsCode(() => ask(mock, bundle, {trustedRoot: rootOf(change)}), code)
  const [log] = mock.rootJson.tlogs
  const endless = {...log, publicKey: {...log?.publicKey, validFor: {}}}
  await rejectsCode(async () => rootOf({tlogs: [endless]}), 'trusted_root_invalid')
})

test('a statement is not taken for a signature over the manifest', async ({mock}) => {
  const statement = await mockDsse(mock, manifest)
  await rejectsCode(() => ask(mock, statement), 'sigstore_bundle_malformed')
})

test('the check of a verification policy limits identities to products', async (context) => {
  const {mock, bundle} = context
  const check = identityChecker({
    allowed: [{...tagSigner, products: ['app']}],
    trustedRoot: async () => mock.trustedRoot,
    now: mock.now,
  })
  const rel = (product: string) => ({version: '1.4.2', rel: {product}})
  const asked = {manifestBytes: manifest, sidecar: bundle}
  const [identity] = await check({...asked, manifest: rel('app')})
  assert.ok(identity?.startsWith(releaseClaims.san))
  for (const wrong of [rel('other'), {version: '1.4.2'}])
    await rejectsCode(() => check({...asked, manifest: wrong}), 'identity_policy_empty')
  const without = {manifestBytes: manifest, manifest: rel('app'), sidecar: undefined}
  await rejectsCode(() => check(without), 'sigstore_bundle_missing')
})

test.run()
