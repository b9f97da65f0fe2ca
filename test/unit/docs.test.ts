import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {dirname, join, relative} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {sourceManifest} from '../../src/cli/source-tree.ts'
import {codes} from '../../src/system/codes.ts'
import {badCommand, badLinks, type CommandShape, commandsIn} from '../support/documents.ts'

const root = join(import.meta.dirname, '../..')
const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md']
  .concat(
    readdirSync(join(root, 'docs'), {recursive: true, encoding: 'utf8'}).map(
      (name) => `docs/${name}`,
    ),
  )
  .filter((name) => name.endsWith('.md'))
const texts = new Map(pages.map((page) => [page, readFileSync(join(root, page), 'utf8')]))
const shapes = (await sourceManifest(root)) as unknown as Readonly<Record<string, CommandShape>>

/** What is unfinished, and paths of the machine of whoever wrote it. */
const FORBIDDEN = /\bTODO\b|\bFIXME\b|\bXXX\b|lorem ipsum|\/(?:home|root|Users)\//i

for (const [page, text] of texts) {
  test(`${page}: links lead somewhere`, () => {
    const exists = (path: string): boolean => existsSync(join(root, dirname(page), path))
    const anchors = (path: string): string =>
      texts.get(relative(root, join(root, dirname(page), path))) ?? ''
    assert.equal(
      badLinks(text, exists, (path) => (path === '' ? text : anchors(path))),
      [],
    )
  })

  test(`${page}: every rel command in it exists, with its flags`, () => {
    assert.equal(
      commandsIn(text).flatMap((words) => badCommand(words, shapes) ?? []),
      [],
    )
  })

  test(`${page}: has no word that does not belong there`, () => {
    assert.not.match(text, FORBIDDEN)
  })
}

test('the changelog has an Unreleased section', () => {
  assert.match(texts.get('CHANGELOG.md') ?? '', /^## \[Unreleased\]$/m)
})

test('SECURITY.md and install.sh say whether there is a release key', () => {
  const hasKey = existsSync(join(root, 'rel.keys/release.pub'))
  const script = readFileSync(join(root, 'install.sh'), 'utf8')
  assert.is(/there is no release key/.test(texts.get('SECURITY.md') ?? ''), !hasKey)
  assert.is(/^test_key=/m.test(script), !hasKey)
})

test('the threat model names codes that exist', () => {
  const text = texts.get('docs/threat-model.md') ?? ''
  const named = [...text.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map(([, code = '']) => code)
  assert.ok(named.length > 30)
  assert.equal(
    named.filter((code) => !Object.hasOwn(codes, code)),
    [],
  )
})

test('decisions are listed in their README', () => {
  const readme = texts.get('docs/decisions/README.md') ?? ''
  const names = readdirSync(join(root, 'docs/decisions')).filter((name) => name !== 'README.md')
  assert.equal(
    names.filter((name) => !readme.includes(`](${name})`)),
    [],
  )
})

const wrong: readonly [string, string][] = [
  ['no such command', 'rel sing dist'],
  ['no such flag', 'rel sign dist --keyring release'],
  ['no such command of a topic', 'rel keys make dev'],
  ['no such short flag', 'rel verify dist -z'],
]
for (const [name, line] of wrong) {
  test(`a planted command is found: ${name}`, () => {
    const [words = []] = commandsIn(`\`\`\`\n$ ${line}\n\`\`\``)
    assert.type(badCommand(words, shapes), 'string')
  })
}

test('planted links are found', () => {
  const text =
    '[a](gone.md) [b](#no-heading) [c](https://example.com)\n\n# A heading\n[d](#a-heading)'
  const bad = badLinks(
    text,
    () => false,
    () => text,
  )
  assert.equal(bad, ['gone.md', '#no-heading'])
})

test.run()
