import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {manifestLimits} from '../../../src/bundle/manifest.ts'
import {
  checkLinks,
  checkPath,
  checkPaths,
  foldPath,
  shownPath,
} from '../../../src/bundle/path-rules.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {throwsCode} from '../../support/rejects.ts'

const VECTORS = join(import.meta.dirname, '../../vectors')

const good = [
  'a',
  'main.py',
  'adapters/mqtt.py',
  '.env',
  '..foo',
  'a b/c d.txt',
  'node_modules/@scope/x-1.0.0/index.js',
  'console.log',
  'company/nullable.txt',
  'com10.txt',
  'sub/manifest.json',
  'x'.repeat(255),
  `${`${'d'.repeat(15)}/`.repeat(63)}${'f'.repeat(16)}`,
  'gr\u00fc\u00dfe.txt',
  '\u65e5\u672c.txt',
]

test('accepts paths that mean the same everywhere', () => {
  for (const path of good) checkPath(path)
})

const bad: readonly (readonly [ErrorCode, string])[] = [
  ['path_malformed', ''],
  ['path_absolute', '/etc/passwd'],
  ['path_absolute', '//server/share'],
  ['path_traversal', '..'],
  ['path_traversal', '../x'],
  ['path_traversal', 'a/../../x'],
  ['path_traversal', './a'],
  ['path_traversal', 'a/.'],
  ['path_malformed', 'a//b'],
  ['path_malformed', 'a/'],
  ['path_malformed', 'a\\b'],
  ['path_malformed', 'C:x'],
  ['path_malformed', 'a*'],
  ['path_malformed', 'a?b'],
  ['path_malformed', 'a|b'],
  ['path_malformed', 'a"b'],
  ['path_malformed', 'a<b'],
  ['path_malformed', 'a&b'],
  ['path_malformed', 'a\nb'],
  ['path_malformed', 'a\x00b'],
  ['path_malformed', 'a\x7fb'],
  ['path_malformed', 'a\u202eb'],
  ['path_malformed', 'a\u200bb'],
  ['path_malformed', 'a\u2028b'],
  ['path_malformed', 'a\ud800b'],
  ['path_malformed', 'a\ue000b'],
  ['path_malformed', 'x'.repeat(256)],
  ['path_malformed', `${`${'d'.repeat(15)}/`.repeat(63)}${'f'.repeat(17)}`],
  ['path_malformed', '\u65e5'.repeat(86)],
  ['path_not_normal', 'cafe\u0301.txt'],
  ['path_not_portable', 'a.'],
  ['path_not_portable', 'a ./b'],
  ['path_not_portable', 'a /b'],
  ['path_not_portable', 'con'],
  ['path_not_portable', 'lib/NUL.txt'],
  ['path_not_portable', 'aux.tar.gz'],
  ['path_not_portable', 'Com1'],
  ['path_not_portable', 'lpt9.x'],
  ['path_not_portable', 'com\u00b9'],
  ['path_not_portable', 'CONIN$'],
  ['path_not_portable', 'prn .txt'],
  ['path_reserved', 'manifest.json'],
  ['path_reserved', 'MANIFEST.JSON'],
  ['path_reserved', 'manifest.json/x'],
  ['path_reserved', 'manifest.sig.bundle'],
  ['path_reserved', 'manife\u017ft.json'],
  ['path_reserved', '\uff4danifest.json'],
]

for (const [code, path] of bad)
  test(`refuses ${JSON.stringify(path.slice(0, 30))} with ${code}`, () => {
    throwsCode(() => checkPath(path), code)
  })

const together: readonly (readonly [ErrorCode, readonly string[]])[] = [
  ['path_collision', ['A.txt', 'a.txt']],
  ['path_collision', ['Lib/a', 'lib/b']],
  ['path_collision', ['stra\u00dfe', 'strasse']],
  ['path_collision', ['STRA\u1e9eE', 'strasse']],
  ['path_collision', ['\u00c5', '\u00e5']],
  ['path_collision', ['\ufb01le', 'file']],
  ['path_collision', ['\u03c3', '\u03c2']],
  ['path_collision', ['same', 'same']],
  ['path_conflict', ['a', 'a/b']],
  ['path_conflict', ['A', 'a/b']],
  ['path_traversal', ['good/a.txt', 'good/b.txt', 'good/..']],
  ['path_not_portable', ['good/a.txt', 'good/con.txt']],
]

for (const [code, paths] of together)
  test(`refuses ${JSON.stringify(paths)} together with ${code}`, () => {
    throwsCode(() => checkPaths(paths), code)
    throwsCode(() => checkPaths([...paths].reverse()), code)
    throwsCode(() => checkPaths(paths.slice(0, 1), paths.slice(1)), code)
  })

test('accepts names that only look alike', () => {
  checkPaths(['a', 'b', 'dir/a', 'dir/b.txt', 'dir2/a', 'dir.txt'])
})

test('folds at least as much as Unicode full case folding, over all of Unicode', () => {
  const lines = readFileSync(join(VECTORS, 'unicode/case-folding.txt'), 'utf8').split('\n')
  const text = (codes: string) =>
    String.fromCodePoint(
      ...codes
        .trim()
        .split(' ')
        .map((code) => Number.parseInt(code, 16)),
    )
  const rows = lines.filter((line) => line !== '' && !line.startsWith('#'))
  assert.ok(rows.length > 1400)
  const misses = rows.filter((row) => {
    const [from = '', to = ''] = row.split(';')
    return foldPath(text(from)) !== foldPath(text(to))
  })
  assert.equal(misses, [])
})

test('folding is stable: folding what was folded changes nothing', () => {
  for (let code = 0; code < 0x110000; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue
    const once = foldPath(String.fromCodePoint(code))
    if (foldPath(once) !== once) assert.unreachable(`U+${code.toString(16)}`)
  }
})

test('refuses what would take long before anybody was asked who signed it', () => {
  const {pathSegments, directories, unicodeBytes} = manifestLimits
  const deep = (segments: number) => Array(segments).fill('a').join('/')
  checkPath(deep(pathSegments))
  throwsCode(() => checkPath(deep(pathSegments + 1)), 'path_malformed')
  const wide = (count: number) => Array.from({length: count}, (_, at) => `${at}/a`)
  checkPaths(wide(directories))
  throwsCode(() => checkPaths(wide(directories + 1)), 'manifest_limit')
  const path = (at: number) => `${at}-${'é'.repeat(100)}`
  const many = Array.from({length: Math.ceil(unicodeBytes / 200)}, (_, at) => path(at))
  throwsCode(() => checkPaths(many), 'manifest_limit')
})

const files = [{path: 'lib/libx.so.1.2'}, {path: 'bin/tool'}, {path: 'top'}]

test('accepts links that stay inside', () => {
  checkLinks(files, [
    {path: 'lib/libx.so', target: 'libx.so.1'},
    {path: 'lib/libx.so.1', target: 'libx.so.1.2'},
    {path: 'current', target: 'lib'},
    {path: 'bin/x', target: '../lib/libx.so.1.2'},
    {path: 'a/b/c', target: '../../top'},
  ])
})

const badTargets = [
  '/etc/passwd',
  '../outside',
  '../../top',
  'nowhere',
  './top',
  'lib/../top',
  '..',
  '',
  'lib/',
  'link',
  'current/libx.so.1.2',
]

for (const target of badTargets)
  test(`refuses a link to ${JSON.stringify(target)}`, () => {
    const links = [
      {path: 'current', target: 'lib'},
      {path: 'link', target},
    ]
    throwsCode(() => checkLinks(files, links), 'link_invalid')
  })

test('refuses links in a circle', () => {
  const links = [
    {path: 'a', target: 'b'},
    {path: 'b', target: 'a'},
  ]
  throwsCode(() => checkLinks(files, links), 'link_invalid')
})

test('shows paths without anything that moves a cursor', () => {
  assert.is(shownPath('a\x1b[2Jb\u202e'), 'a\\u{1b}[2Jb\\u{202e}')
  assert.is(shownPath('x'.repeat(500)).length, 121)
})

test.run()
