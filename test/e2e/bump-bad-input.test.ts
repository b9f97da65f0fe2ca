import {existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parse, stringify} from 'yaml'
import type {ErrorCode} from '../../src/system/codes.ts'
import {exitCodeOf} from '../../src/system/codes.ts'
import {snapshotIdAt} from '../../src/upstream/apt/snapshot-id.ts'
import {
  clearsigned,
  expiring,
  type LoopbackArchive,
  packageOf,
  publish,
  serveArchive,
  suiteFiles,
  type TestKey,
  type TestSuite,
  testKey,
} from '../support/apt-archive.ts'
import {
  gitEnv,
  personalState,
  type SampleRepository,
  sampleRepository,
} from '../support/bump/repository.ts'
import {
  inTraefikSetting,
  type TraefikSetting,
  withPlaybook,
} from '../support/bump/traefik-setting.ts'
import {printingProgram} from '../support/elf-program.ts'
import {amd64, arm64, checksums, replaceAsset} from '../support/github/traefik-mutations.ts'
import {sums, tarGz, traefikArchive} from '../support/github/upstream-releases.ts'
import {type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// Everything that people and upstreams get wrong, through rel bump as it is built: a code each, and
// work tree, HEAD, index, branches, tags, remote and journal as they were. What is wrong with digests
// and checksum files is in bump-integrity.test.ts.

type Refusal = {
  readonly name: string
  readonly code: ErrorCode
  readonly words?: readonly string[]
  /** What the message must say as well. */
  readonly says?: RegExp
  readonly arrange?: (setting: TraefikSetting) => unknown
}

function stateOf(repository: SampleRepository): object {
  const journals = join(repository.root, '.git/rel/bump')
  return {
    ...personalState(repository),
    remote: repository.git('ls-remote', 'origin'),
    hidden: repository.git('for-each-ref'),
    journals: existsSync(journals)
      ? readdirSync(journals).filter((it) => it.endsWith('.json'))
      : [],
  }
}

function errorOf(ran: Ran): {code?: string; message?: string} {
  return (JSON.parse(ran.stdout) as {error?: {code: string; message: string}}).error ?? {}
}

function withFile({repository}: TraefikSetting, path: string, content: string | Buffer): void {
  repository.write(path, '')
  writeFileSync(join(repository.root, path), content)
  repository.commit('chore: another file')
  repository.git('push', '--quiet', 'origin', 'develop')
}

const makefilePin = [{file: 'agent/Makefile', kind: 'make_variable', name: 'TRAEFIK_VERSION'}]
const workflowPin = [{file: 'ci.yaml', kind: 'yaml_path', path: 'env.TRAEFIK_VERSION'}]

/** Archives of v3.3.5 with these programs, and a checksum file that fits. */
async function withPrograms(
  {fake}: TraefikSetting,
  programs: {readonly amd64: Buffer; readonly arm64: Buffer},
): Promise<void> {
  const [first, second] = [
    await tarGz([['traefik', programs.amd64]]),
    await tarGz([['traefik', programs.arm64]]),
  ]
  replaceAsset(fake, amd64, {bytes: first})
  replaceAsset(fake, arm64, {bytes: second})
  replaceAsset(fake, checksums, {bytes: sums({[amd64]: first, [arm64]: second})})
}

async function withArchive(
  {fake}: TraefikSetting,
  entries: Parameters<typeof tarGz>[0],
): Promise<void> {
  const bytes = await tarGz(entries)
  replaceAsset(fake, amd64, {bytes})
  const other = await traefikArchive('v3.3.5', 'arm64')
  replaceAsset(fake, checksums, {bytes: sums({[amd64]: bytes, [arm64]: other})})
}

/** As workflows write an input that has a default. */
const defaulting = `\${{ inputs.version || 'v3.3.4' }}`

const elfGate = (arch: string) => ({
  gates: [{uses: 'elf', path: `dist/traefik-${arch}`, arch, static: true}],
})
const ourArch = process.arch === 'arm64' ? 'arm64' : 'amd64'

const refusals: readonly Refusal[] = [
  {name: 'no NEW', code: 'input_required', words: []},
  {name: 'an empty NEW', code: 'usage_invalid', words: ['NEW=']},
  {name: 'NEW twice', code: 'usage_invalid', words: ['NEW=v3.3.5', 'NEW=v3.3.4']},
  {name: 'a missing v', code: 'pin_value_refused', words: ['NEW=3.3.5']},
  {name: 'no version', code: 'pin_value_refused', words: ['NEW=latest']},
  {name: 'a value with syntax', code: 'pin_value_refused', words: ['NEW=v3.3.5$(id)']},
  {name: 'a tag that does not exist', code: 'release_missing', words: ['NEW=v9.9.9']},
  {
    name: 'a release that is gone while its tag stands',
    code: 'release_missing',
    arrange: ({fake}) => fake.releases.remove('traefik/traefik', 'v3.3.5'),
  },
  {
    name: 'an asset that was renamed',
    code: 'asset_missing',
    says: /nearest: "traefik_v3\.3\.5_linux-arm64\.tar\.gz"/,
    arrange: async ({fake}) => {
      fake.releases.removeAsset('traefik/traefik', 'v3.3.5', arm64)
      const name = 'traefik_v3.3.5_linux-arm64.tar.gz'
      fake.releases.addAsset('traefik/traefik', 'v3.3.5', {name, bytes: 'x', digest: null})
    },
  },
  {
    name: 'an asset that is not uploaded yet',
    code: 'upstream_release_incomplete',
    arrange: ({fake}) => replaceAsset(fake, arm64, {size: 0, state: 'open'}),
  },
  {
    name: 'a tarball without the binary',
    code: 'binary_missing',
    arrange: (setting) => withArchive(setting, [['README.md', 'no program']]),
  },
  {
    name: 'a path in the tarball that climbs out',
    code: 'archive_path_unsafe',
    arrange: (setting) =>
      withArchive(setting, [
        ['../../evil', 'x'],
        ['traefik', 'x'],
      ]),
  },
  {
    name: 'a link in the tarball that leads out',
    code: 'archive_path_unsafe',
    arrange: (setting) =>
      withArchive(setting, [[{name: 'traefik', type: 'symlink', linkname: '/etc/passwd'}, '']]),
  },
  {
    name: 'a program for another machine',
    code: 'elf_machine',
    arrange: async (setting) => {
      const wrong = printingProgram('amd64', 'traefik v3.3.5\n')
      await withPrograms(setting, {amd64: wrong, arm64: wrong})
      withPlaybook(setting, elfGate('arm64'))
    },
  },
  {
    name: 'a dynamic program where a static one is asked for',
    code: 'elf_dynamic',
    arrange: async (setting) => {
      const dynamic = readFileSync('/bin/true') // of this machine, linked against its C library
      await withPrograms(setting, {amd64: dynamic, arm64: dynamic})
      withPlaybook(setting, elfGate(ourArch))
    },
  },
  {
    name: 'text where a program should be',
    code: 'elf_not',
    arrange: (setting) => withPlaybook(setting, elfGate('amd64')),
  },
  {
    name: 'a pin that is not there',
    code: 'pin_missing',
    arrange: (setting) => withFile(setting, 'agent/Makefile', 'OTHER := v3.3.4\n'),
  },
  {
    name: 'a pin that is there twice',
    code: 'pin_ambiguous',
    says: /1.*2/,
    arrange: (setting) =>
      withFile(setting, 'agent/Makefile', 'TRAEFIK_VERSION = v1\nTRAEFIK_VERSION = v2\n'),
  },
  {
    name: 'a file in UTF-16',
    code: 'pin_unreadable',
    arrange: (setting) =>
      withFile(
        setting,
        'agent/Makefile',
        Buffer.from('\ufeffTRAEFIK_VERSION := v3.3.4\n', 'utf16le'),
      ),
  },
  {
    name: 'YAML that is indented with tabs',
    code: 'pin_unreadable',
    arrange: (setting) => {
      withFile(setting, 'ci.yaml', 'env:\n\tTRAEFIK_VERSION: v3.3.4\n')
      withPlaybook(setting, {pins: workflowPin})
    },
  },
  {
    name: 'a pin that an expression computes',
    code: 'pin_unsupported',
    arrange: (setting) => {
      withFile(setting, 'ci.yaml', `env:\n  TRAEFIK_VERSION: ${defaulting}\n`)
      withPlaybook(setting, {pins: workflowPin})
    },
  },
  {
    name: 'a dirty tree',
    code: 'tree_dirty',
    arrange: ({repository}) => repository.write('agent/Makefile', 'TRAEFIK_VERSION := v3.3.4 #\n'),
  },
  {
    name: 'a file that nobody added',
    code: 'tree_dirty',
    arrange: ({repository}) => repository.write('notes.txt', 'x'),
  },
  {
    name: 'a detached HEAD',
    code: 'head_detached',
    arrange: ({repository}) => repository.git('switch', '--quiet', '--detach'),
  },
  {
    name: 'another branch than the base',
    code: 'branch_wrong',
    arrange: ({repository}) => repository.git('switch', '--quiet', '-c', 'feature'),
  },
  {
    name: 'a second pin in the change',
    code: 'second_pin',
    says: /k3s from v1 to v2/,
    arrange: ({repository}) => {
      const other = {
        ...parse(repository.read('playbooks/traefik.yaml')),
        item: 'k3s',
        title: 'k3s',
        inputs: {},
        vendor: undefined,
        pins: [{file: 'k3s.yaml', kind: 'yaml_path', path: 'version'}],
      }
      repository.write('playbooks/k3s.yaml', stringify(other))
      repository.write('k3s.yaml', 'version: v1\n')
      repository.commit('chore: k3s')
      repository.git('push', '--quiet', 'origin', 'develop')
      repository.write('k3s.yaml', 'version: v2\n')
      repository.commit('chore(k3s): bump k3s v1 → v2')
    },
  },
]

const bump = ['bump', 'traefik', '--json']

for (const {name, code, words = ['NEW=v3.3.5'], says, arrange} of refusals)
  test(`${name}: ${code}, and nothing has changed`, () =>
    inTraefikSetting(async (setting) => {
      await arrange?.(setting)
      const before = stateOf(setting.repository)
      const ran = await setting.rel(...bump, ...words)
      const {code: seen, message = ''} = errorOf(ran)
      assert.equal([seen, ran.code], [code, exitCodeOf(code)], ran.stdout)
      if (says !== undefined) assert.match(message, says)
      assert.equal(stateOf(setting.repository), before)
    }))

/** Files that an editor would have changed more of than the pin. */
const odd: readonly (readonly [name: string, content: string, pins?: object])[] = [
  ['CRLF', '# agent\r\nTRAEFIK_VERSION := v3.3.4\r\nOTHER := 1\r\n'],
  ['a byte order mark', '\ufeffTRAEFIK_VERSION := v3.3.4\n'],
  ['tabs and no last line end', 'OTHER\t:=\t1\nTRAEFIK_VERSION\t:=\tv3.3.4\t# pinned'],
  [
    'an expression with the pin as its default',
    `on:\r\n  push:\r\nenv:\r\n  V: ${defaulting} # pinned\r\n`,
    [
      {
        file: 'ci.yaml',
        kind: 'yaml_expression_default',
        path: 'env.V',
        expression: 'inputs.version',
      },
    ],
  ],
]

for (const [name, content, pins = makefilePin] of odd)
  test(`of a file with ${name} the bytes of the pin alone change`, () =>
    inTraefikSetting(async (setting) => {
      const {repository, rel} = setting
      const [{file = ''} = {}] = pins as {file: string}[]
      withFile(setting, file, content)
      if (pins !== makefilePin) withPlaybook(setting, {pins})
      const {branches: _, ...before} = personalState(repository)
      const ran = await rel(...bump, 'NEW=v3.3.5')
      assert.is(ran.code, 0, ran.stdout)
      const {branches: __, ...after} = personalState(repository)
      assert.equal(after, before)
      const spec = `bump/traefik-v3.3.5:${file}`
      const wanted = content.replace('v3.3.4', 'v3.3.5')
      assert.is(Number(repository.git('cat-file', '-s', spec)), Buffer.byteLength(wanted))
      assert.is(repository.git('show', spec), wanted.trimEnd())
    }))

const DAY_SECS = 86_400
const at = Math.floor(Date.now() / 1000 / DAY_SECS) * DAY_SECS - 2 * DAY_SECS
const [oldId, newId] = [snapshotIdAt(at - 7 * DAY_SECS), snapshotIdAt(at)]
const suite: TestSuite = {
  suite: 'noble',
  codename: 'noble',
  date: new Date((at - DAY_SECS) * 1000),
  packages: {arm64: [packageOf('dracut', '060+5-1', 'cpio')]},
}

type Apt = {readonly archive: LoopbackArchive; readonly key: TestKey}
const place = `/ubuntu/${newId}/dists/noble/InRelease`

/** What is wrong with the InRelease of a SYNTHETIC snapshot; the key that is trusted comes back. */
const wrongArchives: readonly (readonly [
  name: string,
  code: ErrorCode,
  arrange: (apt: Apt) => Promise<TestKey | undefined>,
  id?: string,
])[] = [
  [
    'text before the signed text',
    'openpgp_frame_invalid',
    async ({archive}) => {
      const signed = archive.files.get(place) ?? Buffer.alloc(0)
      archive.files.set(place, Buffer.concat([Buffer.from('Suite: noble\n'), signed]))
      return undefined
    },
  ],
  [
    'text after the signature',
    'openpgp_frame_invalid',
    async ({archive}) => {
      const signed = archive.files.get(place) ?? Buffer.alloc(0)
      archive.files.set(place, Buffer.concat([signed, Buffer.from('Suite: noble\n')]))
      return undefined
    },
  ],
  ['another key', 'openpgp_signer_unknown', async () => testKey()],
  [
    'a key that had expired',
    'openpgp_key_invalid',
    ({key}) => expiring(key, new Date('2023-01-01'), 3600),
  ],
  [
    'another suite under a good signature',
    'apt_suite_mismatch',
    async ({archive, key}) => {
      const {release} = suiteFiles({...suite, suite: 'noble-updates'})
      archive.files.set(place, await clearsigned(release, [key], suite.date))
      return undefined
    },
  ],
  [
    'a changed byte in the signed text',
    'openpgp_signature_invalid',
    async ({archive}) => {
      const text = (archive.files.get(place) ?? Buffer.alloc(0)).toString('utf8')
      archive.files.set(place, Buffer.from(text.replace('Origin: Ubuntu', 'Origin: Ubuntv')))
      return undefined
    },
  ],
  ['an id that is no date', 'snapshot_id_impossible', async () => undefined, '20250231T000000Z'],
  ['an id in the future', 'snapshot_in_future', async () => undefined, '29990101T000000Z'],
  ['an id in lower case', 'snapshot_id_malformed', async () => undefined, newId.toLowerCase()],
]

for (const [name, code, arrange, id = newId] of wrongArchives)
  test(`a snapshot with ${name}: ${code}, and nothing has changed`, async () => {
    const archive = await serveArchive()
    try {
      const key = await testKey()
      await publish(archive, `/ubuntu/${newId}`, suite, [key])
      const trusted = (await arrange({archive, key})) ?? key
      const keyring = join(temporaryFolder(), 'test.gpg')
      writeFileSync(keyring, trusted.publicKey)
      const repository = sampleRepository({
        'build.yaml': `env:\n  APT_SNAPSHOT: ${oldId}\n`,
        'playbooks/dracut.yaml': snapshotPlaybook(archive, keyring, trusted),
      })
      const before = stateOf(repository)
      const {PATH: _, HOME: __, ...identity} = gitEnv
      const env = {...identity, XDG_CACHE_HOME: temporaryFolder()}
      const cwd = repository.root
      const ran = await runRel(['bump', 'dracut', `NEW=${id}`, '--json'], {cwd, env})
      assert.equal([errorOf(ran).code, ran.code], [code, exitCodeOf(code)], ran.stdout)
      assert.equal(stateOf(repository), before)
    } finally {
      await archive.close()
    }
  })

function snapshotPlaybook(archive: LoopbackArchive, file: string, {fingerprint}: TestKey): string {
  return stringify({
    item: 'dracut',
    title: 'a SYNTHETIC snapshot',
    upstream: {
      kind: 'apt_snapshot',
      distribution: 'ubuntu',
      architectures: ['arm64'],
      packages: ['dracut'],
      suites: [
        {
          name: 'noble',
          url: `${archive.url}/ubuntu/{snapshot}`,
          components: ['main'],
          max_age_days: 14,
        },
      ],
      keyring: {file, fingerprints: [fingerprint]},
    },
    verify: {min: 'L3'},
    pins: [{file: 'build.yaml', kind: 'yaml_path', path: 'env.APT_SNAPSHOT'}],
    change: {base: 'develop'},
  })
}

test.run()
