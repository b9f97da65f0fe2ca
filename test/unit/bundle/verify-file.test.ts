import {createHash} from 'node:crypto'
import {readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {applyFileSign, planFileSign} from '../../../src/bundle/sign-file.ts'
import {verifyFile} from '../../../src/bundle/verify-file.ts'
import type {VerifyPolicy} from '../../../src/bundle/verify-policy.ts'
import {canonicalJson} from '../../../src/trust/canonical-json.ts'
import type {PublicKey} from '../../../src/trust/ed25519.ts'
import {makeMinisig} from '../../../src/trust/minisign.ts'
import {toBeSigned} from '../../../src/trust/payload-type.ts'
import type {Signer} from '../../../src/trust/signer.ts'
import {NOW, policyOf, testSigner} from '../../support/bundles.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const good = testSigner(1)
const evil = testSigner(2)
const policy = policyOf([good.publicKey])

const label = {timestamp: NOW, version: '1.0.0', product: 'agent'}

function fileOf(content: string | Uint8Array, name = 'agent.bin'): string {
  const path = join(temporaryFolder(), name)
  writeFileSync(path, content)
  return path
}

async function signed(path: string, signer: Signer = good, more = {}): Promise<void> {
  await applyFileSign(await planFileSign({path, label: {...label, ...more}, sshsig: true}), signer)
}

/** A minisig with any comment, as another tool could write it. */
async function minisigOf(path: string, trustedComment: string): Promise<void> {
  const blake2b512 = createHash('blake2b512').update(readFileSync(path)).digest()
  writeFileSync(`${path}.minisig`, await makeMinisig(good, {blake2b512, trustedComment}))
}

test('each of the three forms is enough, and says what it signs', async () => {
  const path = fileOf('the agent')
  await signed(path)
  for (const form of ['minisig', 'sshsig', 'sig'] as const) {
    const verdict = await verifyFile(path, policy)
    assert.is(verdict.form, form)
    assert.equal(verdict.signedBy, [good.publicKey.keyId])
    assert.is(verdict.label.version, form === 'minisig' ? '1.0.0' : undefined)
    rmSync(`${path}.${form}`)
  }
})

test('a signature beside a file of another name is refused', async () => {
  const path = fileOf('the agent')
  await signed(path)
  const other = join(path, '..', 'other.bin')
  for (const form of ['', '.minisig']) renameSync(path + form, other + form)
  await rejectsCode(() => verifyFile(other, policy), 'file_name_mismatch')
})

test('a signed timestamp that is no number is refused', async () => {
  const path = fileOf('the agent')
  await minisigOf(path, 'timestamp:soon\tfile:agent.bin')
  await rejectsCode(() => verifyFile(path, policy), 'signature_malformed')
})

/** Two keys of one role: `good` for the product agent, `evil` for every other. */
const limited: VerifyPolicy = {
  ...policy,
  trust: {
    ...policy.trust,
    keysFor: ({product}) => {
      const keys: PublicKey[] = [product === 'agent' ? good.publicKey : evil.publicKey]
      return {keys, threshold: 1}
    },
  },
}

test('the signed label, not the question, decides which keys may have signed', async () => {
  const path = fileOf('the agent')
  await signed(path, evil)
  rmSync(`${path}.sshsig`)
  await rejectsCode(() => verifyFile(path, limited), 'signature_invalid')
  await signed(path, good)
  assert.equal((await verifyFile(path, limited)).signedBy, [good.publicKey.keyId])
  await signed(path, evil, {product: 'tool'})
  assert.equal((await verifyFile(path, limited)).signedBy, [evil.publicKey.keyId])
})

/** Everything that one key signs besides files, and disguises of it. */
async function otherMessages(): Promise<Readonly<Record<string, Uint8Array>>> {
  const manifest = {bundle_name: 'agent-v1.0.0', version: '1.0.0', timestamp: 1, files: {}}
  const path = fileOf('the agent')
  await signed(path)
  const lines = readFileSync(`${path}.minisig`, 'utf8').split('\n')
  const first = Buffer.from(lines[1] ?? '', 'base64').subarray(10)
  const python = JSON.stringify(manifest).replaceAll(':', ': ').replaceAll(',', ', ')
  return {
    'what rel signs of a manifest': toBeSigned('manifest', canonicalJson(manifest)),
    'the canonical manifest of D2': Buffer.from(canonicalJson(manifest)),
    'a manifest after 70 spaces': Buffer.from(' '.repeat(70) + python),
    'a manifest after a byte order mark': Buffer.from(`\ufeff${python}`),
    'a BLAKE2b digest': createHash('blake2b512').update('x').digest(),
    'a signature with another comment': Buffer.concat([first, Buffer.from('version:99.0.0')]),
  }
}

test('no bare signature is made over what means something else, nor believed', async () => {
  for (const [name, bytes] of Object.entries(await otherMessages())) {
    const path = fileOf(bytes)
    const plan = () => planFileSign({path, label, sshsig: false})
    assert.ok(await rejectsCode(plan, 'cross_protocol'), name)
    writeFileSync(`${path}.sig`, Buffer.from(await good.sign(bytes)).toString('base64'))
    assert.ok(await rejectsCode(() => verifyFile(path, policy), 'cross_protocol'), name)
  }
})

test('files that only resemble those are signed', async () => {
  const innocent = [
    '{"name": "a package"}',
    'DSSE is a format',
    'x'.repeat(63),
    `${'x'.repeat(63)}\none more line`,
    Buffer.concat([Buffer.alloc(64, 0xff), Buffer.from('text')]),
    Buffer.concat([Buffer.alloc(64, 1), Buffer.from('two\nlines')]),
    '',
  ]
  for (const content of innocent) {
    const path = fileOf(content)
    await signed(path)
    await verifyFile(path, policy)
  }
})

test('a file that changes between its digest and its bytes is not signed', async () => {
  const path = fileOf('one')
  const plan = await planFileSign({path, label, sshsig: false})
  writeFileSync(path, 'two')
  await rejectsCode(() => applyFileSign(plan, good), 'tree_changed')
})

test.run()
