import semver from 'semver'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {
  Actor,
  NewRelease,
  PanelStore,
  StoredLicense,
  StoredToken,
} from '../../../src/panel/store/store.ts'
import type {ReleaseArtifact} from '../../../src/release/release.ts'
import {channelOf} from '../../../src/release/version.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {rejectsCode} from '../../support/rejects.ts'

/** A store under test, and a way past it. */
export type TestedStore = {
  readonly store: PanelStore
  /** Runs SQL behind the store's back; rejects with the database's own error. */
  raw(sql: string): Promise<void>
  /** The same data, opened once more beside the first. */
  openAnother(): Promise<PanelStore>
}

export const by: Actor = {id: 'local', requestId: 'req-1'}

/** A draft of edge-agent with one artifact whose bytes are `content`. */
export function draftOf(version: string, content = 'a', product = 'edge-agent'): NewRelease {
  const artifact: ReleaseArtifact = {
    name: 'agent-linux-arm64',
    component: 'agent',
    os: 'linux',
    arch: 'arm64',
    size: content.length,
    sha256: sha256Hex(content),
    signature: '',
    keyId: sha256Hex('key'),
    required: true,
  }
  const channel = channelOf(version)
  const digest = sha256Hex(`${product} ${version} ${content}`)
  return {product, version, channel, digest, envelope: `{"${content}"}`, artifacts: [artifact]}
}

/** Drafts and publishes; returns the sequence. */
export async function publishOne(store: PanelStore, draft: NewRelease): Promise<number> {
  await store.addProduct(draft.product, by)
  await store.addDraft(draft, by)
  const {release} = await store.publish(draft.product, draft.version, expected(draft), by)
  return release.sequence ?? -1
}

export function expected(
  draft: NewRelease,
  matrixVersion = 1,
): {digest: string; matrixVersion: number} {
  return {digest: draft.digest, matrixVersion}
}

const license: StoredLicense = {
  id: '01JD0000000000000000000000',
  product: 'edge-agent',
  customer: "O'Hara; drop table licenses",
  track: 'stable',
  entitlements: ['component:agent'],
  expires: 2_000_000_000,
  serial: 1,
  state: 'active',
  file: '-----BEGIN REL LICENSE-----',
  created: 1_700_000_000,
}

const statement = {licenseId: 'x', node: 'n1', version: '1.1.0', phase: 'check', time: 1}

/** How often each licence is told to have nodes that were set back: in the audit log, in reports. */
async function rolledBack(store: PanelStore): Promise<readonly unknown[]> {
  const rows = (await store.audit(0, 1000)).filter(({event}) => event === 'device.rolled_back')
  const counts = await store.reportCounts('edge-agent', 0)
  const told = counts.filter(({code}) => code === 'device_rolled_back')
  return [rows.map(({subject}) => subject), told.reduce((sum, {reports}) => sum + reports, 0)]
}

const token: StoredToken = {
  id: '01JD0000000000000000000001',
  name: 'CI',
  sha256: sha256Hex('relp_x'),
  verbs: ['publish'],
  products: ['edge-agent'],
  expires: 2_000_000_000,
  revoked: false,
  created: 1_700_000_000,
}

/** What every store promises; `open` gives an empty one, at time 1,800,000,000. */
export function storeConformance(label: string, open: () => Promise<TestedStore>): void {
  const cases: [string, (tested: TestedStore) => Promise<void>][] = []
  const check = (name: string, body: (tested: TestedStore) => Promise<void>): void => {
    cases.push([name, body])
  }
  productCases(check)
  releaseCases(check)
  orderCases(check)
  guardCases(check)
  logCases(check)
  otherCases(check)
  for (const [name, body] of cases) {
    test(`${label}: ${name}`, async () => {
      const tested = await open()
      try {
        await body(tested)
        assert.is((await tested.store.verifyAudit()).broken, undefined)
      } finally {
        await tested.store.close()
      }
    })
  }
}

type Check = (name: string, body: (tested: TestedStore) => Promise<void>) => void

function productCases(check: Check): void {
  check('a product is added once', async ({store}) => {
    const first = await store.addProduct('edge-agent', by)
    assert.equal(await store.addProduct('edge-agent', by), first)
    assert.equal(first.matrix, {version: 1, required: []})
    assert.equal(await store.products(), [first])
    assert.is(await store.product('other'), undefined)
    assert.is((await store.audit(0, 10)).length, 1)
  })

  check('the matrix counts its changes', async ({store}) => {
    await store.addProduct('edge-agent', by)
    const required = [{component: 'agent', os: 'linux', arch: 'arm64'}]
    const changed = await store.setProduct('edge-agent', {required}, by)
    assert.equal(changed.matrix, {version: 2, required})
    assert.equal(await store.setProduct('edge-agent', {required}, by), changed)
    assert.equal(await store.product('edge-agent'), changed)
    await rejectsCode(() => store.setProduct('other', {required}, by), 'product_unknown')
  })

  check('a floor only rises', async ({store}) => {
    await store.addProduct('edge-agent', by)
    await store.setProduct('edge-agent', {floor: '1.9.0'}, by)
    await rejectsCode(
      () => store.setProduct('edge-agent', {floor: '1.9.0-rc.1', anchor: 'x'}, by),
      'floor_lowered',
    )
    const product = await store.setProduct('edge-agent', {floor: '1.10.0'}, by)
    assert.is(product.floor, '1.10.0')
    assert.is(product.anchor, undefined)
    await rejectsCode(() => store.addDraft(draftOf('1.9.5'), by), 'version_below_floor')
    await store.addDraft(draftOf('1.10.0'), by)
  })

  check('a floor raised after the draft stops the publication', async ({store}) => {
    const [low, high] = [draftOf('1.0.0'), draftOf('2.0.0')]
    await publishOne(store, low)
    await publishOne(store, high)
    await store.addDraft(draftOf('1.5.0'), by)
    await store.setProduct('edge-agent', {floor: '1.6.0'}, by)
    const act = (): Promise<unknown> =>
      store.publish('edge-agent', '1.5.0', expected(draftOf('1.5.0')), by)
    await rejectsCode(act, 'version_below_floor')
    assert.is((await store.highest('edge-agent', ['stable']))?.version, '2.0.0')
    await store.setProduct('edge-agent', {floor: '2.0.1'}, by)
    assert.is(await store.highest('edge-agent', ['stable']), undefined)
  })
}

function releaseCases(check: Check): void {
  check('a draft becomes a release once', async ({store}) => {
    await store.addProduct('edge-agent', by)
    const draft = draftOf('1.4.2')
    const added = await store.addDraft(draft, by)
    assert.is(added.created, true)
    assert.is(added.release.state, 'draft')
    assert.equal(await store.addDraft(draft, by), {...added, created: false})
    const flipped = await store.publish('edge-agent', '1.4.2', expected(draft), by)
    assert.is(flipped.changed, true)
    assert.is(flipped.release.sequence, 1)
    assert.is(flipped.release.published, 1_800_000_000)
    const again = await store.publish('edge-agent', '1.4.2', expected(draft), by)
    assert.equal(again, {release: flipped.release, changed: false})
    assert.equal(await store.release('edge-agent', '1.4.2'), flipped.release)
    assert.equal(await store.addDraft(draft, by), {release: flipped.release, created: false})
    const events = (await store.audit(0, 10)).map((row) => row.event)
    assert.equal(events, ['product.added', 'release.drafted', 'release.published'])
  })

  check('other content is a conflict that says what differs', async ({store}) => {
    await store.addProduct('edge-agent', by)
    await store.addDraft(draftOf('1.4.2', 'a'), by)
    const before = await store.release('edge-agent', '1.4.2')
    const other = {...draftOf('1.4.2', 'bb'), channel: 'beta'} as const
    const refusal = await rejectsCode(() => store.addDraft(other, by), 'release_conflict')
    const fields = (refusal.details?.fields ?? []) as {field: string}[]
    assert.equal(
      fields.map(({field}) => field),
      [
        'channel',
        'digest',
        'artifacts.agent-linux-arm64.size',
        'artifacts.agent-linux-arm64.sha256',
      ],
    )
    const stale = expected(draftOf('1.4.2', 'bb'))
    await rejectsCode(() => store.publish('edge-agent', '1.4.2', stale, by), 'release_conflict')
    assert.equal(await store.release('edge-agent', '1.4.2'), before)
  })

  check('versions of equal precedence cannot both be', async ({store}) => {
    await publishOne(store, draftOf('1.4.2+a'))
    const refusal = await rejectsCode(
      () => store.addDraft(draftOf('1.4.2+b'), by),
      'release_conflict',
    )
    const [first] = (refusal.details?.fields ?? []) as {field: string}[]
    assert.is(first?.field, 'version')
  })

  check('a recalled number is burnt', async ({store}) => {
    const draft = draftOf('1.4.2')
    await publishOne(store, draft)
    const recall = {reason: 'bricks', replacement: '1.4.3'}
    const recalled = await store.recall('edge-agent', '1.4.2', recall, by)
    assert.is(recalled.state, 'recalled')
    assert.equal(recalled.recall, recall)
    assert.equal(await store.recall('edge-agent', '1.4.2', recall, by), recalled)
    assert.is((await store.logHead('edge-agent')).size, 2)
    await rejectsCode(() => store.addDraft(draft, by), 'version_burnt')
    await rejectsCode(() => store.addDraft(draftOf('1.4.2', 'b'), by), 'version_burnt')
    await rejectsCode(
      () => store.publish('edge-agent', '1.4.2', expected(draft), by),
      'release_recalled',
    )
    assert.is(await store.highest('edge-agent', ['stable']), undefined)
    const updated = await store.recall('edge-agent', '1.4.2', {reason: 'see advisory'}, by)
    assert.equal(updated.recall, {reason: 'see advisory'})
    assert.is((await store.logHead('edge-agent')).size, 2)
  })

  check('only drafts are dropped, only releases recalled', async ({store}) => {
    const draft = draftOf('1.4.2')
    await store.addProduct('edge-agent', by)
    await store.addDraft(draft, by)
    await rejectsCode(
      () => store.recall('edge-agent', '1.4.2', {reason: 'x'}, by),
      'release_not_published',
    )
    await store.dropDraft('edge-agent', '1.4.2', by)
    assert.is(await store.release('edge-agent', '1.4.2'), undefined)
    assert.is(await publishOne(store, draftOf('1.4.2', 'b')), 1)
    await rejectsCode(() => store.dropDraft('edge-agent', '1.4.2', by), 'release_immutable')
    await rejectsCode(() => store.dropDraft('edge-agent', '9.9.9', by), 'release_unknown')
    await rejectsCode(() => store.addDraft(draftOf('1.0.0', 'a', 'other'), by), 'product_unknown')
  })

  check('a publication is against the list of its moment', async ({store}) => {
    const draft = draftOf('1.4.2')
    await store.addProduct('edge-agent', by)
    await store.addDraft(draft, by)
    const required = [{component: 'agent', os: 'linux', arch: 'arm64'}]
    await store.setProduct('edge-agent', {required}, by)
    const act = (matrix: number) => () =>
      store.publish('edge-agent', '1.4.2', expected(draft, matrix), by)
    await rejectsCode(act(1), 'matrix_changed')
    assert.is((await store.release('edge-agent', '1.4.2'))?.state, 'draft')
    assert.is((await act(2)()).changed, true)
  })

  check('an old publisher that wakes up is fenced', async ({store}) => {
    await store.addProduct('edge-agent', by)
    const old = await store.lease('edge-agent', 60, by)
    const draft = draftOf('1.4.2')
    await store.addDraft(draft, by, old.fence)
    const young = await store.lease('edge-agent', 60, {id: 'other'})
    assert.is(young.fence, old.fence + 1)
    assert.is(young.expires, 1_800_000_060)
    const act = (fence: number) => () =>
      store.publish('edge-agent', '1.4.2', {...expected(draft), fence}, by)
    await rejectsCode(act(old.fence), 'publisher_fenced')
    await rejectsCode(act(young.fence + 1), 'publisher_fenced')
    await rejectsCode(() => store.addDraft(draftOf('1.4.3'), by, old.fence), 'publisher_fenced')
    assert.is(await store.release('edge-agent', '1.4.3'), undefined)
    assert.is((await act(young.fence)()).changed, true)
    assert.is((await act(old.fence)()).changed, false) // it is done: there is nothing to fence
  })

  check('two at once: one wins, sequences have no gap', async ({store, openAnother}) => {
    const other = await openAnother()
    try {
      await store.addProduct('edge-agent', by)
      for (let minor = 0; minor < 10; minor++) {
        const version = `1.${minor}.0`
        const results = await Promise.allSettled(
          [store, other].map((one, at) => one.addDraft(draftOf(version, `by ${at}`), by)),
        )
        assert.is(results.filter(({status}) => status === 'fulfilled').length, 1)
        const winner = results.findIndex(({status}) => status === 'fulfilled')
        const draft = draftOf(version, `by ${winner}`)
        const flips = await Promise.all(
          [store, other].map((one) => one.publish('edge-agent', version, expected(draft), by)),
        )
        assert.is(flips.filter(({changed}) => changed).length, 1)
        assert.equal(new Set(flips.map(({release}) => release.sequence)), new Set([minor + 1]))
      }
    } finally {
      await other.close()
    }
  })
}

const ordered = [
  '0.9.0',
  '1.0.0-beta.2',
  '1.0.0-beta.10',
  '1.0.0-rc.1',
  '1.0.0',
  '1.2.0',
  '1.10.0',
  '2.0.0-canary.1',
  '10.0.0',
]

function orderCases(check: Check): void {
  check('the order is that of SemVer, whatever the database thinks of words', async ({store}) => {
    await store.addProduct('edge-agent', by)
    const versions = [
      ...tricky.map((text) => `1.0.0-${text}`),
      ...['1.0.0', '9.0.0', '10.0.0', '1.0.99999999999', '0.0.0'],
    ]
    for (const version of versions)
      await store.addDraft({...draftOf('1.0.0'), version, digest: sha256Hex(version)}, by)
    const listed = await store.releases('edge-agent', {limit: 100})
    assert.equal(
      listed.map(({version}) => version),
      semver.rsort(versions),
    )
  })

  check('releases come in the order of SemVer, page by page', async ({store}) => {
    for (const version of [...ordered].sort()) await publishOne(store, draftOf(version))
    const seen: string[] = []
    for (let below: string | undefined; ; ) {
      const page = await store.releases('edge-agent', {
        limit: 4,
        ...(below === undefined ? {} : {below}),
      })
      seen.push(...page.map(({version}) => version))
      below = page.at(-1)?.sortKey
      if (page.length < 4) break
    }
    assert.equal(seen, [...ordered].reverse())
    assert.equal(seen, semver.rsort([...ordered]))
    assert.is((await store.highest('edge-agent', ['stable']))?.version, '10.0.0')
    assert.is((await store.highest('edge-agent', ['beta', 'rc']))?.version, '1.0.0-rc.1')
    assert.is(await store.highest('edge-agent', []), undefined)
    const canary = await store.releases('edge-agent', {channels: ['canary'], limit: 10})
    assert.equal(
      canary.map(({version}) => version),
      ['2.0.0-canary.1'],
    )
    await store.addDraft(draftOf('11.0.0'), by)
    assert.is((await store.highest('edge-agent', ['stable']))?.version, '10.0.0')
    const drafts = await store.releases('edge-agent', {states: ['draft'], limit: 10})
    assert.equal(
      drafts.map(({version}) => version),
      ['11.0.0'],
    )
  })
}

/** Pairs that a collation of words puts the wrong way round. */
const tricky = [
  ...['alpha', 'alpha-x', 'Alpha', 'alpha.1', 'alpha.x', 'ALPHA', 'alpha1', '-', '--', 'a-b', 'ab'],
  ...['0', '1', '9', '10', '1.0', '1.a', 'a.1', 'a.a', 'Z', 'a'],
]

const forbidden: readonly [string, string, string][] = [
  ['envelope', `update releases set envelope = 'x'`, 'release_immutable'],
  ['artifacts', `update releases set artifacts = '[]'`, 'release_immutable'],
  ['digest', `update releases set digest = 'x'`, 'release_immutable'],
  ['version', `update releases set version = '9.9.9'`, 'release_immutable'],
  ['sequence', 'update releases set sequence = sequence + 1', 'release_immutable'],
  ['time', 'update releases set published = 1', 'release_immutable'],
  [
    'back to draft',
    `update releases set state = 'draft', sequence = null, published = null, recall = null`,
    'release_immutable',
  ],
  ['delete', 'delete from releases', 'release_immutable'],
  [
    'born published',
    `insert into releases select product, '7.0.0', 'k', channel, digest, envelope, artifacts, state,
     sequence + 7, created, published, recall, sigstore from releases`,
    'release_immutable',
  ],
  ['Sigstore bundle added', `update releases set sigstore = 'x'`, 'release_immutable'],
  ['blob dropped', 'delete from release_blobs', 'release_immutable'],
  ['blob changed', `update release_blobs set sha256 = 'x'`, 'release_immutable'],
  [
    'blob added',
    `insert into release_blobs values ('edge-agent', '1.4.2', 'x')`,
    'release_immutable',
  ],
  ['leaf changed', `update log_leaves set text = 'x'`, 'log_append_only'],
  ['leaf dropped', 'delete from log_leaves', 'log_append_only'],
  ['leaf with a gap', `insert into log_leaves values ('edge-agent', 7, 'x')`, 'log_append_only'],
  ['audit changed', `update audit set actor = 'x'`, 'audit_append_only'],
  ['audit dropped', 'delete from audit', 'audit_append_only'],
  [
    'audit with a gap',
    `insert into audit values (99, 1, 'x', null, 'x', null, null, null, 'x', 'x')`,
    'audit_append_only',
  ],
  ['floor lowered', `update products set floor_key = '01'`, 'product_only_rises'],
  ['floor removed', 'update products set floor_key = null', 'product_only_rises'],
  ['fence lowered', 'update products set fence = fence - 1', 'product_only_rises'],
  ['product dropped', 'delete from products', 'product_permanent'],
]

function guardCases(check: Check): void {
  check('raw SQL cannot change what is permanent', async ({store, raw}) => {
    await store.addProduct('edge-agent', by)
    await store.lease('edge-agent', 1, by)
    await publishOne(store, draftOf('1.4.2'))
    await store.setProduct('edge-agent', {floor: '1.0.0'}, by)
    const facts = async (): Promise<unknown> => [
      await store.release('edge-agent', '1.4.2'),
      await store.product('edge-agent'),
      await store.log('edge-agent', 0, 10),
      await store.audit(0, 100),
    ]
    const before = await facts()
    for (const [name, sql, guard] of forbidden) {
      const error = await raw(sql).then(
        () => undefined,
        (thrown: Error) => thrown,
      )
      assert.ok(error?.message.includes(guard), `${name}: ${error?.message ?? 'passed'}`)
    }
    assert.equal(await facts(), before)
  })

  check('a recalled release stays recalled in raw SQL', async ({store, raw}) => {
    await publishOne(store, draftOf('1.4.2'))
    await store.recall('edge-agent', '1.4.2', {reason: 'x'}, by)
    const back = await raw(`update releases set state = 'published', recall = null`).catch(
      (error: Error) => error,
    )
    assert.ok(back instanceof Error && back.message.includes('release_immutable'))
  })
}

function logCases(check: Check): void {
  check('the log grows by one leaf a publication or recall', async ({store, openAnother}) => {
    const empty = await store.logHead('edge-agent')
    assert.equal(empty, {size: 0, root: sha256Hex('')})
    await publishOne(store, draftOf('1.0.0'))
    const one = await store.logHead('edge-agent')
    const [leaf] = await store.log('edge-agent', 0, 10)
    assert.equal(JSON.parse(leaf?.text ?? ''), {
      event: 'published',
      product: 'edge-agent',
      version: '1.0.0',
      digest: draftOf('1.0.0').digest,
      sequence: 1,
      time: 1_800_000_000,
    })
    assert.equal(one, {size: 1, root: sha256Hex(`\0${leaf?.text}`)})
    for (let patch = 1; patch < 9; patch++) await publishOne(store, draftOf(`1.0.${patch}`))
    await store.recall('edge-agent', '1.0.3', {reason: 'x'}, by)
    const leaves = await store.log('edge-agent', 0, 100)
    assert.equal(
      leaves.map(({index}) => index),
      [...Array(10).keys()],
    )
    assert.is((await store.log('edge-agent', 7, 2)).length, 2)
    const other = await openAnother()
    try {
      assert.equal(await other.logHead('edge-agent'), await store.logHead('edge-agent'))
    } finally {
      await other.close()
    }
  })

  check('the audit chain starts at one and links', async ({store}) => {
    await store.record({event: 'sign_in.refused', details: {why: 'expired', count: 3}}, by)
    await store.record({event: 'sign_in', subject: 'x'}, {id: 'local'})
    const [first, second] = await store.audit(0, 10)
    assert.is(first?.index, 1)
    assert.equal(first?.details, {why: 'expired', count: 3})
    assert.is(first?.requestId, 'req-1')
    assert.is(second?.previous, first?.hash)
    assert.equal(await store.audit(1, 10), [second])
    assert.equal(await store.verifyAudit(), {rows: 2, head: second?.hash})
  })
}

function otherCases(check: Check): void {
  check('licences change and raise the epoch', async ({store, openAnother}) => {
    const epoch = await store.licenseEpoch()
    assert.equal(await store.addLicense(license, by), license)
    assert.equal(await store.addLicense(license, by), license)
    assert.equal(await store.license(license.id), license)
    assert.is(await store.licenseEpoch(), epoch + 1)
    await rejectsCode(() => store.addLicense({...license, file: 'other'}, by), 'license_exists')
    await store.setLicense(license.id, {state: 'frozen', reason: 'unpaid'}, by)
    await store.setLicense(license.id, {state: 'active', serial: 2, expires: 2_100_000_000}, by)
    await rejectsCode(() => store.setLicense(license.id, {serial: 1}, by), 'license_stale')
    await store.setLicense(license.id, {state: 'revoked'}, by)
    await rejectsCode(() => store.setLicense(license.id, {state: 'active'}, by), 'license_revoked')
    await rejectsCode(() => store.setLicense('nobody', {}, by), 'license_unknown')
    const other = await openAnother()
    try {
      assert.is(await other.licenseEpoch(), epoch + 4)
      assert.is((await other.license(license.id))?.state, 'revoked')
    } finally {
      await other.close()
    }
  })

  check('licences come in pages', async ({store}) => {
    const ids = ['A', 'C', 'B', 'a', 'D'].map((end) => license.id.slice(0, 25) + end)
    for (const id of ids) await store.addLicense({...license, id}, by)
    const all = (await store.licenses('edge-agent')).map(({id}) => id)
    assert.equal(all, [...ids].sort())
    const rest = await store.licenses('edge-agent', all[1], 2)
    assert.equal(
      rest.map(({id}) => id),
      all.slice(2, 4),
    )
    assert.equal(await store.licenses('other'), [])
  })

  check('tokens are found by digest and revoked', async ({store}) => {
    await store.addToken(token, by)
    assert.equal(await store.token(token.sha256), token)
    assert.is(await store.token(sha256Hex('other')), undefined)
    await rejectsCode(() => store.addToken({...token, id: 'other'}, by), 'token_conflict')
    const {products: _, ...everywhere} = {...token, id: 'z', sha256: sha256Hex('z')}
    await store.addToken(everywhere, by)
    await store.revokeToken(token.id, by)
    await store.revokeToken(token.id, by)
    assert.equal(await store.tokens(), [{...token, revoked: true}, everywhere])
    await rejectsCode(() => store.revokeToken('nobody', by), 'token_unknown')
    const events = (await store.audit(0, 10)).map((row) => row.event)
    assert.equal(events, ['token.added', 'token.added', 'token.revoked'])
  })

  check('blobs live while a release or an upload names them', async ({store}) => {
    await publishOne(store, draftOf('1.0.0', 'kept'))
    await store.addDraft(draftOf('1.1.0', 'dropped'), by)
    const sha256 = sha256Hex('uploaded')
    const upload = {id: 'u1', sha256, size: 8, owner: 'local', created: 1, expires: 2}
    await store.addUpload(upload)
    assert.equal(await store.upload('u1'), upload)
    const live = async (): Promise<string[]> => {
      const digests: string[] = []
      for await (const digest of store.liveBlobs()) digests.push(digest)
      return digests
    }
    assert.equal(await live(), ['kept', 'dropped', 'uploaded'].map(sha256Hex).sort())
    const kept = sha256Hex('kept')
    assert.is(await store.namesBlob(kept, ['other', 'edge-agent']), true)
    assert.is(await store.namesBlob(kept, ['other']), false)
    assert.is(await store.namesBlob(kept, []), false)
    assert.is(await store.namesBlob(sha256, ['edge-agent']), false)
    for (const limit of [
      {count: 1, bytes: 99},
      {count: 9, bytes: 15},
    ])
      await rejectsCode(() => store.addUpload({...upload, id: 'u2'}, limit), 'upload_quota')
    await store.addUpload({...upload, id: 'u2'}, {count: 2, bytes: 16})
    await store.removeUpload('u2')
    let removed = 0
    const remove = async (): Promise<void> => {
      removed++
    }
    assert.is(await store.unlessLive(sha256, remove), false)
    await store.removeUpload('u1')
    await store.removeUpload('u1')
    await store.dropDraft('edge-agent', '1.1.0', by)
    assert.equal(await live(), [sha256Hex('kept')])
    assert.is(await store.unlessLive(sha256Hex('kept'), remove), false)
    assert.is(await store.unlessLive(sha256Hex('dropped'), remove), true)
    assert.is(removed, 1)
  })

  check('a setting is claimed once, whoever asks', async ({store, openAnother}) => {
    const other = await openAnother()
    try {
      const claims = ['a', 'b', 'c', 'd'].map((value, at) =>
        (at % 2 === 0 ? store : other).claimSetting('key/license', value),
      )
      const values = new Set(await Promise.all(claims))
      assert.is(values.size, 1)
      assert.ok(values.has((await store.setting('key/license')) ?? ''))
    } finally {
      await other.close()
    }
  })

  check('an identity is exchanged once, and never for a rule that was removed', async (tested) => {
    const {store, openAnother} = tested
    const rule = {
      id: 'p1',
      product: 'edge-agent',
      issuer: 'https://issuer.example',
      repositoryId: '1',
      ownerId: '2',
      workflow: '.github/workflows/release.yml',
      refs: ['refs/tags/v*'],
      verbs: ['publish'],
      removed: false,
      created: 5,
    } as const
    await rejectsCode(() => store.addPublisher(rule, by), 'product_unknown')
    await store.addProduct('edge-agent', by)
    await store.addPublisher(rule, by)
    assert.equal(await store.publishers(), [rule])
    const other = await openAnother()
    try {
      const base = {verbs: ['publish'], revoked: false, created: 5, publisher: 'p1'} as const
      const results = await Promise.allSettled(
        ['t1', 't2', 't3', 't4'].map((id, at) => {
          const token = {...base, id, name: id, sha256: sha256Hex(id), expires: 2 ** 40}
          const to = at % 2 === 0 ? store : other
          return to.addExchanged({id: 'seen', expires: 2 ** 40}, token, {run_id: id})
        }),
      )
      assert.is(results.filter(({status}) => status === 'fulfilled').length, 1)
      const [token, ...more] = await store.tokens()
      assert.equal([more, token?.publisher, token?.revoked], [[], 'p1', false])
      await other.removePublisher('p1', by)
      await other.removePublisher('p1', by)
      assert.is((await store.tokens())[0]?.revoked, true)
      const late = {...base, id: 't5', name: 't5', sha256: sha256Hex('t5'), expires: 2 ** 40}
      const seen = {id: 'seen later', expires: 2 ** 40}
      await rejectsCode(() => store.addExchanged(seen, late, {}), 'oidc_publisher_unknown')
    } finally {
      await other.close()
    }
  })

  check('the latest time of all instances never falls', async ({store, openAnother}) => {
    const other = await openAnother()
    try {
      assert.is(await store.latestTime(100), 100)
      assert.is(await other.latestTime(50), 100)
      assert.is(await other.latestTime(101), 101)
      assert.is(await store.latestTime(100), 101)
    } finally {
      await other.close()
    }
  })

  check(
    'the tables of the first version are brought up to date, with what is in them',
    async (tested) => {
      const {store, raw, openAnother} = tested
      const token = {
        id: 't',
        name: 'ci',
        sha256: sha256Hex('t'),
        verbs: ['publish'],
        expires: 9,
      } as const
      await store.addToken({...token, revoked: false, created: 1}, by)
      await publishOne(store, draftOf('1.4.2'))
      const guard = 'drop trigger releases_sigstore'
      await raw(guard).catch(() => raw(`${guard} on releases`))
      for (const sql of [
        'alter table releases drop column sigstore',
        'drop table publishers',
        'drop table identities_seen',
        'alter table tokens drop column publisher',
        'drop index reports_once',
        'alter table reports drop column once',
        'drop table nodes',
        "delete from counters where name = 'clock'",
        "update settings set value = '1' where name = 'schema'",
      ])
        await raw(sql)
      const again = await openAnother()
      try {
        assert.equal(await again.tokens(), [{...token, revoked: false, created: 1}])
        assert.equal([await again.publishers(), await again.latestTime(7)], [[], 7])
        assert.is((await again.release('edge-agent', '1.4.2'))?.state, 'published')
        await again.noteNode({...statement, seq: 3})
      } finally {
        await again.close()
      }
    },
  )

  check('settings and reports', async ({store}) => {
    assert.is(await store.setting('panel'), undefined)
    await store.setSetting('panel', 'a')
    await store.setSetting('panel', 'b')
    assert.is(await store.setting('panel'), 'b')
    const told = {licenseId: 'x', code: 'ok', version: '1.0.0', phase: 'boot'}
    for (let at = 0; at < 200; at++) await store.addReport({...told, time: 1 + at})
    await rejectsCode(() => store.addReport({...told, time: 300}), 'rate_limited')
    await store.addReport({...told, licenseId: 'y', time: 300})
    await store.addReport({...told, time: 86_401})
    await store.addReport({...told, time: 40 * 86_400})
    await store.checkWritable()
  })

  check('a Sigstore bundle comes with a draft, never after it', async ({store}) => {
    await store.addProduct('edge-agent', by)
    const draft = draftOf('1.4.2')
    await store.addDraft(draft, by)
    const {digest} = draft
    const give = (sigstore: string, of = digest) =>
      store.setSigstore('edge-agent', '1.4.2', {sigstore, digest: of}, by)
    const kept = async () => (await store.release('edge-agent', '1.4.2'))?.sigstore
    await rejectsCode(() => give('a', sha256Hex('another')), 'release_conflict')
    assert.is(await kept(), undefined)
    await give('a')
    assert.is((await give('b')).sigstore, 'b')
    await publishOne(store, draft)
    assert.is(await kept(), 'b')
    await give('b')
    await rejectsCode(() => give('a'), 'release_immutable')
    assert.is(await kept(), 'b')
    await rejectsCode(
      () => store.setSigstore('edge-agent', '9.9.9', {sigstore: 'a', digest}, by),
      'release_unknown',
    )
  })

  check('a report that is sent again is kept once', async ({store}) => {
    await store.addProduct('edge-agent', by)
    for (const id of ['x', 'y']) await store.addLicense({...license, id}, by)
    const told = {licenseId: 'x', code: 'ok', version: '1.0.0', phase: 'boot', time: 1}
    const counted = async () =>
      (await store.reportCounts('edge-agent', 0)).map(({reports}) => reports)
    await Promise.all([1, 2, 3].map(() => store.addReport({...told, once: 'a'})))
    await store.addReport({...told, once: 'a', time: 9})
    assert.equal(await counted(), [1])
    await store.addReport({...told, once: 'A'})
    await store.addReport({...told, licenseId: 'y', once: 'a'})
    await store.addReport(told)
    await store.addReport(told)
    assert.equal(await counted(), [5], 'another key, another licence, and two without a key')
    for (let at = 0; at < 196; at++) await store.addReport(told)
    await rejectsCode(() => store.addReport({...told, once: 'b'}), 'rate_limited')
    await store.addReport({...told, once: 'a'})
    assert.equal(await counted(), [201], 'what is kept is taken though the day is full')
  })

  check('a node that states a lower number than before is told, once', async ({store}) => {
    await store.addProduct('edge-agent', by)
    for (const id of ['x', 'y']) await store.addLicense({...license, id}, by)
    for (const seq of [0, 3, 3, 7]) await store.noteNode({...statement, seq})
    for (const node of ['n2', 'N1', 'n1 ']) await store.noteNode({...statement, node, seq: 1})
    await store.noteNode({...statement, licenseId: 'y', seq: 1})
    assert.equal(await rolledBack(store), [[], 0], 'rising, other names, another licence')

    const lower = {...statement, seq: 4, version: '1.0.0'}
    await Promise.all([1, 2, 3].map(() => store.noteNode(lower)))
    assert.equal(await rolledBack(store), [['x'], 1])
    const row = (await store.audit(0, 100)).at(-1)
    const {product, actor, details} = row ?? {}
    assert.equal([product, actor], ['edge-agent', 'x'])
    const before = {seq_before: 7, version_before: '1.1.0'}
    assert.equal(details, {node: 'n1', seq: 4, version: '1.0.0', ...before})
    const [count] = await store.reportCounts('edge-agent', 0)
    assert.equal([count?.version, count?.phase], ['1.0.0', 'check'])

    for (const seq of [5, 8]) await store.noteNode({...statement, seq})
    assert.equal(await rolledBack(store), [['x'], 1], 'it goes on from there')
    await store.noteNode({...lower, time: 86_400})
    assert.equal(await rolledBack(store), [['x'], 1], 'once a day')
    await store.noteNode({...lower, time: 86_401})
    assert.equal(await rolledBack(store), [['x', 'x'], 2])
    for (const seq of [8, 4]) await store.noteNode({...statement, seq, time: 0})
    assert.equal(await rolledBack(store), [['x', 'x', 'x'], 3], 'also when the clock was set back')
    assert.is((await store.verifyAudit()).broken, undefined)
  })

  check('a report says it too, and sent again it says nothing new', async ({store}) => {
    await store.addProduct('edge-agent', by)
    await store.addLicense({...license, id: 'x'}, by)
    const report = {...statement, code: 'ok'}
    await store.addReport({...report, seq: 7, once: 'a'})
    await store.addReport({...report, seq: 2, once: 'a'})
    assert.equal(await rolledBack(store), [[], 0], 'the same report')
    for (const _ of [1, 2]) await store.addReport({...report, seq: 2, once: 'b'})
    assert.equal(await rolledBack(store), [['x'], 1])
    await store.addReport({...report, seq: 7, once: 'a', time: 90_000})
    await store.addReport({...report, seq: 2, once: 'b', time: 90_000})
    assert.equal(await rolledBack(store), [['x'], 1])
    const reports = (await store.reportCounts('edge-agent', 0)).map((it) => [it.code, it.reports])
    assert.equal(
      reports,
      [
        ['ok', 2],
        ['device_rolled_back', 1],
      ],
      'the reports are kept as usual',
    )
  })

  check(
    'a licence that has reported enough for a day tells nothing more of its nodes',
    async (tested) => {
      const {store} = tested
      await store.addProduct('edge-agent', by)
      await store.addLicense({...license, id: 'x'}, by)
      await store.noteNode({...statement, seq: 7})
      for (let at = 0; at < 200; at++)
        await store.addReport({...statement, node: 'n2', code: 'ok', seq: at})
      await store.noteNode({...statement, seq: 2})
      assert.equal(await rolledBack(store), [[], 0])
      await store.noteNode({...statement, seq: 2, time: 90_000})
      assert.equal(await rolledBack(store), [['x'], 1], 'the next day it is told')
    },
  )

  check('no more than 10,000 nodes of a licence are followed', async ({store, raw}) => {
    const values = Array.from({length: 9999}, (_, at) => `('x', 'm${at}', 5, '1.0.0')`)
    await raw(`insert into nodes (license_id, node, seq, version) values ${values.join()}`)
    await store.addProduct('edge-agent', by)
    await store.addLicense({...license, id: 'x'}, by)
    for (const node of ['last', 'too many']) {
      for (const seq of [9, 8]) await store.noteNode({...statement, node, seq})
      assert.equal(await rolledBack(store), [['x'], 1], node)
    }
  })
}
