import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseLock} from '../../src/bump/lock-file.ts'
import {pullRequestBody} from '../../src/bump/pull-request.ts'
import {abortBump, resumeBump, startBump} from '../../src/bump/run-bump.ts'
import {gateRunner} from '../../src/bump/run-gate.ts'
import {signOffBy, waiveBy} from '../../src/bump/sign-off.ts'
import {signStatement} from '../../src/bump/signed-statement.ts'
import type {StepContext} from '../../src/bump/step-context.ts'
import {auditItems} from '../../src/bump/survey.ts'
import type {ErrorCode} from '../../src/system/codes.ts'
import {RelError} from '../../src/system/error.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import type {JsonObject} from '../../src/system/json.ts'
import {keyListTrust} from '../../src/trust/trust-source.ts'
import {testSigner} from '../support/anchors.ts'
import {personalState, type SampleRepository, sampleRepository} from '../support/bump/repository.ts'
import {NOW, request, sampleFiles, sampleIn, traefikPlaybook} from '../support/bump/sample.ts'
import {rejectsCode} from '../support/rejects.ts'

const DAY = 24 * 3600
const BRANCH = 'bump/traefik-v3.3.5'
const playbook = traefikPlaybook.replace(
  'gates:\n',
  'gates:\n  - {uses: hardware_evidence, about: boot_loader}\n',
)
const ada = testSigner('ada')
const mallory = testSigner('mallory')
const trust = keyListTrust(new Map([['ada', ada.publicKey]]), 1)

/** A repository whose playbook asks for hardware, and a world in which ada signs. */
async function stage(repository: SampleRepository, change: Partial<StepContext['world']> = {}) {
  const now = change.now ?? NOW
  const world = {
    runGate: gateRunner({path: process.env.PATH ?? '', trust}),
    signOff: signOffBy(ada, trust, now),
    signWaiver: waiveBy(ada, trust, now),
    ...change,
  }
  return sampleIn(repository, world, playbook)
}

function fresh(): SampleRepository {
  return sampleRepository({...sampleFiles, 'playbooks/traefik.yaml': playbook})
}

const waived = (reason = 'no board here') =>
  request('v3.3.5', {waivers: {hardware_evidence: reason}})

async function auditAt(
  repository: SampleRepository,
  now: number,
  whom: () => Promise<typeof trust> = async () => trust,
) {
  const {context, upstream} = await stage(repository)
  const [row] = await auditItems(context.world.git, [context.playbook], async () => upstream, {
    now,
    trust: whom,
  })
  return {
    verdict: row?.verdict,
    codes: row?.drifts.map(({code}) => code),
    problem: row?.problem?.code,
  }
}

function merge(repository: SampleRepository): void {
  repository.git('merge', '-q', '--ff-only', BRANCH)
}

const nobody = async (): Promise<typeof trust> => {
  throw new RelError('input_required', 'nobody was named')
}

test('a waiver is signed, kept in the lock, told in the pull request, and stands for 90 days', async () => {
  const repository = fresh()
  const {context, forge} = await stage(repository)
  await rejectsCode(() => startBump(request(), context), 'gate_needs_evidence')
  await startBump(waived(), context)
  const body = pullRequestBody(forge.open.get(BRANCH)?.evidence as never)
  assert.match(body, /^- Waived: `hardware_evidence` by `ada` until 2025-09-13: no board here$/m)
  assert.match(body, 'boot loader of the board was not executed')
  const [waiver] =
    parseLock(repository.git('show', `${BRANCH}:rel.lock.json`)).get('traefik')?.waivers ?? []
  assert.equal(waiver?.waiver, {
    ...{item: 'traefik', version: 'v3.3.5', gate: 'hardware_evidence', reason: 'no board here'},
    ...{issued_at: NOW, expires_at: NOW + 90 * DAY},
  })
  merge(repository)
  const unchanged = {verdict: 'unchanged', codes: [], problem: undefined}
  assert.equal(await auditAt(repository, NOW + 90 * DAY - 1), unchanged)
  const expired = {verdict: 'drifted', codes: ['waiver_expired'], problem: undefined}
  assert.equal(await auditAt(repository, NOW + 90 * DAY), expired)
  assert.equal(await auditAt(repository, NOW + 90 * DAY, nobody), expired, 'whoever is trusted')
  const unknown = {verdict: 'unknown', codes: [], problem: 'input_required'}
  assert.equal(await auditAt(repository, NOW, nobody), unknown)
})

test('an expired waiver makes room for evidence or another waiver, without a new version', async () => {
  const repository = fresh()
  await startBump(waived(), (await stage(repository)).context)
  merge(repository)
  const later = NOW + 100 * DAY
  const {context} = await stage(repository, {now: later})
  const again = {...waived('the board is on its way'), assignments: {NEW: 'v3.3.5'}}
  const lock = {...again, options: {...again.options, lockOnly: true}}
  await startBump(lock, context)
  merge(repository)
  assert.equal((await auditAt(repository, later)).verdict, 'unchanged')
  const hardwareEvidence = await evidence({})
  const proved = await stage(repository, {now: later, hardwareEvidence})
  const plain = request('v3.3.5', {lockOnly: true})
  await startBump(plain, proved.context)
  merge(repository)
  const entry = parseLock(repository.read('rel.lock.json')).get('traefik')
  assert.equal([entry?.waivers, entry?.hardwareEvidence], [undefined, hardwareEvidence])
  assert.equal((await auditAt(repository, later + 1000 * DAY)).verdict, 'unchanged')
  await rejectsCode(() => startBump(plain, proved.context), 'version_same')
})

/** What traefik v3.3.5 is in the sample's upstream. */
const NAME = 'traefik_v3.3.5_linux_amd64.tar.gz'
const SHA256 = sha256Hex('binary of v3.3.5\n')

async function evidence(change: object, signer = ada): Promise<JsonObject> {
  const statement = {
    ...{item: 'traefik', version: 'v3.3.5', about: 'boot_loader', board: 'Pi 4 B Rev 1.5'},
    files: [{name: NAME, sha256: SHA256}],
    ...{log_sha256: 'a'.repeat(64), tested_at: NOW - DAY},
    ...change,
  }
  return signStatement('evidence', statement, signer)
}

test('evidence of a run on hardware passes, is named in the report, and is checked by audits', async () => {
  const repository = fresh()
  const {context, forge} = await stage(repository, {hardwareEvidence: await evidence({})})
  const state = await startBump(request(), context)
  const [gate] = state.gates
  assert.equal(
    [gate?.gate, gate?.verdict, gate?.summary],
    ['hardware_evidence', 'passed', 'ada ran it on Pi 4 B Rev 1.5 on 2025-06-14'],
  )
  assert.match(
    pullRequestBody(forge.open.get(BRANCH)?.evidence as never),
    /ada ran it on Pi 4 B Rev 1/,
  )
  merge(repository)
  assert.equal((await auditAt(repository, NOW + 1000 * DAY)).verdict, 'unchanged')
  assert.equal((await auditAt(repository, NOW, nobody)).problem, 'input_required')
  const lock = JSON.parse(repository.read('rel.lock.json'))
  delete lock.items.traefik.hardware_evidence
  repository.write('rel.lock.json', JSON.stringify(lock))
  repository.commit('test: nobody ran it')
  assert.equal((await auditAt(repository, NOW)).codes, ['gate_needs_evidence'])
  repository.git('push', '-q', 'origin', 'develop')
  const given = await evidence({board: 'Pi 400'})
  const again = await stage(repository, {hardwareEvidence: given})
  await startBump(request('v3.3.5', {lockOnly: true}), again.context)
  merge(repository)
  assert.is((await auditAt(repository, NOW)).verdict, 'unchanged')
})

const other = {name: NAME, sha256: 'b'.repeat(64)}
const wrongEvidence: readonly (readonly [string, () => Promise<JsonObject>, ErrorCode])[] = [
  ['another item', () => evidence({item: 'k3s'}), 'evidence_mismatch'],
  ['another version', () => evidence({version: 'v3.3.4'}), 'evidence_mismatch'],
  ['another part', () => evidence({about: 'gpu_firmware'}), 'evidence_mismatch'],
  ['another file', () => evidence({files: [other]}), 'evidence_mismatch'],
  ['an unknown file', () => evidence({files: [{...other, name: 'x'}]}), 'evidence_mismatch'],
  ['a time to come', () => evidence({tested_at: NOW + DAY}), 'evidence_mismatch'],
  ['no file', () => evidence({files: []}), 'evidence_invalid'],
  ['no board', () => evidence({board: ''}), 'evidence_invalid'],
  ['escapes in the board', () => evidence({board: '\x1b[2J'}), 'evidence_invalid'],
  ['one word too many', () => evidence({passed: true}), 'evidence_invalid'],
  ['no envelope', async () => ({board: 'Pi'}), 'evidence_invalid'],
  ['somebody else’s signature', () => evidence({}, mallory), 'key_unknown'],
  ['no signature', async () => ({...(await evidence({})), signatures: []}), 'signature_missing'],
  [
    'a board that was changed after signing',
    async () => {
      const signed = await evidence({})
      return {...signed, evidence: {...(signed.evidence as JsonObject), board: 'Pi 5'}}
    },
    'signature_invalid',
  ],
  [
    'a signature for a waiver',
    async () => {
      const {evidence: said} = await evidence({})
      const {signatures = []} = await signStatement('waiver', said as JsonObject, ada)
      return {evidence: said ?? {}, signatures}
    },
    'signature_invalid',
  ],
]
for (const [name, make, code] of wrongEvidence)
  test(`evidence does not count: ${name}`, async () => {
    const repository = fresh()
    const before = personalState(repository)
    const {context} = await stage(repository, {hardwareEvidence: await make()})
    await rejectsCode(() => startBump(request(), context), code)
    assert.equal(personalState(repository), before)
  })

/** A waiver in the lock of a merged bump, changed by hand. */
async function auditWith(change: (envelope: JsonObject) => Promise<JsonObject>, now = NOW) {
  const repository = fresh()
  await startBump(waived(), (await stage(repository)).context)
  merge(repository)
  const lock = JSON.parse(repository.read('rel.lock.json'))
  const entry = lock.items.traefik as {waivers: JsonObject[]}
  entry.waivers = await Promise.all(entry.waivers.map(change))
  repository.write('rel.lock.json', JSON.stringify(lock))
  repository.commit('test: a waiver that nobody signed')
  return auditAt(repository, now)
}
const statementOf = ({waiver}: JsonObject) => waiver as JsonObject
const signedAgain =
  (change: object, signer = ada) =>
  (envelope: JsonObject) =>
    signStatement('waiver', {...statementOf(envelope), ...change}, signer)
const edited = (change: object) => async (envelope: JsonObject) => ({
  ...envelope,
  waiver: {...statementOf(envelope), ...change},
})

const wrongWaivers: readonly (readonly [
  string,
  (envelope: JsonObject) => Promise<JsonObject>,
  ErrorCode,
])[] = [
  [
    'an end that was moved',
    edited({issued_at: NOW - 1, expires_at: NOW + DAY}),
    'signature_invalid',
  ],
  ['a reason that was changed', edited({reason: 'tested'}), 'signature_invalid'],
  ['somebody else’s signature', signedAgain({}, mallory), 'key_unknown'],
  ['more than 90 days', signedAgain({expires_at: NOW + 91 * DAY}), 'waiver_invalid'],
  ['an end before its beginning', signedAgain({expires_at: NOW - DAY}), 'waiver_invalid'],
  [
    'a beginning in the future',
    signedAgain({issued_at: NOW + DAY, expires_at: NOW + 2 * DAY}),
    'waiver_invalid',
  ],
  ['another item', signedAgain({item: 'k3s'}), 'waiver_mismatch'],
  ['another version', signedAgain({version: 'v3.3.4'}), 'waiver_mismatch'],
  ['another gate', signedAgain({gate: 'boot_smoke virt'}), 'gate_needs_evidence'],
  ['no envelope', async () => ({reason: 'x'}), 'waiver_invalid'],
]
for (const [name, change, code] of wrongWaivers)
  test(`a waiver in the lock does not count: ${name}`, async () => {
    const {verdict, codes} = await auditWith(change)
    assert.equal([verdict, codes], ['drifted', [code]])
  })

test('a waiver without a signer, for no gate, or beside evidence is refused', async () => {
  const repository = fresh()
  const before = personalState(repository)
  const refused = async (
    code: ErrorCode,
    wish: ReturnType<typeof request>,
    change: Partial<StepContext['world']> = {},
  ) => {
    const {context} = await stage(repository, change)
    await rejectsCode(() => startBump(wish, context), code)
    assert.equal(personalState(repository), before)
  }
  await refused('sign_off_refused', waived(), {signWaiver: waiveBy(mallory, trust, NOW)})
  const hardwareEvidence = await evidence({})
  await refused('usage_invalid', waived(), {hardwareEvidence})
  const none = request('v3.3.5', {waivers: {'prints its version': 'it does not'}})
  await refused('waiver_unused', none, {hardwareEvidence})
})

test('a pin that a replay moved is drift, whatever was signed in it', async () => {
  const repository = fresh()
  const signed: JsonObject[] = []
  const sign = signOffBy(ada, trust, NOW)
  const {context} = await stage(repository, {
    isReplay: true,
    signOff: (statement) => {
      signed.push(statement)
      return sign(statement)
    },
  })
  const {commit = ''} = await startBump(waived(), context)
  assert.match(repository.git('log', '-1', '--format=%B', commit), /^Rel-Replay: /m)
  assert.equal(
    signed.map(({replay}) => replay),
    [true],
  )
  repository.git('merge', '--quiet', '--ff-only', BRANCH)
  const audited = await auditAt(repository, NOW)
  assert.equal([audited.verdict, audited.codes], ['drifted', ['bump_replayed']])
})

test('a replay leaves the commit of the real bump where it is', async () => {
  const repository = fresh()
  const {context} = await stage(repository)
  const {commit} = await startBump(waived(), context)
  const again = await stage(repository, {isReplay: true})
  assert.is((await startBump(waived(), again.context)).commit, commit)
  assert.is(repository.git('rev-parse', BRANCH), commit)
})

test('a bump that was interrupted for too long does not go on with its waiver', async () => {
  const repository = fresh()
  repository.git('remote', 'set-url', 'origin', join(repository.root, 'nowhere'))
  const {context} = await stage(repository)
  await rejectsCode(() => startBump(waived(), context), 'push_failed')
  const late = {...context, world: {...context.world, now: NOW + 90 * DAY}}
  await rejectsCode(() => resumeBump('traefik', late), 'waiver_expired')
  const inTime = {...context, world: {...context.world, now: NOW + 90 * DAY - 1}}
  await rejectsCode(() => resumeBump('traefik', inTime), 'push_failed')
  await abortBump('traefik', context.world.git)
  assert.is(repository.git('branch', '--list', BRANCH), '')
})

test.run()
