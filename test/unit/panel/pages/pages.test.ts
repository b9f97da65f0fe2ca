import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {html} from '../../../../src/panel/pages/html.ts'
import {endOfDay} from '../../../../src/panel/pages/license-pages.ts'
import {nextOf} from '../../../../src/panel/pages/sign-in.ts'
import {changeText, sizePlot} from '../../../../src/panel/pages/size-history.ts'
import {recallOf} from '../../../../src/panel/pages/typed.ts'
import {shellWord, sizeText} from '../../../../src/panel/pages/words.ts'

test('every value is escaped, in text and in attributes', () => {
  const hostile = `<script>alert("1" & '2')</script>`
  const {text} = html`<p title="${hostile}">${[hostile, 1]}</p>`
  const escaped = '&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;'
  assert.is(text, `<p title="${escaped}">${escaped}1</p>`)
})

test('what is HTML stays so, what is nothing is nothing', () => {
  assert.is(html`${html`<b>${'<'}</b>`}${false}${undefined}${[]}${0}`.text, '<b>&lt;</b>0')
})

test('controls and lone surrogates are shown as unreadable', () => {
  assert.is(html`a${'\0\u001b[2J\u0085\ud800'}b`.text, 'a\ufffd\ufffd[2J\ufffd\ufffdb')
})

const sizes: readonly [number, string][] = [
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [1024 * 1024 - 1, '1 MiB'],
  [150 * 1024 * 1024, '150 MiB'],
  [2 ** 31 - 1, '2 GiB'],
]
for (const [bytes, text] of sizes)
  test(`${bytes} bytes are ${text}`, () => assert.is(sizeText(bytes), text))

test('a word of a shell stays one word', () => {
  assert.is(shellWord(`a'; rm -rf "$HOME" #`), `'a'\\''; rm -rf "$HOME" #'`)
})

const nexts: readonly [string | undefined, string][] = [
  [undefined, '/'],
  ['/products/agent?channel=beta', '/products/agent?channel=beta'],
  ['//evil.example', '/'],
  ['/\\evil.example', '/'],
  ['https://evil.example', '/'],
  ['/a\r\nset-cookie: x=1', '/'],
  ['javascript:alert(1)', '/'],
]
for (const [given, wanted] of nexts)
  test(`after signing in: ${JSON.stringify(given)}`, () => assert.is(nextOf(given), wanted))

const now = 1_767_225_600
const days: readonly [string, number | undefined][] = [
  ['2026-01-01', now + 86_400],
  ['2025-12-31', undefined],
  ['2026-02-30', undefined],
  ['2026-1-2', undefined],
  ['', undefined],
  ['9999-12-31T00:00', undefined],
]
for (const [day, wanted] of days)
  test(`good through ${day}`, () => assert.is(endOfDay(day, now), wanted))

test('changes in size are said with their sign', () => {
  assert.equal(
    [
      [100, 112],
      [100, 90],
      [100, 100],
      [100_000, 100_001],
      [0, 5],
    ].map(([before = 0, after = 0]) => changeText(before, after)),
    ['+12.0 %', '−10.0 %', '0 %', '+0.0 %', ''],
  )
})

test('a plot of one release, and of releases without a byte', () => {
  for (const bytes of [0, 1, 5 * 2 ** 30]) {
    const point = {version: '1.0.0', published: now, bytes, isRecalled: false}
    assert.not.match(sizePlot([point], 'all').text, /NaN|Infinity/)
    assert.not.match(sizePlot([point, point], 'all').text, /NaN|Infinity/)
  }
})

const proseFlaw =
  'At most 1,000 characters on one line, none that are invisible or reorder the others.'
const recalls: readonly [string, Parameters<typeof recallOf>[0], object][] = [
  [
    'trimmed',
    {reason: ' it eats disks ', advisory: '', replacement: ' 1.4.3 '},
    {reason: 'it eats disks', replacement: '1.4.3'},
  ],
  [
    'no reason and no version',
    {reason: ' ', advisory: '', replacement: 'newest'},
    {
      wrong: {
        reason: 'Say why; the audit log keeps it.',
        replacement: 'This is no version, such as 1.4.2.',
      },
    },
  ],
  [
    'controls and length',
    {reason: 'a\u0007', advisory: 'a'.repeat(1001), replacement: ''},
    {
      wrong: {
        reason: proseFlaw,
        advisory: proseFlaw,
      },
    },
  ],
]
for (const [name, form, wanted] of recalls)
  test(`a recall as typed: ${name}`, () => assert.equal(recallOf(form), wanted))

test.run()
