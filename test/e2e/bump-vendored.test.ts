import {mkdirSync, readdirSync, readFileSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {checkout} from '../support/built.ts'
import {
  gitEnv,
  personalState,
  type SampleRepository,
  sampleRepository,
} from '../support/bump/repository.ts'
import {type ProgramArch, printingProgram} from '../support/elf-program.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import type {ReleaseSeed} from '../support/github/release-store.ts'
import {sums, tarGz, traefikChangelog} from '../support/github/upstream-releases.ts'
import {needs} from '../support/needs.ts'
import {type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// playbooks/traefik.yaml and playbooks/k3s.yaml as they are shipped, through whole bumps. The
// releases are SYNTHETIC: real names and layouts, and programs that are real static ELF files for
// both architectures, which print what the real ones print and do nothing else.

const arches = ['amd64', 'arm64'] as const
const host: ProgramArch = process.arch === 'arm64' ? 'arm64' : 'amd64'

/** What a release holds for an architecture, and what the program says. */
type Programs = Readonly<Record<ProgramArch, Buffer>>

type Item = {
  readonly name: 'traefik' | 'k3s'
  readonly repository: string
  readonly old: string
  readonly new: string
  readonly files: Readonly<Record<string, string>>
  readonly artifacts: Readonly<Record<ProgramArch, string>>
  /** As the real program prints its version. */
  readonly says: (version: string) => string
  readonly release: (version: string, programs: Programs) => Promise<ReleaseSeed>
}

const traefik: Item = {
  name: 'traefik',
  repository: 'traefik/traefik',
  old: 'v3.3.4',
  new: 'v3.3.5',
  files: {
    'agent/Makefile': `TRAEFIK_VERSION := v3.3.4

clean-traefik:
\trm -rf dist
vendor-traefik:
\tmkdir -p dist
\tcp "$(REL_ASSET_AMD64)" dist/reverse-proxy-traefik-linux-amd64
\tcp "$(REL_ASSET_ARM64)" dist/reverse-proxy-traefik-linux-arm64
`,
  },
  artifacts: {
    amd64: 'agent/dist/reverse-proxy-traefik-linux-amd64',
    arm64: 'agent/dist/reverse-proxy-traefik-linux-arm64',
  },
  says: (version) =>
    `Version:      ${version.slice(1)}\nCodename:     synthetic\nGo version:   go1.23.7\n`,
  release: async (version, programs) => {
    const files: Record<string, Buffer> = {}
    for (const arch of arches)
      files[`traefik_${version}_linux_${arch}.tar.gz`] = await tarGz([
        ['CHANGELOG.md', traefikChangelog],
        ['LICENSE.md', 'synthetic licence\n'],
        ['traefik', programs[arch]],
      ])
    return releaseOf(version, {...files, [`traefik_${version}_checksums.txt`]: sums(files)})
  },
}

const k3s: Item = {
  name: 'k3s',
  repository: 'k3s-io/k3s',
  old: 'v1.31.3+k3s1',
  new: 'v1.31.4+k3s1',
  files: {
    'modules/powernode-k3s-binary/manifest.yaml': 'build:\n  k3s_version: "v1.31.3+k3s1"\n',
    'modules/powernode-k3s-binary/Makefile': `vendor:
\tmkdir -p dist
\tcp "$(REL_ASSET_AMD64)" dist/k3s-amd64
\tcp "$(REL_ASSET_ARM64)" dist/k3s-arm64
`,
  },
  artifacts: {
    amd64: 'modules/powernode-k3s-binary/dist/k3s-amd64',
    arm64: 'modules/powernode-k3s-binary/dist/k3s-arm64',
  },
  says: (version) => `k3s version ${version} (6e6af988)\ngo version go1.22.8\n`,
  release: async (version, programs) => {
    const named = {amd64: {k3s: programs.amd64}, arm64: {'k3s-arm64': programs.arm64}}
    return releaseOf(version, {
      ...named.amd64,
      ...named.arm64,
      'sha256sum-amd64.txt': sums(named.amd64),
      'sha256sum-arm64.txt': sums(named.arm64),
      'k3s-airgap-images-amd64.tar.zst': 'synthetic images',
      'k3s-airgap-images-arm64.tar.zst': 'synthetic images',
    })
  },
}

function releaseOf(tag: string, files: Readonly<Record<string, Buffer | string>>): ReleaseSeed {
  return {
    tag,
    body: tag,
    publishedAt: '2025-03-31T09:21:00Z',
    assets: Object.entries(files).map(([name, bytes]) => ({name, bytes})),
  }
}

function programsOf({says}: Item, version: string): Programs {
  const program = (arch: ProgramArch) => printingProgram(arch, says(version))
  return {amd64: program('amd64'), arm64: program('arm64')}
}

type Setting = {
  readonly repository: SampleRepository
  bump(env?: Readonly<Record<string, string>>): Promise<Ran>
}

/** The item at its old version, and a release of the new one with these programs. */
async function inSetting(
  item: Item,
  programs: Programs,
  use: (setting: Setting) => Promise<void>,
): Promise<void> {
  const releases = [
    await item.release(item.old, programsOf(item, item.old)),
    await item.release(item.new, programs),
  ]
  const fake = await startFakeGitHub({
    repositories: [
      {
        name: item.repository,
        files: {'CHANGELOG.md': traefikChangelog},
        tags: [item.old, item.new],
        releases,
      },
    ],
  })
  const repository = sampleRepository({
    ...item.files,
    '.gitignore': 'dist/\n',
    [`playbooks/${item.name}.yaml`]: shippedPlaybook(item, fake),
  })
  const {PATH: _, HOME: __, ...identity} = gitEnv
  const env = {...identity, XDG_CACHE_HOME: temporaryFolder()}
  const words = ['bump', item.name, `NEW=${item.new}`, '--json']
  try {
    await use({
      repository,
      bump: (more = {}) =>
        runRel(words, {cwd: repository.root, env: {...env, ...more}, patienceSecs: 120}),
    })
  } finally {
    await fake.close()
  }
}

function shippedPlaybook({name, repository}: Item, fake: FakeGitHub): string {
  const text = readFileSync(join(checkout, 'playbooks', `${name}.yaml`), 'utf8')
  const line = `  repository: ${repository}\n`
  assert.ok(text.includes(line))
  return text.replace(line, `${line}  api_url: ${fake.url}\n  web_url: ${fake.webUrl}\n`)
}

type Document = {
  readonly result?: {
    readonly gates: readonly {readonly gate: string; readonly summary: string}[]
    readonly branch: string
    readonly commit: string
  }
  readonly error?: {readonly code: string; readonly message: string}
}
const documentOf = ({stdout}: Ran) => JSON.parse(stdout) as Document

function suite(): void {
  for (const item of [traefik, k3s])
    test(`${item.name}: vendored for two architectures, inspected, run, committed`, async () => {
      await inSetting(item, programsOf(item, item.new), async ({repository, bump}) => {
        const before = personalState(repository)
        const ran = await bump()
        assert.is(ran.code, 0, ran.stdout + ran.stderr)
        const {result} = documentOf(ran)
        const printed = item.name === 'traefik' ? item.new.slice(1) : item.new
        assert.equal(
          result?.gates.map(({gate, summary}) => `${gate}: ${summary}`),
          [
            'elf amd64: ELF 64-bit program for x86_64, static',
            'elf arm64: ELF 64-bit program for aarch64, static',
            `run amd64: it says ${printed}`,
            `run arm64: it says ${printed}`,
          ],
        )
        const branch = `bump/${item.name}-${item.new}`
        const {git} = repository
        assert.is(git('ls-remote', 'origin', `refs/heads/${branch}`).split('\t')[0], result?.commit)
        const lock = JSON.parse(git('show', `${branch}:rel.lock.json`)) as {
          items: Record<string, {artifacts: Record<string, string>}>
        }
        assert.equal(
          Object.keys(lock.items[item.name]?.artifacts ?? {}).sort(),
          Object.values(item.artifacts).sort(),
        )
        assert.equal({...personalState(repository), branches: before.branches}, before)
      })
    })

  const {amd64, arm64} = programsOf(traefik, traefik.new)
  const other = programsOf(traefik, 'v3.3.50')
  const dynamic = {amd64, arm64, [host]: readFileSync('/usr/bin/env')}

  /** Each is verified well: upstream itself has made the mistake. */
  const wrong: readonly [string, Programs, string, Readonly<Record<string, string>>?][] = [
    ['the program of amd64 in the archive of arm64', {amd64, arm64: amd64}, 'elf_machine'],
    ['a dynamic program', dynamic, 'elf_dynamic'],
    ['a web page for a program', {amd64, arm64: Buffer.from('<html>\n')}, 'elf_not'],
    ['another version for amd64', {amd64: other.amd64, arm64}, 'run_text_missing'],
    ['another version for arm64', {amd64, arm64: other.arm64}, 'run_text_missing'],
    [
      'no emulator, which is no pass',
      {amd64, arm64},
      'gate_unavailable',
      {PATH: withoutEmulators()},
    ],
  ]
  for (const [name, programs, code, env] of wrong)
    test(`traefik is not bumped: ${name}`, async () => {
      await inSetting(traefik, programs, async ({repository, bump}) => {
        const before = personalState(repository)
        const {error} = documentOf(await bump(env))
        assert.is(error?.code, code, error?.message)
        assert.equal(personalState(repository), before)
        assert.is(repository.git('ls-remote', 'origin', 'refs/heads/bump/*'), '')
      })
    })
}

/** A PATH with everything of this machine but its emulators. */
function withoutEmulators(): string {
  const folder = join(temporaryFolder(), 'tools')
  mkdirSync(folder)
  for (const name of readdirSync('/usr/bin'))
    if (!name.startsWith('qemu-')) symlinkSync(join('/usr/bin', name), join(folder, name))
  return folder
}

if (needs('make', host === 'amd64' ? 'qemu-aarch64-static' : 'qemu-x86_64-static')) suite()

test.run()
