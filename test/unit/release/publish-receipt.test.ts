import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {planPublish} from '../../../src/release/publish/plan.ts'
import {
  checkReceipt,
  parseReceipt,
  receiptOf,
  receiptText,
} from '../../../src/release/publish/receipt.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import type {JsonObject} from '../../../src/system/json.ts'
import {canonicalJson} from '../../../src/trust/canonical-json.ts'
import {addSignature} from '../../../src/trust/envelope.ts'
import {testAnchor, testNow, testSigner} from '../../support/anchors.ts'
import {makeRelease, panelSigners, type TestRelease} from '../../support/panel.ts'
import {throwsCode} from '../../support/rejects.ts'

const {manifest, artifact, root} = panelSigners

const anchor = testAnchor(
  {role: 'root', keys: [root]},
  {role: 'manifest', keys: [manifest]},
  {role: 'artifact', keys: [artifact]},
)

function receiptFor({file}: TestRelease): JsonObject {
  const assets = file.release.artifacts.map(({name, size, sha256}) => ({
    ...{name, size, sha256},
    kind: 'artifact' as const,
    path: name,
  }))
  const plan = planPublish({file, assets, panel: {url: 'https://panel.example'}})
  return receiptOf(
    plan,
    {panel: {state: 'published', digest: file.digest, sequence: 7, missing: []}},
    {probes: []},
  )
}

test('a receipt is signed, read and compared with its release', async () => {
  const release = await makeRelease({version: '1.4.2'})
  const receipt = receiptFor(release)
  const text = await receiptText(receipt, testSigner(manifest))
  assert.is(await receiptText(receipt, testSigner(manifest)), text, 'the same again')
  const file = parseReceipt(Buffer.from(text))
  assert.equal(JSON.parse(JSON.stringify(file.receipt)), receipt)
  assert.equal(checkReceipt(file, anchor, testNow, release.file), {
    signedBy: [testSigner(manifest).publicKey.keyId],
  })
})

test('one that nobody signed, or somebody else, counts for nothing', async () => {
  const release = await makeRelease({version: '1.4.2'})
  const receipt = receiptFor(release)
  const check = async (text: string, code: ErrorCode, trust = anchor, now = testNow) =>
    throwsCode(() => checkReceipt(parseReceipt(Buffer.from(text)), trust, now), code)
  await check(await receiptText(receipt), 'signature_missing')
  await check(await receiptText(receipt, testSigner('thief')), 'key_unknown')
  // the key of another role, and a signature that means something else
  await check(await receiptText(receipt, testSigner(artifact)), 'key_not_for_role')
  const meant = await addSignature('manifest', canonicalJson(receipt), [], testSigner(manifest))
  await check(JSON.stringify({receipt, signatures: meant}), 'signature_invalid')
  const signed = JSON.parse(await receiptText(receipt, testSigner(manifest))) as {
    receipt: JsonObject
  }
  const changed = {...signed, receipt: {...receipt, targets: {}}}
  await check(JSON.stringify(changed), 'signature_invalid')
  const limited = testAnchor(
    {role: 'root', keys: [root]},
    {role: 'manifest', keys: [manifest], products: ['other']},
  )
  await check(JSON.stringify(signed), 'key_not_for_product', limited)
})

test('a receipt of another release is told', async () => {
  const release = await makeRelease({version: '1.4.2'})
  const text = await receiptText(receiptFor(release), testSigner(manifest))
  const file = parseReceipt(Buffer.from(text))
  const other = await makeRelease({version: '1.4.2', seed: 'other'})
  throwsCode(() => checkReceipt(file, anchor, testNow, other.file), 'receipt_mismatch')
  const forged = {...receiptFor(release), assets: []}
  const empty = parseReceipt(Buffer.from(await receiptText(forged, testSigner(manifest))))
  throwsCode(() => checkReceipt(empty, anchor, testNow, release.file), 'receipt_mismatch')
})

test('what is no receipt is refused before it is believed', async () => {
  const receipt = receiptFor(await makeRelease({version: '1.4.2'}))
  const cases: readonly (readonly [string, unknown, ErrorCode])[] = [
    ['a list', [], 'receipt_malformed'],
    ['no envelope', receipt, 'receipt_malformed'],
    ['more beside it', {receipt, signatures: [], more: 1}, 'receipt_malformed'],
    ['an unknown field', {receipt: {...receipt, more: 1}, signatures: []}, 'receipt_malformed'],
    ['another kind', {receipt: {...receipt, kind: 'x'}, signatures: []}, 'receipt_malformed'],
    ['another spec', {receipt: {...receipt, spec: 2}, signatures: []}, 'receipt_malformed'],
    [
      'a product that is a path',
      {receipt: {...receipt, product: '../x'}, signatures: []},
      'receipt_malformed',
    ],
    ['no version', {receipt: {...receipt, version: 'x'}, signatures: []}, 'version_invalid'],
    [
      'an unknown target',
      {receipt: {...receipt, targets: {ftp: {}}}, signatures: []},
      'receipt_malformed',
    ],
    [
      'a path as a file',
      {
        receipt: {
          ...receipt,
          assets: [{name: 'a/b', sha256: 'a'.repeat(64), size: 1, on_panel: true}],
        },
        signatures: [],
      },
      'receipt_malformed',
    ],
    ['no signatures', {receipt}, 'signature_malformed'],
  ]
  for (const [name, json, code] of cases) {
    const refusal = throwsCode(() => parseReceipt(Buffer.from(JSON.stringify(json))), code)
    assert.ok(refusal, name)
  }
  throwsCode(() => parseReceipt(Buffer.from('{"receipt":1,"receipt":2}')), 'json_duplicate_key')
})

test.run()
