import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  assign,
  isIgnored,
  noConfig,
  parseReleaseConfig,
} from '../../../src/release/release-config.ts'
import {throwsCode} from '../../support/rejects.ts'

const names: Readonly<Record<string, string>> = {
  'agent-linux-amd64': 'agent linux/amd64',
  'agent-linux-arm64.exe': 'agent linux/arm64',
  'edge-agent_1.4.2_Linux_x86_64.tar.gz': 'edge-agent linux/amd64',
  'cli-v1.4.2-macos-aarch64.zip': 'cli darwin/arm64',
  'cli_windows_386.exe': 'cli windows/386',
  'edge.agent-1.4.2-linux-armv7': 'edge-agent linux/armv7',
}
for (const [name, want] of Object.entries(names))
  test(`${name} is ${want}`, () => {
    const {component, os, arch, required} = assign(noConfig, {}, name, '1.4.2')
    assert.is(`${component} ${os}/${arch}`, want)
    assert.ok(required)
  })

test('a delta is for what its bundle is for, and never required', () => {
  for (const from of ['1.4.1', '1.5.0-rc.1', 'linux-amd64'])
    for (const rules of [
      noConfig,
      parseReleaseConfig('artifacts: [{match: "*"}]', 'release.yaml'),
    ]) {
      const name = `agent-1.4.2-linux-arm64.from-${from}.delta.tar.zst`
      const wanted = {component: 'agent', os: 'linux', arch: 'arm64', required: false}
      assert.equal(assign(rules, {}, name, '1.4.2'), wanted)
    }
})

test('what a name does not say is asked for, or given', () => {
  for (const name of ['agent', 'agent.tar.gz', 'agent-linux', 'agent-arm64', 'constructor-linux'])
    throwsCode(() => assign(noConfig, {}, name, '1.4.2'), 'artifact_unassigned')
  const given = {component: 'a', os: 'linux', arch: 'arm64'}
  assert.equal(assign(noConfig, given, 'agent', '1.4.2'), {...given, required: true})
})

const config = parseReleaseConfig(
  `product: edge-agent
ignore: ["*.txt"]
artifacts:
  - match: "{component}.{os}.{arch}"
  - match: "notes-{version}.json"
    component: notes
    os: any
    arch: any
    required: false
  - match: "agent-*"
    arch: riscv64
`,
  'release.yaml',
)

test('the first rule that fits decides, placeholders say the rest', () => {
  const of = (name: string) => assign(config, {}, name, '1.4.2')
  assert.equal(of('my-agent.linux.x86'), {
    component: 'my-agent',
    os: 'linux',
    arch: 'x86',
    required: true,
  })
  assert.equal(of('notes-1.4.2.json'), {
    component: 'notes',
    os: 'any',
    arch: 'any',
    required: false,
  })
  assert.equal(of('agent-linux-arm64').arch, 'riscv64')
  throwsCode(() => of('notes-1.4.3.json'), 'artifact_unassigned')
})

test('signatures, hidden files and what is named are ignored', () => {
  for (const name of ['a.sig', 'a.minisig', '.hidden', 'release.json', 'checksums.txt'])
    assert.ok(isIgnored(config, name, '1.4.2'), name)
  assert.not(isIgnored(noConfig, 'checksums.txt', '1.4.2'))
  assert.not(isIgnored(noConfig, 'asig', '1.4.2'))
})

const bad: Readonly<Record<string, string>> = {
  'an unknown key': 'artefacts: []',
  'a list for a map': '- a',
  'a rule without a pattern': 'artifacts: [{os: linux}]',
  'an unknown placeholder': 'artifacts: [{match: "{cpu}"}]',
  'a name with a slash': 'artifacts: [{match: a, component: a/b}]',
  'required as text': 'artifacts: [{match: a, required: "yes"}]',
  'ignore as text': 'ignore: a',
  'two values of one key': 'product: a\nproduct: b',
}
for (const [name, text] of Object.entries(bad))
  test(`refuses ${name}`, () => {
    throwsCode(() => parseReleaseConfig(text, 'release.yaml'), 'release_config_invalid')
  })

test.run()
