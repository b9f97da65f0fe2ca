import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {newPlaybook} from '../../../src/bump/new-playbook.ts'
import {reservedItems} from '../../../src/bump/playbook.ts'
import {parsePlaybook} from '../../../src/bump/playbook-parse.ts'
import {sourceManifest} from '../../../src/cli/source-tree.ts'
import {checkout} from '../../support/built.ts'
import {traefikPlaybook} from '../../support/bump/sample.ts'
import {throwsCode} from '../../support/rejects.ts'

test('defaults are filled in', () => {
  const {change, pins, gates} = parsePlaybook(traefikPlaybook, 't.yaml')
  assert.is(change.branch, 'bump/{item}-{new}')
  assert.is(change.remote, 'origin')
  assert.is(pins[0]?.input, 'NEW')
  assert.is(gates.length, 1)
})

/** What is replaced by what, and where the refusal points. */
const refused: readonly [string, string, string, number, number][] = [
  ['an unknown key', 'verify: {min: L1}', 'verify: {min: L1, minn: L2}', 7, 19],
  ['an unknown key on top', 'title:', 'titel:', 2, 1],
  ['an unknown key of a gate', '{uses: command,', '{uses: command, nane: x,', 17, 21],
  ['an unknown gate', '{uses: command,', '{uses: comand,', 17, 12],
  ['no minimum', 'verify: {min: L1}', 'verify: {}', 7, 9],
  ['an unknown level', '{min: L1}', '{min: L9}', 7, 15],
  ['a repeated key', 'title:', 'item: x\ntitle:', 2, 1],
  ['a command for an item', 'item: traefik', 'item: list', 1, 7],
  ['a path for an item', 'item: traefik', 'item: ../x', 1, 7],
  ['a pin outside', 'file: agent/Makefile', 'file: ../Makefile', 11, 12],
  ['a pin in .git', 'file: agent/Makefile', 'file: .git/config', 11, 12],
  ['an absolute pin', 'file: agent/Makefile', 'file: /etc/passwd', 11, 12],
  ['two places expected', 'kind: make_variable', 'expect: 2, kind: make_variable', 11, 36],
  ['a pin of no input', 'kind: make_variable', 'input: OTHER, kind: make_variable', 11, 35],
  ['an example that does not fit', 'example: v3.3.5', 'example: 3.3.5', 9, 45],
  ['a pattern that is none', "pattern: 'v\\d+", "pattern: '(v\\d+", 9, 46],
  ['a branch of no known word', 'base: develop', "base: develop\n  branch: 'x-{version}'", 20, 11],
  ['an alias', 'title: Traefik reverse proxy', 'title: &a x\n$schema: *a', 3, 10],
]
for (const [name, from, to, line, column] of refused)
  test(`refused with its place: ${name}`, () => {
    assert.ok(traefikPlaybook.includes(from))
    const text = traefikPlaybook.replace(from, to)
    const error = throwsCode(() => parsePlaybook(text, 't.yaml'), 'playbook_invalid')
    assert.equal([error.details?.line, error.details?.column], [line, column], error.message)
  })

const kernelPlaybook = readFileSync(join(checkout, 'playbooks/kernel.yaml'), 'utf8')
const notBooting: readonly [string, RegExp, string, RegExp][] = [
  ['no boot', / {2}- uses: boot_smoke\n(?: {4}.*\n)+/, '', /needs the gate boot_smoke/],
  ['no sign-off', / {2}- uses: sign_off\n(?: {4}.*\n)+/, '', /needs the gate sign_off/],
  ['a boot of any release', / {4}release: .*\n/, '', /needs release: '\{new\}'/],
  ['a boot of one release', /release: '\{new\}'/, 'release: 6.1.0-1-arm64', /needs release/],
  ['a boot without an initrd', / {4}initrd: .*\n/, '', /needs an initrd/],
]
/** The same kernel, pinned by the snapshot that it is taken from. */
const bySnapshot = kernelPlaybook
  .replace(
    / {4}- name: (bookworm\S*)\n {6}url: \S+/g,
    "    - name: $1\n      url: 'https://snapshot.debian.org/archive/debian/{snapshot}'",
  )
  .replace('  meta: ', "  snapshot: '{new}'\n  meta: ")

test('a kernel that is pinned by its snapshot says its release, which is not the pin', () => {
  const {message} = throwsCode(() => parsePlaybook(bySnapshot, 'k.yaml'), 'playbook_invalid')
  assert.match(message, "needs release: '{kernel}'")
  const {upstream} = parsePlaybook(
    bySnapshot.replace("release: '{new}'", "release: '{kernel}'"),
    'k.yaml',
  )
  assert.is('snapshot' in upstream && upstream.snapshot, '{new}')
})

for (const [name, from, to, message] of notBooting)
  test(`a kernel is refused: ${name}`, () => {
    assert.match(kernelPlaybook, from)
    const text = kernelPlaybook.replace(from, to)
    const refusal = throwsCode(() => parsePlaybook(text, 'kernel.yaml'), 'playbook_invalid')
    assert.match(refusal.message, message)
  })

test('a gate that asks apt needs a snapshot, and a dispatch knows its placeholders', () => {
  const gates = traefikPlaybook.replace('{uses: command,', '{uses: apt_sources, file: x}\n  - $&')
  const {message} = throwsCode(() => parsePlaybook(gates, 't.yaml'), 'playbook_invalid')
  assert.match(message, /^t\.yaml:\d+:\d+: apt_sources needs an upstream with a snapshot/)
  const dracut = readFileSync(join(checkout, 'playbooks/dracut.yaml'), 'utf8')
  for (const word of ['BASE_IMAGE', 'news', 'item']) {
    const text = dracut.replace("'{BASE_IMAGE_DIGEST}'", `'{${word}}'`)
    assert.is.not(text, dracut)
    const refusal = throwsCode(() => parsePlaybook(text, 'dracut.yaml'), 'playbook_invalid')
    assert.match(refusal.message, `{${word}} is neither`)
  }
})

test('the nearest key is named, also inside of a gate and an upstream', () => {
  for (const [from, to, near] of [
    ['title:', 'titel:', 'title'],
    ['name: prints', 'nane: prints', 'name'],
    ['repository:', 'repositry:', 'repository'],
  ] as const) {
    const text = traefikPlaybook.replace(from, to)
    const {message} = throwsCode(() => parsePlaybook(text, 't.yaml'), 'playbook_invalid')
    assert.match(message, `did you mean ${near}?`)
  }
})

test('no item can have the name of a command', async () => {
  const ids = Object.keys(await sourceManifest(checkout))
  const below = ids.filter((id) => id.startsWith('bump:')).map((id) => id.slice('bump:'.length))
  assert.ok(below.length > 5)
  assert.equal(
    below.filter((id) => !(reservedItems as readonly string[]).includes(id)),
    [],
  )
})

test('the playbooks that come with rel are playbooks', () => {
  const folder = join(checkout, 'playbooks')
  const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'))
  assert.ok(names.length > 0)
  for (const name of names) {
    const {item} = parsePlaybook(readFileSync(join(folder, name), 'utf8'), name)
    assert.is(`${item}.yaml`, name)
  }
})

test('a new playbook parses to what was answered', () => {
  const {playbook, text} = newPlaybook({
    item: 'k3s',
    title: 'k3s: a "small" one',
    kind: 'k3s',
    upstream: ['repository=k3s-io/k3s', 'assets=[{arch: arm64, name: k3s-arm64}]'],
    min: 'L1',
    file: 'modules/manifest.yaml',
    pin: 'yaml_path:build.k3s_version',
    base: 'develop',
  })
  assert.is(playbook.title, 'k3s: a "small" one')
  assert.equal(playbook.pins[0], {
    file: 'modules/manifest.yaml',
    kind: 'yaml_path',
    path: 'build.k3s_version',
    input: 'NEW',
    expect: 1,
  })
  assert.match(text, /^# yaml-language-server:/)
})

test('a new playbook of a kernel has its two gates', () => {
  const suites = '[{name: bookworm, url: http://ftp.debian.org/debian, max_age_days: 400}]'
  const {playbook} = newPlaybook({
    ...{item: 'kernel', title: 'kernel', kind: 'apt_kernel', min: 'L3', base: 'develop'},
    upstream: [
      ...['distribution=debian', 'arch=arm64', 'meta=linux-image-arm64', `suites=${suites}`],
      `keyring={file: /keys.gpg, fingerprints: [${'A'.repeat(40)}]}`,
    ],
    ...{file: 'build.yaml', pin: 'yaml_path:env.KERNEL_VERSION'},
  })
  assert.equal(
    playbook.gates.map(({uses}) => uses),
    ['boot_smoke', 'sign_off'],
  )
})

test('a new playbook with a bad answer is refused', () => {
  const answers = {
    item: 'list',
    title: 'x',
    kind: 'k3s',
    upstream: [],
    min: 'L1' as const,
    file: 'f',
    pin: 'nothing',
    base: 'main',
  }
  throwsCode(() => newPlaybook(answers), 'playbook_invalid')
})

test.run()
