import {mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {gateSchema} from '../../../src/bump/playbook-gates.ts'
import {parsePlaybook} from '../../../src/bump/playbook-parse.ts'
import {gateRunner, withKernel} from '../../../src/bump/run-gate.ts'
import type {GateContext} from '../../../src/bump/world.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {traefikPlaybook} from '../../support/bump/sample.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const PATH = process.env.PATH ?? '/usr/bin:/bin'

function context(): GateContext {
  const root = temporaryFolder()
  for (const name of ['tree', 'evidence']) mkdirSync(join(root, name))
  writeFileSync(join(root, 'tree/file'), 'traefik v3.3.5\n')
  return {
    playbook: parsePlaybook(traefikPlaybook, 't.yaml'),
    old: 'v3.3.4',
    new: 'v3.3.5',
    inputs: {NEW: 'v3.3.5', BASE: 'sha256:5a'},
    folder: join(root, 'tree'),
    evidenceFolder: join(root, 'evidence'),
    assets: [{arch: 'amd64', name: 'a', sha256: 'x', size: 1, path: '/cache/a', level: 'L1'}],
    now: 1,
  }
}

async function run(gate: object, more: Partial<GateContext> = {}) {
  const where = {...context(), ...more}
  return gateRunner({path: PATH})(gateSchema.parse(gate), where)
}

const cases: readonly [string, object, string, string | undefined][] = [
  [
    'a command that ends well',
    {name: 'c', run: ['grep', '-q', '{new}', 'file']},
    'passed',
    undefined,
  ],
  [
    'a command that does not',
    {name: 'c', run: ['grep', '-q', '{old}', 'file']},
    'refused',
    'run_failed',
  ],
  [
    'a command that is not there',
    {name: 'c', run: ['no-such-program']},
    'unavailable',
    'gate_unavailable',
  ],
  [
    'a command that takes too long',
    {name: 'c', run: ['sleep', '60'], timeout_secs: 1},
    'refused',
    'run_timeout',
  ],
]
for (const [name, gate, verdict, code] of cases)
  test(`a gate: ${name}`, async () => {
    const result = await run({uses: 'command', ...gate})
    assert.equal([result.verdict, result.code], [verdict, code], result.summary)
  })

test('a command sees the versions and the verified files, and nothing of the environment', async () => {
  process.env.REL_TOKEN = 'canary'
  const result = await run({uses: 'command', name: 'c', run: ['env']})
  const said = readFileSync(result.logs[0]?.path ?? '', 'utf8')
  assert.match(said, /^REL_NEW=v3\.3\.5$/m)
  assert.match(said, /^REL_ASSET_AMD64=\/cache\/a$/m)
  assert.not.match(said, /canary/)
})

test('placeholders of a gate: versions and inputs; what the shell reads is left alone', async () => {
  const words = [
    '{item}',
    '{old}',
    '{new}',
    '{number}',
    '{NEW}',
    '{BASE}',
    '{OTHER}',
    '$'.concat('{BASE}'),
  ]
  const result = await run({uses: 'command', name: 'c', run: ['echo', ...words]})
  const said = readFileSync(result.logs[0]?.path ?? '', 'utf8').split('\n')
  assert.is(said[1], 'traefik v3.3.4 v3.3.5 3.3.5 v3.3.5 sha256:5a {OTHER} $'.concat('{BASE}'))
})

test('the release that a boot must say is that of the verified kernel, whatever the pin is', () => {
  const at = {...context(), new: '20260415T120000Z'}
  const file = {sha256: 'x', size: 1, path: '/cache/k', level: 'L3' as const}
  const image = {arch: 'arm64-vmlinuz', name: 'vmlinuz-6.17.0-35-generic', ...file}
  assert.is(withKernel('{kernel}', {...at, assets: [image]}), '6.17.0-35-generic')
  assert.is(withKernel('{new}', {...at, assets: [image]}), '20260415T120000Z')
  assert.is(
    withKernel('{kernel}', {...at, assets: []}),
    '20260415T120000Z',
    'and no boot says that',
  )
})

test('what is no ELF program is refused', async () => {
  const result = await run({uses: 'elf', path: 'file', arch: 'amd64'})
  assert.equal([result.verdict, result.code], ['refused', 'elf_not'])
})

test('without a kernel and an initrd nothing is booted, and that is no pass', async () => {
  const result = await run({uses: 'boot_smoke'})
  assert.is(result.verdict, 'unavailable')
})

test('hardware asks for evidence, and evidence without anybody to trust is none', async () => {
  const gate = {uses: 'hardware_evidence', about: 'gpu_firmware'}
  const asked = await run(gate)
  assert.equal([asked.verdict, asked.code], ['needs_evidence', 'gate_needs_evidence'])
  const given = await run(gate, {hardwareEvidence: {evidence: {}, signatures: []}})
  assert.is(given.verdict, 'needs_evidence')
})

/** Named as upstream names them; the bytes are made up. */
const files = ['start4.elf', 'overlays/a.dtbo'].map((name) => {
  const bytes = `made up ${name}`
  return {name: `boot/${name}`, bytes, sha256: sha256Hex(bytes), size: bytes.length}
})
const builds: readonly (readonly [string, (folder: string) => void, string | undefined])[] = [
  ['as verified', () => {}, undefined],
  ['with other files beside', (folder) => writeFileSync(join(folder, 'config.txt'), ''), undefined],
  ['without one', (folder) => rmSync(join(folder, 'start4.elf')), 'build_file_missing'],
  [
    'without a folder',
    (folder) => rmSync(join(folder, 'overlays'), {recursive: true}),
    'build_file_missing',
  ],
  [
    'with one changed',
    (folder) => writeFileSync(join(folder, 'start4.elf'), 'made up start5.elf'),
    'build_file_differs',
  ],
  [
    'with one cut off',
    (folder) => writeFileSync(join(folder, 'start4.elf'), 'made'),
    'build_file_differs',
  ],
  [
    'with other firmware',
    (folder) => writeFileSync(join(folder, 'start.elf'), ''),
    'build_file_unexpected',
  ],
  [
    'with another overlay',
    (folder) => writeFileSync(join(folder, 'overlays/b.dtbo'), ''),
    'build_file_unexpected',
  ],
  [
    'with a link',
    (folder) => {
      rmSync(join(folder, 'start4.elf'))
      symlinkSync('overlays/a.dtbo', join(folder, 'start4.elf'))
    },
    'build_file_missing',
  ],
]
for (const [name, change, code] of builds)
  test(`a build has the verified files: ${name}`, async () => {
    const where = context()
    const folder = join(where.folder, 'out/boot')
    mkdirSync(join(folder, 'overlays'), {recursive: true})
    for (const {name: path, bytes} of files) writeFileSync(join(where.folder, 'out', path), bytes)
    change(folder)
    const assets = files.map((file) => ({
      ...file,
      arch: 'any',
      path: '/cache',
      level: 'L1' as const,
    }))
    const gate = gateSchema.parse({uses: 'verified_files', folder: 'out/boot', from: 'boot'})
    const result = await gateRunner({path: PATH})(gate, {...where, assets})
    assert.is(result.code, code, result.summary)
  })

test('a build that has no verified file at all is refused', async () => {
  const result = await run({uses: 'verified_files', folder: 'x', from: 'boot'})
  assert.is(result.code, 'build_file_missing')
})

test.run()
