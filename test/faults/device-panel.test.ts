import {createHash} from 'node:crypto'
import {existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../src/device/apply.ts'
import type {Device} from '../../src/device/device.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {openSource} from '../../src/device/open-source.ts'
import {runLoop} from '../../src/device/poll.ts'
import {repair} from '../../src/device/repair.ts'
import type {Answer} from '../../src/device/source.ts'
import {stage} from '../../src/device/stage.ts'
import {look, stageOffer, turn} from '../../src/device/update.ts'
import {MerkleTree} from '../../src/panel/store/merkle.ts'
import {parseLicense} from '../../src/release/license-file.ts'
import type {ErrorCode} from '../../src/system/codes.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {testNow} from '../support/anchors.ts'
import {
  type FreshnessTerms,
  hostilePanel,
  manifestBodyOf,
  type Script,
  sendBody,
  sendJson,
  sendRange,
  sendStatus,
} from '../support/device/hostile-panel.ts'
import {plain} from '../support/device/node.ts'
import {
  atTime,
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelNode,
} from '../support/device/panel-node.ts'
import type {TestRelease} from '../support/panel.ts'
import {rejectsCode} from '../support/rejects.ts'

/** A release of one bundle; both say the same. */
async function releaseOf(version: string, seed = ''): Promise<TestRelease> {
  const filler = createHash('shake256', {outputLength: 20_000})
    .update(`${version} ${seed}`)
    .digest()
  return bundleRelease(version, await packedBundle({version, filler}))
}

const [older, good, newer, beta, canary] = (await Promise.all(
  ['0.9.0', '1.1.0', '1.2.0', '1.3.0-beta.1', '0.9.0-canary.1'].map((version) =>
    releaseOf(version),
  ),
)) as [TestRelease, TestRelease, TestRelease, TestRelease, TestRelease]
const [anchor, license] = [await nodeAnchor(), await licenseText()]

type Terms = {
  readonly protocol?: 'd0' | 'd2'
  readonly license?: string | undefined
  readonly upgrade?: object
}

async function against(
  release: TestRelease,
  script: Script,
  work: (
    node: Device & {events: readonly {event: string}[]},
    server: Awaited<ReturnType<typeof hostilePanel>>,
  ) => Promise<void>,
  terms: Terms = {},
): Promise<void> {
  const server = await hostilePanel(release, script)
  try {
    const node = await panelNode({url: server.url, anchor, license, ...terms})
    await work(node, server)
  } finally {
    await server.close()
  }
}

async function find(node: Device): Promise<Answer> {
  return (await look(node, await openSource(node), {isRetry: false})).answer
}

/** What a refused answer must not have changed. */
function snapshot({root}: Device): string {
  const names = ['state.json', 'state.json.1', 'floor.json', 'clock.json', 'seen.json']
  return names
    .map((name) => join(root, '.rel', name))
    .map((path) => (existsSync(path) ? sha256Hex(readFileSync(path)) : 'none'))
    .join(' ')
}

test('an honest answer is taken, and what is not signed is not looked at', async () => {
  await against(good, {}, async (node, server) => {
    const {offer, staleSince} = await find(node)
    assert.equal([offer?.version, offer?.channel, staleSince], ['1.1.0', 'stable', undefined])
    if (offer !== undefined) await stageOffer(node, offer, plain)
    assert.equal(
      server.seen.map(({path}) => path.split('?')[0]),
      ['/update/manifest.json', '/download/app/1.1.0/app_1.1.0_linux_amd64.tar.gz'],
    )
    assert.equal(readdirSync(join(node.root, '.rel/downloads')), [])
  })
})

/** Changes what is between quotes in a text, without signing it again. */
function edited(release: TestRelease, from: string, to: string): Script {
  return {
    manifest: (request, response) => {
      void manifestBodyOf(release).then((body) =>
        sendBody(request, response, body.replaceAll(from, to)),
      )
    },
  }
}

function fresh(terms: FreshnessTerms, release = good): Script {
  return {
    manifest: (request, response) => {
      void manifestBodyOf(release, terms).then((body) => sendBody(request, response, body))
    },
  }
}

function text(body: string): Script {
  return {manifest: (request, response) => sendBody(request, response, body)}
}

const otherProduct = await bundleRelease('1.1.0', await packedBundle({version: '1.1.0'}), {
  product: 'other',
})
const expired = await bundleRelease('1.1.0', await packedBundle({version: '1.1.0'}), {
  expires: testNow - 1,
})
const future = await bundleRelease('1.1.0', await packedBundle({version: '1.1.0'}), {
  timestamp: testNow + 3600,
})
const honest = await manifestBodyOf(good)

const lies: readonly [string, Script, ErrorCode][] = [
  ['relabelled as a higher version', edited(good, '1.1.0', '9.9.9'), 'upgrade_signature_invalid'],
  ['relabelled as another channel', edited(beta, '"beta"', '"stable"'), 'upgrade_source_invalid'],
  [
    'another digest of the artifact',
    edited(good, sha256Hex([...good.bytes.values()][0] ?? ''), '0'.repeat(64)),
    'upgrade_signature_invalid',
  ],
  ['of another product', fresh({product: 'other'}, otherProduct), 'upgrade_source_invalid'],
  ['expired', fresh({}, expired), 'upgrade_source_invalid'],
  ['from the future', fresh({}, future), 'upgrade_clock_untrusted'],
  [
    'mixed: the statement is on another release',
    fresh({digest: newer.file.digest}),
    'upgrade_source_invalid',
  ],
  ['the statement is on another product', fresh({product: 'other'}), 'upgrade_source_invalid'],
  // genuine statements of a panel that is fresh, relayed by somebody who has no key: a node that
  // believed them would be kept back, and would never be stale
  [
    'the statement is for the other track, whose newest is older than what runs',
    fresh({track: 'prerelease', channels: ['rc', 'beta', 'stable']}, older),
    'upgrade_source_invalid',
  ],
  [
    'the statement is for a node that may not go further',
    fresh({current: '0.9.0'}, older),
    'upgrade_source_invalid',
  ],
  [
    'the statement did not look at the channel that the node takes',
    fresh({channels: ['canary']}, canary),
    'upgrade_source_invalid',
  ],
  [
    'the statement is signed by nobody who may',
    fresh({signer: 'license'}),
    'upgrade_source_invalid',
  ],
  [
    'the statement is from the future',
    fresh({issued: testNow + 86_400}),
    'upgrade_clock_untrusted',
  ],
  [
    'the statement is good for as good as ever',
    fresh({expires: testNow + 100 * 86_400}),
    'upgrade_source_invalid',
  ],
  [
    'the statement ends before it begins',
    fresh({issued: testNow, expires: testNow - 1}),
    'upgrade_source_invalid',
  ],
  ['no statement', text(honest.replace(/,"freshness":.*\}\n$/s, '}')), 'upgrade_source_invalid'],
  ['no envelope', text('{"release":{"version":"9.9.9"}}'), 'upgrade_source_invalid'],
  ['a list', text('[]'), 'upgrade_source_invalid'],
  ['null', text('null'), 'upgrade_source_invalid'],
  ['a page', text('<html>ok</html>'), 'upgrade_source_invalid'],
  ['nothing', text(''), 'upgrade_source_invalid'],
  [
    'twice the same key',
    text(honest.replace('{"release"', '{"envelope":{},"release"')),
    'upgrade_source_invalid',
  ],
  ['nested without end', text('['.repeat(100_000)), 'upgrade_source_invalid'],
  ['204', {manifest: (_request, response) => sendStatus(response, 204)}, 'upgrade_source_invalid'],
  [
    '304 though nobody has anything',
    {manifest: (_request, response) => sendStatus(response, 304)},
    'upgrade_source_invalid',
  ],
  [
    '500',
    {manifest: (_request, response) => sendStatus(response, 500)},
    'upgrade_source_unreachable',
  ],
  [
    'a redirect to a file',
    {
      manifest: (_request, response) =>
        sendStatus(response, 302, undefined, {location: 'file:///etc/passwd'}),
    },
    'upgrade_source_invalid',
  ],
  [
    'frozen',
    {manifest: (_request, response) => sendStatus(response, 403, 'license_frozen')},
    'upgrade_license_frozen',
  ],
  [
    'revoked',
    {manifest: (_request, response) => sendStatus(response, 403, 'license_revoked')},
    'upgrade_license_frozen',
  ],
  [
    'unknown',
    {manifest: (_request, response) => sendStatus(response, 401, 'license_unknown')},
    'upgrade_license_invalid',
  ],
  [
    'more than a manifest can be',
    {
      manifest: (_request, response) => {
        response.writeHead(200, {'content-length': 10 ** 9})
        response.write('{')
      },
    },
    'upgrade_source_invalid',
  ],
  [
    'a gzip bomb',
    {
      manifest: (_request, response) => {
        response.writeHead(200, {'content-encoding': 'gzip'})
        response.end(Buffer.from('1f8b0800000000000003', 'hex'))
      },
    },
    'upgrade_source_invalid',
  ],
]

for (const [name, script, code] of lies)
  test(`a manifest is refused and nothing of it kept: ${name}`, async () => {
    await against(good, script, async (node) => {
      const before = snapshot(node)
      await rejectsCode(() => find(node), code)
      assert.is(snapshot(node), before)
    })
  })

test('an older or equal release is no offer, however fresh the panel calls it', async () => {
  for (const release of [older, await releaseOf('1.0.0')])
    await against(release, {}, async (node) => {
      assert.is((await find(node)).offer, undefined)
    })
})

test('bytes of another signed bundle, under the digest of the right one, are refused', async () => {
  const [bytes = Buffer.alloc(0)] = older.bytes.values()
  const [right = Buffer.alloc(0)] = good.bytes.values()
  const same = Buffer.alloc(right.length)
  bytes.copy(same)
  const script: Script = {download: (request, response) => sendRange(request, response, same)}
  await against(good, script, async (node) => {
    const {offer} = await find(node)
    assert.ok(offer)
    if (offer) await rejectsCode(() => stageOffer(node, offer, plain), 'upgrade_checksum_mismatch')
  })
})

test('a release that holds a bundle of another version is refused, and not fetched at each poll', async () => {
  const mixed = await bundleRelease('1.1.0', await packedBundle({version: '1.0.9'}))
  await against(mixed, {}, async (node, server) => {
    const source = await openSource(node)
    const {offer} = await find(node)
    assert.ok(offer)
    if (offer) await rejectsCode(() => stageOffer(node, offer, plain), 'version_mismatch')
    const found = await look(node, source, {isRetry: false})
    assert.equal(
      found.closed.map(({code}) => code),
      ['upgrade_blocked'],
    )
    assert.equal((await look(node, source, {isRetry: true})).closed, [])
    const tomorrow = atTime(node, testNow + 86_401)
    assert.equal((await look(tomorrow, source, {isRetry: false})).closed, [])
    assert.is(server.seen.filter(({path}) => path.startsWith('/download')).length, 1)
  })
})

test('another version than an operator named is not taken for it', async () => {
  for (const version of ['1.2.0', '1.1.1']) {
    const script: Script = {
      bundle: (request, response) => sendBody(request, response, good.text),
    }
    await against(good, script, async (node, server) => {
      const before = snapshot(node)
      const source = await openSource(node)
      const question = {isRetry: false, version}
      const refusal = await rejectsCode(
        () => look(node, source, question),
        'upgrade_source_invalid',
      )
      assert.is(refusal.details?.cause_code, 'version_mismatch')
      assert.is(snapshot(node), before)
      assert.equal(
        server.seen.map(({path}) => path),
        [`/bundles/${version}.manifest.json`],
      )
    })
  }
})

/** A panel with a log of so many leaves; the first `changed` of them are other ones. */
function withLog(size: number, changed = 0): Script {
  const texts = Array.from({length: size}, (_, at) => `${at < changed ? 'another ' : ''}leaf ${at}`)
  const tree = new MerkleTree()
  for (const leaf of texts) tree.append(leaf)
  return {
    ...fresh({log: {size, root: tree.root()}}),
    log: (request, response) => {
      const {pathname, searchParams} = new URL(request.url ?? '', 'http://localhost')
      const [first, second] = [
        Number(searchParams.get('first')),
        Number(searchParams.get('second')),
      ]
      if (!pathname.endsWith('/log/consistency') || first > second || second > size)
        return sendStatus(response, 404)
      sendJson(response, {first, second, hashes: tree.consistency(first, second)})
    },
  }
}

test('the log of a panel only grows', async () => {
  await against(good, withLog(5), async (node, {script}) => {
    await find(node)
    const before = snapshot(node)
    const hidden: Script = {log: (_request, response) => sendStatus(response, 404)}
    for (const changed of [withLog(4), withLog(5, 1), withLog(7, 1), {...withLog(7), ...hidden}]) {
      Object.assign(script, changed)
      await rejectsCode(() => find(node), 'upgrade_source_rewound')
      assert.is(snapshot(node), before)
    }
    for (const size of [6, 13, 64, 1500]) {
      Object.assign(script, withLog(size))
      assert.is((await find(node)).offer?.version, '1.1.0')
    }
    Object.assign(script, withLog(1499))
    await rejectsCode(() => find(node), 'upgrade_source_rewound')
  })
})

test('a log that a stolen key has made endless is forgotten with the key', async () => {
  const log = {size: 2 ** 52, root: sha256Hex('endless')}
  await against(good, fresh({log}), async (node, {script}) => {
    await find(node)
    Object.assign(script, withLog(5))
    await rejectsCode(() => find(node), 'upgrade_source_rewound')
    writeFileSync(join(node.root, 'trust_anchor.json'), await nodeAnchor(undefined, true, 'next'))
    const before = snapshot(node)
    await rejectsCode(() => find(node), 'upgrade_source_invalid')
    assert.is(snapshot(node), before)
    Object.assign(script, fresh({signer: 'next', log: {size: 5, root: sha256Hex('five')}}))
    assert.is((await find(node)).offer?.version, '1.1.0')
    // and from here on it only grows again
    Object.assign(script, fresh({signer: 'next', log: {size: 4, root: sha256Hex('four')}}))
    await rejectsCode(() => find(node), 'upgrade_source_rewound')
  })
})

test('a panel that has never said anything signed is stale, and says so', async () => {
  const script: Script = {manifest: (_request, response) => sendStatus(response, 404)}
  await against(good, script, async (node) => {
    const since = loadRecords(node.root).record.running.verifiedAt
    assert.is((await find(atTime(node, testNow + 1))).staleSince, since)
    writeFileSync(join(node.root, 'trust_anchor.json'), await nodeAnchor(undefined, false))
    assert.is((await find(node)).staleSince, undefined)
  })
})

test('a panel that says the same for ever is seen to be stale, also by its 304', async () => {
  await against(older, {}, async (node, server) => {
    assert.is((await find(node)).staleSince, undefined)
    const since = testNow - 3600 + 7 * 86_400
    const late = atTime(node, since + 1)
    assert.is((await find(late)).staleSince, since)
    assert.ok(server.seen.at(-1)?.headers['if-none-match'])
  })
  await against(good, {}, async (node) => {
    const late = atTime(node, testNow + 8 * 86_400)
    const {offer, staleSince} = await find(late)
    assert.ok(
      offer !== undefined && staleSince !== undefined,
      'still offered, and said to be stale',
    )
  })
})

test('a poll that finds nothing is one conditional request, and writes nothing', async () => {
  await against(older, {}, async (node, server) => {
    await find(node)
    const before = snapshot(node)
    const count = server.seen.length
    await find(node)
    assert.is(server.seen.length, count + 1)
    assert.ok(server.seen.at(-1)?.headers['if-none-match'])
    assert.is(snapshot(node), before)
  })
})

test('a 304 for another question than the one that was answered is refused', async () => {
  await against(older, {}, async (node, server) => {
    await find(node)
    Object.assign(server.script, {
      manifest: (_: unknown, response: Parameters<typeof sendStatus>[0]) =>
        sendStatus(response, 304),
    })
    const moved = {...node, config: {...node.config, target: 'linux-arm64'}}
    await rejectsCode(() => find(moved), 'upgrade_source_invalid')
  })
})

const hints: readonly [string, object | string, ErrorCode][] = [
  ['a path', {available: true, version: '../../victim'}, 'upgrade_source_invalid'],
  ['absolute', {available: true, version: '/etc'}, 'upgrade_source_invalid'],
  ['empty', {available: true, version: ''}, 'upgrade_source_invalid'],
  ['a number', {available: true, version: 2}, 'upgrade_source_invalid'],
  ['no version', {available: true}, 'upgrade_source_invalid'],
  ['a word for yes', {available: 'yes', version: '1.1.0'}, 'upgrade_source_invalid'],
  ['a list', [], 'upgrade_source_invalid'],
]

for (const [name, json, code] of hints)
  test(`D2: a hint is refused: ${name}`, async () => {
    const script: Script = {check: (_request, response) => sendJson(response, json as object)}
    await against(
      good,
      script,
      async (node) => {
        const before = snapshot(node)
        await rejectsCode(() => find(node), code)
        assert.is(snapshot(node), before)
      },
      {protocol: 'd2'},
    )
  })

test('D2: the running version and an older one are no offer', async () => {
  for (const version of ['1.0.0', '0.9.0'])
    await against(
      good,
      {check: (_request, response) => sendJson(response, {available: true, version})},
      async (node) => assert.is((await find(node)).offer, undefined),
      {protocol: 'd2'},
    )
})

test('D2: a hint of a high version that brings another bundle is refused by its manifest', async () => {
  const script: Script = {
    check: (_request, response) => sendJson(response, {available: true, version: '9.9.9'}),
  }
  await against(
    good,
    script,
    async (node) => {
      const before = snapshot(node)
      const {offer} = await find(node)
      assert.is(offer?.version, '9.9.9')
      if (offer) await rejectsCode(() => stageOffer(node, offer, plain), 'version_mismatch')
      assert.is(snapshot(node), before)
      assert.equal(readdirSync(join(node.root, 'versions')), ['1.0.0'])
    },
    {protocol: 'd2'},
  )
})

test('D2: a hint is forgotten once it is told: it was nobody who signed it', async () => {
  let version = '9.9.9'
  const script: Script = {
    check: (_request, response) => sendJson(response, {available: true, version}),
  }
  await against(
    good,
    script,
    async (node) => {
      const before = snapshot(node)
      const source = await openSource(node)
      assert.is((await look(node, source, plain)).answer.offer?.version, '9.9.9')
      version = '1.1.0'
      const {offer, withdrawn} = (await look(node, source, plain)).answer
      assert.equal([offer?.version, withdrawn], ['1.1.0', undefined])
      assert.is(snapshot(node), before)
    },
    {protocol: 'd2'},
  )
})

const licences: readonly [string, Promise<string | undefined>, ErrorCode][] = [
  ['none', Promise.resolve(undefined), 'upgrade_license_invalid'],
  ['damaged', licenseText().then((file) => file.replace('A', 'B')), 'upgrade_license_invalid'],
  ['of another product', licenseText({product: 'other'}), 'upgrade_license_invalid'],
  ['signed by nobody who may', licenseText({}, 'manifest'), 'upgrade_license_invalid'],
  ['expired', licenseText({expires: testNow - 1}), 'upgrade_license_frozen'],
]

for (const [name, given, code] of licences)
  test(`a licence does not open the panel: ${name}`, async () => {
    const file = await given
    await against(
      good,
      {},
      async (node, server) => {
        await rejectsCode(() => find(node), code)
        assert.is(server.seen.filter(({path}) => path.startsWith('/update/manifest')).length, 0)
      },
      {license: file},
    )
  })

test('tracks are strict both ways, whatever the panel offers and the node allows', async () => {
  const upgrade = {allowed_channels: ['stable', 'beta']}
  const cases = [
    [beta, 'stable'],
    [good, 'prerelease'],
  ] as const
  for (const [release, track] of cases)
    await against(
      release,
      fresh({track, channels: ['stable', 'beta']}, release),
      async (node) => {
        const found = await look(node, await openSource(node), {isRetry: false})
        assert.equal(
          found.closed.map(({code}) => code),
          ['upgrade_license_invalid'],
        )
        const {offer} = found.answer
        if (offer)
          await rejectsCode(() => stageOffer(node, offer, plain), 'upgrade_license_invalid')
      },
      {license: await licenseText({track}), upgrade},
    )
})

test('a renewal is taken when it is genuine and newer, and thaws the node', async () => {
  const old = await licenseText({expires: testNow - 1, serial: 3})
  const renewals: readonly [string, string, ErrorCode | 'taken'][] = [
    ['newer', await licenseText({serial: 4}), 'taken'],
    ['older', await licenseText({serial: 2}), 'upgrade_license_frozen'],
    ['the same serial', await licenseText({serial: 3}), 'upgrade_license_frozen'],
    [
      'of another licence',
      await licenseText({serial: 4, id: '01JD0000000000000000000001'}),
      'upgrade_license_invalid',
    ],
    [
      'of another track',
      await licenseText({serial: 4, track: 'prerelease'}),
      'upgrade_license_invalid',
    ],
    [
      'signed by nobody who may',
      await licenseText({serial: 4}, 'manifest'),
      'upgrade_license_invalid',
    ],
    ['garbage', 'garbage', 'upgrade_license_invalid'],
  ]
  for (const [name, file, outcome] of renewals)
    await against(
      good,
      {license: (request, response) => sendBody(request, response, file)},
      async (node) => {
        const path = join(node.root, 'license')
        if (outcome === 'taken') {
          assert.is((await find(node)).offer?.version, '1.1.0')
          assert.is(parseLicense(readFileSync(path)).license.serial, 4)
        } else {
          await rejectsCode(() => find(node), outcome)
          assert.is(readFileSync(path, 'utf8'), old, name)
        }
      },
      {license: old},
    )
})

test('a clock that was set back takes nothing new, and thaws no licence', async () => {
  await against(
    good,
    {},
    async (node) => {
      const {offer} = await find(node)
      const back = atTime(node, testNow - 2 * 86_400)
      const found = await look(back, await openSource(back), {isRetry: false})
      assert.equal(
        found.closed.map(({code}) => code),
        ['upgrade_clock_untrusted'],
      )
      if (offer) await rejectsCode(() => stageOffer(back, offer, plain), 'upgrade_clock_untrusted')
    },
    {},
  )
  const ending = await licenseText({expires: testNow - 3000})
  await against(good, {}, async (node) => {
    await find(node) // sees a time of testNow - 60 that is signed
    writeFileSync(join(node.root, 'license'), ending)
    const back = atTime(node, testNow - 80_000)
    await rejectsCode(() => find(back), 'upgrade_license_frozen')
  })
})

test('results wait until the panel takes them, and change nothing', async () => {
  const {queueResults, flushResults, waitingResults} = await import('../../src/device/outbox.ts')
  const script: Script = {report: (_request, response) => sendStatus(response, 503)}
  await against(
    good,
    script,
    async (node, server) => {
      queueResults(node)
      assert.is((await turn(node, await openSource(node))).did, 'applied')
      const before = snapshot(node)
      queueResults(node)
      queueResults(node)
      assert.is(waitingResults(node.root), 1)
      await flushResults(node)
      assert.is(waitingResults(node.root), 1)
      const failed = server.seen.filter(({path}) => path === '/v1/report')
      delete (server.script as {report?: unknown}).report
      await flushResults(node)
      assert.is(waitingResults(node.root), 0)
      const sent = server.seen.filter(({path}) => path === '/v1/report')
      assert.equal(
        sent.map(({headers}) => headers['idempotency-key']),
        [failed[0]?.headers['idempotency-key'], failed[0]?.headers['idempotency-key']],
      )
      assert.equal(
        server.reports.map((report) => JSON.parse(report)),
        [{code: 'upgrade_completed', version: '1.1.0', phase: 'apply', node: 'n1', seq: 3}],
      )
      assert.is(snapshot(node), before)
      assert.is(node.events.filter(({event}) => event === 'upgrade_report_failed').length, 1)
    },
    {upgrade: {policy: 'auto'}},
  )
})

test('polls that a timer starts leave a panel alone for as long as it asks', async () => {
  const later = {'retry-after': '3600'}
  const script: Script = {
    manifest: (_request, response) => sendStatus(response, 503, undefined, later),
  }
  await against(good, script, async (node, server) => {
    const world = {random: () => 0, sleep: async () => {}, isStopping: () => false}
    const source = await openSource(node)
    const once = (at: Device) => runLoop(at, source, world, {isOnce: true, report: async () => {}})
    await rejectsCode(() => once(node), 'upgrade_source_unreachable')
    assert.is((await once(atTime(node, testNow + 3590))).polls, 0)
    assert.is(server.seen.length, 1)
    await rejectsCode(() => once(atTime(node, testNow + 3601)), 'upgrade_source_unreachable')
    await rejectsCode(() => once(atTime(node, testNow - 10 * 86_400)), 'upgrade_source_unreachable')
    assert.is(server.seen.length, 3)
  })
})

test('a panel that wants to be left alone puts off nothing that the node does of itself', async () => {
  const later = {'retry-after': '86400'}
  const script: Script = {
    manifest: (_request, response) => sendStatus(response, 503, undefined, later),
  }
  const upgrade = {policy: 'auto'}
  await against(
    good,
    script,
    async (node, server) => {
      const world = {random: () => 0, sleep: async () => {}, isStopping: () => false}
      const source = await openSource(node)
      const once = () => runLoop(node, source, world, {isOnce: true, report: async () => {}})
      await rejectsCode(() => once(), 'upgrade_source_unreachable')
      const bundle = join(node.root, '..', 'by-hand.tar.gz')
      writeFileSync(bundle, [...good.bytes.values()][0] ?? '')
      await stage(node, bundle, plain)
      const cut = async () => Promise.reject(new Error('power cut'))
      await apply({...node, world: {...node.world, health: cut}}, plain).catch(() => undefined)
      assert.is(loadRecords(node.root).record.state, 'trial')
      assert.is((await once()).polls, 0)
      const {record} = loadRecords(node.root)
      assert.equal([record.state, record.running.version], ['committed', '1.1.0'])
      assert.is(server.seen.length, 1)
    },
    {upgrade},
  )
})

test('a version that was taken back is told as that, not as trouble with the source', async () => {
  await against(
    good,
    {},
    async (node) => {
      const world = {random: () => 0, sleep: async () => {}, isStopping: () => false}
      const sick = {...node, world: {...node.world, health: async () => 'it is broken'}}
      const source = await openSource(sick)
      const once = () => runLoop(sick, source, world, {isOnce: true, report: async () => {}})
      await rejectsCode(() => once(), 'upgrade_rolled_back')
      const told = node.events.map(({event}) => event)
      assert.equal(told.filter((event) => event === 'upgrade_rolled_back').length, 1)
      assert.not.ok(told.includes('upgrade_check_failed'), told.join(' '))
    },
    {upgrade: {policy: 'auto'}},
  )
})

test('a damaged memory is refused, not forgotten, until a person repairs it', async () => {
  for (const name of ['clock.json', 'seen.json', 'refused.json', 'reported.json']) {
    const upgrade = {policy: 'auto'}
    await against(
      older,
      {},
      async (node) => {
        const source = await openSource(node)
        await turn(node, source)
        writeFileSync(join(node.root, '.rel', name), '{"schema":1}\nsha256:0\n')
        // that one is read when there is an offer
        if (name !== 'refused.json')
          await rejectsCode(() => turn(node, source), 'upgrade_state_corrupt')
        await repair(node)
        assert.is((await turn(node, source)).did, 'nothing')
      },
      {upgrade},
    )
  }
})

for (const [policy, did] of [
  ['manual', 'found'],
  ['stage', 'staged'],
  ['apply_when_stopped', 'staged'],
  ['auto', 'applied'],
] as const)
  test(`policy ${policy}: a turn ends with ${did}`, async () => {
    await against(
      good,
      {},
      async (node) => {
        assert.is((await turn(node, await openSource(node))).did, did)
      },
      {upgrade: {policy}},
    )
  })

test.run()
