import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {BumpEvidence} from '../../../src/bump/evidence.ts'
import {MAX_BODY_CHARS, pullRequestBody} from '../../../src/bump/pull-request.ts'
import {sampleEvidence} from '../../support/bump/evidence.ts'

test('the body has everything that a reviewer decides by', () => {
  const body = pullRequestBody(sampleEvidence())
  for (const wanted of [
    'from `v3.3.4` to `v3.3.5` in `agent/Makefile:2`',
    '**L2** was reached, **L1** is the minimum',
    '- Advisory: `CVE-2025-12345`',
    '- Breaking: BREAKING: the flag is gone.',
    `| \`traefik.tar.gz\` | checksum file | github.com | L1 | as wanted |`,
    `| old | \`traefik_old.tar.gz\` | \`amd64\` | \`${'9'.repeat(64)}\` | 1,200 B |`,
    `| old, vendored | \`agent/dist/traefik\` |  | \`${'c'.repeat(64)}\` |`,
    `| new | \`traefik.tar.gz\` | \`amd64\` | \`${'a'.repeat(64)}\` | 1,234 B | L2 |`,
    '- **passed** `boot-smoke arm64`: booted in QEMU',
    '  - Not proved: QEMU has no GPU, so its firmware was not run.',
    `  - Log \`boot.log\`, sha256 \`${'d'.repeat(64)}\``,
    '```sh\ngit revert HEAD\nmake vendor\n```',
    '- Waived: `gpu` by `ada` until 2025-09-13: tried on a bench',
    '- Warning: the branch is behind',
    `by \`ada\`, key \`KEY1\`, over evidence \`sha256:${'e'.repeat(64)}\``,
    '> Fixed a leak.',
  ])
    assert.ok(body.includes(wanted), `${wanted} is not in\n${body}`)
})

test('a pin that is locked where it is does not read as moved', () => {
  const body = pullRequestBody(sampleEvidence({new: 'v3.3.4'}))
  assert.match(body, /^Locks \*\*Traefik reverse proxy\*\* \(`traefik`\) at `v3.3.4`/)
})

test('a large file has its size in MiB and to the byte', () => {
  const [asset] = sampleEvidence().assets
  if (asset === undefined) throw new Error('no sample')
  const body = pullRequestBody(sampleEvidence({assets: [{...asset, size: 51_662_848}]}))
  assert.match(body, /\| 49\.3 MiB \(51,662,848 B\) \| L2 \|/)
})

test('the same evidence gives the same bytes', () => {
  assert.is(pullRequestBody(sampleEvidence()), pullRequestBody(sampleEvidence()))
})

const hostile = [
  'hello @octo/owners and @octo',
  'Fixes #12, closes octo/fleet#3, resolves GH-7',
  '<img src=x onerror=alert(1)><!-- ',
  '![x](https://evil.example/pixel.png) [y](https://evil.example)',
  'a | b | c\n| --- |\n# heading',
  '``` \n@octo\n```',
  '\\| \\` \\@octo',
  '\u202ereversed\u0007 \u001b[31m',
]

const places: readonly [name: string, put: (text: string) => Partial<BumpEvidence>][] = [
  ['changelog', (changelog) => ({changelog})],
  ['breaking', (text) => ({breaking: [text]})],
  ['advisory', (text) => ({advisories: [text]})],
  ['warning', (text) => ({warnings: [text]})],
  ['title', (title) => ({title})],
  [
    'fact',
    (text) => ({facts: [{subject: text, check: text, by: text, level: 'L1', detail: text}]}),
  ],
  [
    'asset',
    (name) => ({
      assets: [{arch: 'any', name, sha256: 'a'.repeat(64), size: 1, path: name, level: 'L1'}],
    }),
  ],
  [
    'gate',
    (text) => ({
      gates: [{gate: text, verdict: 'refused', summary: text, caveats: [text], logs: []}],
    }),
  ],
  ['tag', (tag) => ({candidate: {version: 'v1', tag}})],
  ['waiver', (text) => ({waivers: [{gate: text, reason: text, by: text, expires: 0}]})],
]

for (const [name, put] of places)
  for (const text of hostile)
    test(`text of the ${name} has no power: ${JSON.stringify(text)}`, () => {
      const body = pullRequestBody({...sampleEvidence(), ...put(text)})
      // what stands in code spans and fences is never interpreted
      const live = body.replace(/^```sh\n[\s\S]*?^```$/m, '').replaceAll(/(?<!\\)`[^`\n]*`/g, '')
      assert.not.match(live, /@\w/)
      assert.not.match(live, /(?<!\\)#\d|GH-\d/)
      assert.not.match(live, /(?<!\\)[<![](?!\/?\*)/)
      assert.not.match(live, /:\/\/\w/)
      assert.not.match(live, /[\u0007\u001b\u202e]/)
      for (const line of live.split('\n').filter((it) => it.startsWith('|')))
        assert.ok([6, 7].includes(line.replaceAll(/\\./g, '').split('|').length - 1), line)
      assert.is(
        live.match(/^## /gm)?.length,
        pullRequestBody(sampleEvidence()).match(/^## /gm)?.length,
      )
    })

test('a command cannot end its fence', () => {
  const rollback = {...sampleEvidence().rollback, commands: ['a\n```\n@octo', '```` b']}
  const body = pullRequestBody({...sampleEvidence(), rollback})
  assert.match(body, /^`{5}sh\na\\u\{a\}```\\u\{a\}@octo\n```` b\n`{5}$/m)
})

test('a long changelog is cut first and says so', () => {
  const body = pullRequestBody({
    ...sampleEvidence(),
    changelog: 'word '.repeat(9).concat('\n').repeat(9999),
  })
  assert.ok(body.length <= MAX_BODY_CHARS, String(body.length))
  assert.match(body, /cut: the rest is at upstream/)
  assert.match(body, /QEMU has no GPU/)
  assert.not.match(body, /rows left out/)
})

test('a body of nothing but long rows is cut and says so', () => {
  const long = '|*@'.repeat(2000)
  const many = <T>(one: T): T[] => Array.from({length: 400}, () => one)
  const evidence = sampleEvidence()
  const body = pullRequestBody({
    ...evidence,
    title: long,
    old: long,
    new: long,
    changelog: long,
    breaking: many(long),
    warnings: many(long),
    waivers: many({gate: long, reason: long, by: long, expires: 0}),
    facts: many({subject: long, check: long, by: long, level: 'L1', detail: long}),
    gates: many({gate: long, verdict: 'refused', summary: long, caveats: [long], logs: []}),
    diffs: many({path: long, diff: ''}),
    rollback: {
      ...evidence.rollback,
      commands: many(long),
      notes: long,
      artifacts: many({path: long, sha256: long}),
      tried: {gate: long, verdict: 'refused', summary: long, caveats: [long], logs: []},
    },
  })
  assert.ok(body.length <= MAX_BODY_CHARS, String(body.length))
  assert.match(body, /rows left out/)
})

test.run()
