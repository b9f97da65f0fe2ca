import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  changelogFacts,
  changelogSection,
  MAX_QUOTED_CHARS,
  quoteUpstreamText,
} from '../../../src/upstream/changelog.ts'

/** In the form of Traefik's CHANGELOG.md, with invented entries. */
const file = `## [v3.3.50](https://example.com/tree/v3.3.50) (2025-12-01)
later

## [v3.3.5](https://example.com/tree/v3.3.5) (2025-03-31)
[All Commits](https://example.com/compare/v3.3.4...v3.3.5)

**Bug fixes:**
- **[middleware]** Fix CVE-2025-12345 and GHSA-xvch-5gv4-984h (#11641 by @somebody)
### Details
- Breaking: the option is gone
## [v3.3.5-rc1](https://example.com) (2025-03-20)
earlier
`

test('the section of exactly one version', () => {
  const section = changelogSection(file, 'v3.3.5') ?? ''
  assert.match(section, /^\[All Commits\]/)
  assert.match(section, 'the option is gone')
  assert.not.match(section, 'earlier')
  assert.is(changelogSection(file, 'v3.3.5-rc1'), 'earlier')
  assert.is(changelogSection(file, '3.3.50'), 'later')
  assert.is(changelogSection(file, 'v3.3.6'), undefined)
  assert.is(changelogSection('see v3.3.5\n', 'v3.3.5'), undefined)
})

for (const heading of [
  '# 1.2.3',
  '## v1.2.3',
  '### Version 1.2.3 - 2025-01-01',
  '## [1.2.3] - 2025-01-01',
  '## 1.2.3 (January 2025)',
  '## [v1.2.3](https://x)',
])
  test(`the heading ${heading}`, () => {
    assert.is(changelogSection(`${heading}\ntext\n`, 'v1.2.3'), 'text')
  })

for (const heading of ['## 1.2.30', '## 11.2.3', '## 1.2.3-rc1', '## 1.2.3.4', '## v1x2x3'])
  test(`the heading ${heading} is of another version`, () => {
    assert.is(changelogSection(`${heading}\ntext\n`, 'v1.2.3'), undefined)
  })

test('advisories and breaking changes are named', () => {
  const facts = changelogFacts(changelogSection(file, 'v3.3.5') ?? '')
  assert.equal(facts.advisories, ['CVE-2025-12345', 'GHSA-xvch-5gv4-984h'])
  assert.equal(facts.breaking, ['- Breaking: the option is gone'])
})

test('what stands below a heading of breaking changes is named, up to the next heading', () => {
  const text = [
    'Intro.',
    '## ⚠️ Breaking Changes',
    '- the option `x` is gone',
    '### Of the API',
    '- v1 is off',
    '## Bug fixes',
    '- a leak',
    '**Breaking changes:**',
    '* metrics are renamed',
    '',
    '**Documentation:**',
    '* words',
  ].join('\n')
  assert.equal(changelogFacts(text).breaking, [
    '## ⚠️ Breaking Changes',
    '- the option `x` is gone',
    '### Of the API',
    '- v1 is off',
    '**Breaking changes:**',
    '* metrics are renamed',
  ])
})

test('advisories are found in any case, once, in canonical form', () => {
  const text = 'cve-2024-1000, CVE-2024-1000, ghsa-xvch-5gv4-984h, CVE-1, xCVE-2024-1000'
  assert.equal(changelogFacts(text).advisories, ['CVE-2024-1000', 'GHSA-xvch-5gv4-984h'])
})

test('breaking changes of conventional commits', () => {
  assert.is(changelogFacts('* feat(api)!: new form\n* fix: typo').breaking.length, 1)
})

const powerless: readonly (readonly [string, RegExp])[] = [
  ['thanks @octocat and @org/team', /@\w/],
  ['Fixes #123, closes owner/repo#45 and GH-7', /#\d|GH-\d/],
  ['Gitea: closes !123 and owner/repo!45', /!\d/],
  ['resolves https://github.com/o/r/issues/1', /:\/\/\w/],
  ['![x](https://evil.example/pixel.png)', /(?<!\\)!|(?<!\\)\[|\]\(/],
  ['<img src=x onerror=alert(1)>', /(?<!\\)</],
  ['<!-- hidden --> <details>', /(?<!\\)</],
  ['[click](javascript:alert(1))', /(?<!\\)\[|(?<!\\)\]/],
  ['| a | b |', /(?<!\\)\|/],
  ['# Verification: passed', /^> #/],
  ['---', /^> -/],
  ['===', /^> =/],
  ['- [x] signed', /^> -|(?<!\\)\[/],
  ['1. first', /^> 1\./],
  ['```suggestion', /(?<!\\)`/],
  ['    indented code', /^> {5}/],
  ['&lt;b&gt; &#64;octocat', /(?<!\\)&/],
  ['$\\sqrt{x}$', /(?<!\\)\$/],
  ['merged as 8fd1c6e2ab8fd1c6e2ab8fd1c6e2ab8fd1c6e2ab', /(?<!`)\b[0-9a-f]{7,40}\b|\u2060/],
  ['`8fd1c6e` and `8fd1c6e`', /(?<!`)\b[0-9a-f]{7,40}\b|(?<!\\)`(?![0-9a-f]{7}`|\\|$)/],
  [':shipit: www.evil.example mail@evil.example', /:shipit:|www\.|@\w/],
  ['\u202eexe.gpj \u200bzero\u0007', /[\u202e\u200b\u0007]/],
]
for (const [text, power] of powerless)
  test(`no power in ${JSON.stringify(text)}`, () => {
    const quoted = quoteUpstreamText(text)
    assert.not.match(quoted, power)
    assert.match(quoted, /^> /)
  })

test('a backslash of upstream cannot undo an escape', () => {
  assert.is(quoteUpstreamText('\\[x](y)'), '> \\\\\\[x\\]\\(y\\)')
})

test('fingerprints stay as they are, to be copied and compared', () => {
  const id = '8FD1C6E2AB8fd1c6e2ab8fd1c6e2ab8fd1c6e2ab'
  assert.is(quoteUpstreamText(`key ${id}, 1234567.`), `> key \`${id}\`, \`1234567\`.`)
  assert.is(quoteUpstreamText('a'.repeat(64)), `> ${'a'.repeat(64)}`)
})

test('every line is quoted, whatever separates lines', () => {
  assert.is(quoteUpstreamText('a\r\nb\rc\n\nd'), '> a\n> b\n> c\n>\n> d')
})

test('a long text is cut at a line, with a note', () => {
  const quoted = quoteUpstreamText('many words\n'.repeat(20_000))
  assert.ok(quoted.length <= MAX_QUOTED_CHARS)
  assert.match(quoted, /cut: the rest is at upstream\)\*$/)
  assert.is(quoteUpstreamText('x'.repeat(MAX_QUOTED_CHARS)), '> *(cut: the rest is at upstream)*')
  assert.is(quoteUpstreamText('words', 3), '')
})

test('whatever the text: within the limit, quoted, no mention, no HTML, no reference', () => {
  const pieces = fc.constantFrom(
    '@',
    'a',
    '#',
    '1',
    '<',
    '\\',
    '`',
    '\n',
    '\r',
    ' ',
    '!',
    '[',
    ']',
    '(',
    ')',
    '://',
    '\u2060',
  )
  fc.assert(
    fc.property(fc.array(pieces, {maxLength: 60}), (parts) => {
      const quoted = quoteUpstreamText(parts.join(''), 500)
      assert.ok(quoted.length <= 500)
      for (const line of quoted.split('\n')) assert.match(line, /^>|^$/)
      assert.not.match(quoted, /@\w|#\d|:\/\/\w/)
      const live = quoted.replace(/\\\\/g, '').replace(/(?<!\\)`[0-9a-f]{7,40}`/g, '')
      assert.not.match(live, /(?<!\\)[<`[]/)
    }),
    {numRuns: 2000},
  )
})

test.run()
