import {createHash} from 'node:crypto'
import {mkdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {
  gitEnv,
  personalState,
  type SampleRepository,
  sampleRepository,
} from '../../test/support/bump/repository.ts'
import {type ProgramArch, printingProgram} from '../../test/support/elf-program.ts'
import {type FakeGitHub, startFakeGitHub} from '../../test/support/github/fake-github.ts'
import type {ReleaseSeed} from '../../test/support/github/release-store.ts'
import {
  sums,
  syntheticTraefik,
  tarGz,
  traefikChangelog,
} from '../../test/support/github/upstream-releases.ts'
import {isOnPath} from '../../test/support/needs.ts'
import {
  announce,
  command,
  fail,
  folder,
  heading,
  indented,
  type Place,
  root,
  run,
  runProgram,
  runRefused,
  say,
  skip,
} from './stage.ts'

/** What `make` does with the programs that rel has verified; a real one would be no longer. */
const makefile = `TRAEFIK_VERSION := v3.3.4
PROGRAM := dist/reverse-proxy-traefik-linux

vendor-traefik:
\tmkdir -p dist
\tcp $(REL_ASSET_AMD64) $(PROGRAM)-amd64
\tcp $(REL_ASSET_ARM64) $(PROGRAM)-arm64

clean-traefik:
\trm -f $(PROGRAM)-*
`

const upstream = 'traefik/traefik'
const arches: readonly ProgramArch[] = ['amd64', 'arm64']
const assetName = (version: string, arch: ProgramArch): string =>
  `traefik_${version}_linux_${arch}.tar.gz`

/** One vendored program moves in a sample repository; then its upstream is attacked. */
export async function showBump(): Promise<void> {
  say(heading('6. A vendored program moves: one pin, proved before it is committed'))
  const absent = ['git', 'make'].filter((program) => !isOnPath(program))
  if (absent.length > 0) {
    skip('a bump in a sample repository', `${absent.join(' and ')} not found`)
    return
  }
  const fleet = join(folder, 'fleet')
  mkdirSync(fleet)
  const github = await startImitation(join(fleet, 'remote.git'))
  const repository = sampleRepository(sampleFiles(github), fleet)
  const {PATH: _, HOME: __, ...identity} = gitEnv
  const env = {...identity, GITHUB_API_URL: github.url, REL_GITHUB_TOKEN: 'fake-token'}
  const place: Place = {cwd: 'fleet/work', env}
  say(
    `  fleet/work is a git repository with a bare remote and this project's playbooks/traefik.yaml.`,
    '  GitHub is an imitation on this machine: releases with the real names of Traefik, and in them',
    '  small programs that print their version. Nothing leaves this machine.',
  )
  await bump(place, repository, github)
  await attack(place, repository, github)
  await github.close()
}

async function startImitation(gitFolder: string): Promise<FakeGitHub> {
  const versions = ['v3.3.4', 'v3.3.5', 'v3.3.6']
  return startFakeGitHub({
    repositories: [
      {
        name: upstream,
        files: {'CHANGELOG.md': traefikChangelog},
        tags: versions,
        releases: await Promise.all(versions.map(releaseOf)),
      },
      {name: 'fleet/os', defaultBranch: 'develop', gitFolder},
    ],
  })
}

/** A release with all of Traefik's names; the archives for Linux have programs that run. */
async function releaseOf(version: string): Promise<ReleaseSeed> {
  const seed = await syntheticTraefik(version)
  const files: Record<string, Buffer> = {}
  for (const arch of arches) files[assetName(version, arch)] = await archiveOf(version, arch)
  const checksums = `traefik_${version}_checksums.txt`
  const bytes: Readonly<Record<string, Buffer | string>> = {...files, [checksums]: sums(files)}
  return {
    ...seed,
    assets: seed.assets.map((asset) => {
      const own = bytes[asset.name]
      return own === undefined ? asset : {name: asset.name, bytes: own}
    }),
  }
}

function archiveOf(version: string, arch: ProgramArch): Promise<Buffer> {
  const says = `Version:      ${version.slice(1)}\nOS/Arch:      linux/${arch}\n`
  return tarGz([
    ['CHANGELOG.md', traefikChangelog],
    ['LICENSE.md', 'of an imitation\n'],
    ['traefik', printingProgram(arch, says)],
  ])
}

function sampleFiles({url, webUrl}: FakeGitHub): Readonly<Record<string, string>> {
  return {
    '.gitignore': 'dist/\n',
    'agent/Makefile': makefile,
    'playbooks/traefik.yaml': playbookFor(url, webUrl),
  }
}

/** The project's own playbook, told where the imitation is; programs that cannot run here are not. */
function playbookFor(url: string, webUrl: string): string {
  const text = readFileSync(join(root, 'playbooks/traefik.yaml'), 'utf8')
  const pointed = replaced(
    text,
    `  repository: ${upstream}\n`,
    (line) => `${line}  api_url: ${url}\n  web_url: ${webUrl}\n`,
  )
  return arches.filter((arch) => !canRun(arch)).reduce(withoutRun, withForge(pointed, url))
}

function withForge(text: string, url: string): string {
  const forge = `  forge: {kind: github, repository: fleet/os, api_url: ${url}}\n`
  return replaced(text, 'change:\n', (line) => `${line}${forge}`)
}

function withoutRun(text: string, arch: ProgramArch): string {
  skip(`running the program for ${arch}`, 'nothing here emulates it; Debian has qemu-user-static')
  return text.replace(new RegExp(`^ *- \\{uses: run,.* arch: ${arch},.*\n`, 'm'), '')
}

function canRun(arch: ProgramArch): boolean {
  if (process.arch === (arch === 'amd64' ? 'x64' : 'arm64')) return true
  const name = `qemu-${arch === 'amd64' ? 'x86_64' : 'aarch64'}`
  return isOnPath(`${name}-static`) || isOnPath(name)
}

function replaced(text: string, part: string, by: (part: string) => string): string {
  if (!text.includes(part)) fail(`${JSON.stringify(part)} in the playbook`)
  return text.replace(part, by(part))
}

async function bump(place: Place, repository: SampleRepository, github: FakeGitHub): Promise<void> {
  const before = personalState(repository)
  await run('bump plan traefik NEW=v3.3.5', 0, place)
  if (!isSame(before, personalState(repository))) fail('a plan that writes nothing')
  await run('bump traefik NEW=v3.3.5', 0, place)
  await show(['diff', '--stat', 'develop', 'bump/traefik-v3.3.5'], place)
  const answer = await fetch(`${github.url}/repos/fleet/os/pulls/1`)
  const {title, body} = (await answer.json()) as {title: string; body: string}
  const sections = body.split(/^(?=## )/m)
  const rollback =
    sections.find((section) => section.startsWith('## Rollback')) ?? fail('a rollback')
  const names = sections.flatMap((section) => /^## (.*)/.exec(section)?.[1] ?? [])
  say('', `  The pull request “${title}” is its own evidence:`, `  ${names.join(', ')}.`)
  say('', indented(rollback))
}

async function show(args: readonly string[], place: Place): Promise<void> {
  say('', command(`git ${args.join(' ')}`))
  const {status, said} = await runProgram('git', args, place)
  say(indented(said))
  if (status !== 0) fail(`git ${args[0]} to work`)
}

async function attack(place: Place, repository: SampleRepository, github: FakeGitHub) {
  say(heading('7. Now somebody attacks its upstream'))
  const name = assetName('v3.3.6', 'amd64')
  announce(`One bit of ${name} is flipped, the checksum file is as it was`)
  const before = personalState(repository)
  const bytes = await archiveOf('v3.3.6', 'amd64')
  bytes[100] = (bytes[100] ?? 0) ^ 1
  github.releases.replaceAsset(upstream, 'v3.3.6', {name, bytes, digest: null})
  await runRefused('bump traefik NEW=v3.3.6', 'http_digest_mismatch', place)
  if (!isSame(before, personalState(repository))) fail('nothing to have changed')
  say('', '  HEAD, index, branches and every file are as they were.')

  announce('Weeks after the merge somebody moves the tag of the version that runs')
  repository.git('merge', '--quiet', '--ff-only', 'bump/traefik-v3.3.5')
  await github.moveTag(upstream, 'v3.3.5')
  await runRefused('bump audit traefik', 'pin_drift', place)
}

function isSame(one: Readonly<Record<string, string>>, other: typeof one): boolean {
  const digest = (state: typeof one) =>
    createHash('sha256').update(JSON.stringify(state)).digest('hex')
  return digest(one) === digest(other)
}
