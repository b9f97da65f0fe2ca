import {chmodSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import {snapshotIdAt} from '../../src/upstream/apt/snapshot-id.ts'
import {
  type LoopbackArchive,
  packageOf,
  publish,
  serveArchive,
  type TestKey,
  testKey,
} from '../support/apt-archive.ts'
import {checkout} from '../support/built.ts'
import {
  gitEnv,
  personalState,
  type SampleRepository,
  sampleRepository,
} from '../support/bump/repository.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import {needs} from '../support/needs.ts'
import {type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// playbooks/dracut.yaml as it is shipped, through whole bumps: real builds, the real apt of this
// machine, git, a GitHub on loopback. The snapshots are SYNTHETIC and signed by a TEST key: the
// services of Ubuntu cannot be reached from tests.

type Context = {archive: LoopbackArchive; key: TestKey; keyring: string}

const test = suite<Context>('dracut, from SYNTHETIC snapshots signed by a TEST key')

const DAY_SECS = 86_400
const midnight = Math.floor(Date.now() / 1000 / DAY_SECS) * DAY_SECS
const [oldAt, newAt] = [midnight - 9 * DAY_SECS, midnight - 2 * DAY_SECS]
const [oldId, newId] = [snapshotIdAt(oldAt), snapshotIdAt(newAt)]
const digest = `sha256:${'5a'.repeat(32)}`

function define(): void {
  test.before(async (context) => {
    context.key = await testKey()
    context.keyring = join(temporaryFolder(), 'test-keyring.gpg')
    writeFileSync(context.keyring, context.key.publicKey)
    context.archive = await serveArchive()
    for (const [id, at] of [
      [oldId, oldAt],
      [newId, newAt],
    ] as const)
      await publishSnapshot(context, id, at)
  })
  test.after(async ({archive}) => archive.close())
  defineGood()
  for (const [name, code, change] of wrong) defineWrong(name, code, change)
  defineAudit()
  defineRefusedInputs()
}

async function publishSnapshot({archive, key}: Context, id: string, at: number): Promise<void> {
  const dracut = (version: string) => {
    const both = ['dracut', 'dracut-core'].map((name) => packageOf(name, version, 'cpio'))
    return {amd64: both, arm64: both}
  }
  const released = new Date('2024-04-25T10:00:00Z')
  const yesterday = new Date((at - DAY_SECS) * 1000)
  const newer = id === newId ? '060+5-1ubuntu3.4' : '060+5-1ubuntu3.3'
  for (const [suite, date, packages] of [
    ['noble', released, dracut('060+5-1ubuntu3')],
    ['noble-updates', yesterday, dracut(newer)],
    ['noble-security', yesterday, {amd64: [], arm64: []}],
  ] as const)
    await publish(archive, `/ubuntu/${id}`, {suite, codename: 'noble', date, packages}, [key])
}

function shippedPlaybook({archive, key, keyring}: Context, forge: FakeGitHub): string {
  const text = readFileSync(join(checkout, 'playbooks/dracut.yaml'), 'utf8')
  return text
    .replaceAll('https://snapshot.ubuntu.com', archive.url)
    .replaceAll('components: [main, universe]', 'components: [main]')
    .replace(/file: \/usr\/share\/keyrings\/.*/, `file: '${keyring}'`)
    .replace(/( +- )[0-9A-F]{40} # .*\n +- [0-9A-F]{40} # .*\n/, `$1${key.fingerprint}\n`)
    .replace(
      '  base: develop\n',
      `  base: develop\n  forge: {kind: github, repository: fleet/os, api_url: ${forge.url}}\n`,
    )
}

const workflow = `on:
  workflow_dispatch:
    inputs:
      apt_snapshot: {type: string}
      base_image_digest: {type: string}
env:
  APT_SNAPSHOT: \${{ inputs.apt_snapshot || '${oldId}' }} # also in the manifest
`

/** A small real build: an archive of files, and a manifest that says what it was made from. */
function build(archive: LoopbackArchive): string {
  return `#!/bin/sh
set -eu
if [ "$1" = --print-sources ]; then
  echo Types: deb
  echo "URIs: ${archive.url}/ubuntu/$APT_SNAPSHOT"
  echo Suites: noble noble-updates noble-security
  echo Components: main
  exit
fi
mkdir -p build
LC_ALL=C tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \\
  --mode=a=rX -cf build/initrd.tar files
sum=$(sha256sum build/initrd.tar | cut -d ' ' -f 1)
printf '{"apt_snapshot":"%s","base_image":"%s","initrd":"%s"}\\n' \\
  "$APT_SNAPSHOT" "$BASE_IMAGE_DIGEST" "$sum" >build/build-manifest.json
`
}

type Setting = {
  readonly repository: SampleRepository
  readonly forge: FakeGitHub
  rel(...args: readonly string[]): Promise<Ran>
  bump(...args: readonly string[]): Promise<Ran>
}

async function inSetting(
  context: Context,
  use: (setting: Setting) => Promise<void>,
  script: string = build(context.archive),
): Promise<void> {
  const repository = sampleRepository({
    '.gitignore': 'initramfs/build/\n',
    'initramfs/.gitea/workflows/build.yaml': workflow,
    'initramfs/build.sh': script,
    'initramfs/files/module-setup.sh': 'check() { return 0; }\n',
  })
  const forge = await startFakeGitHub({
    repositories: [
      {
        name: 'fleet/os',
        defaultBranch: 'develop',
        gitFolder: repository.remote,
        workflows: ['build.yaml'],
      },
    ],
  })
  try {
    chmodSync(join(repository.root, 'initramfs/build.sh'), 0o755)
    repository.write('playbooks/dracut.yaml', shippedPlaybook(context, forge))
    repository.commit('feat: a playbook')
    repository.git('push', '--quiet', 'origin', 'develop')
    const {PATH: _, HOME: __, ...identity} = gitEnv
    const token = {GITHUB_API_URL: forge.url, REL_GITHUB_TOKEN: 'fake-token'}
    const env = {...identity, ...token, XDG_CACHE_HOME: temporaryFolder()}
    const options = {cwd: repository.root, env, patienceSecs: 200}
    const rel = (...args: readonly string[]) => runRel(args, options)
    const bump = (...args: readonly string[]) => rel('bump', 'dracut', ...args, '--json')
    await use({repository, forge, rel, bump})
  } finally {
    await forge.close()
  }
}

type Document = {
  readonly result?: {
    readonly gates: readonly {readonly gate: string; readonly verdict: string}[]
    readonly commit: string
    readonly pull_request: {readonly number: number}
  }
  readonly error?: {readonly code: string; readonly message: string}
}
const documentOf = ({stdout}: Ran) => JSON.parse(stdout) as Document

const words = [`NEW=${newId}`, `BASE_IMAGE_DIGEST=${digest}`]

function defineGood(): void {
  test('verified, asked of apt, built twice, committed, and the workflow started', async (context) => {
    await inSetting(context, async ({repository, forge, bump}) => {
      const before = personalState(repository)
      const ran = await bump(...words)
      assert.is(ran.code, 0, ran.stdout + ran.stderr)
      const {result} = documentOf(ran)
      assert.equal(
        result?.gates.map(({gate, verdict}) => [gate, verdict]),
        [
          ['prints its sources', 'passed'],
          ['apt_sources', 'passed'],
          ['reproducible', 'passed'],
        ],
      )
      const branch = `bump/dracut-${newId}`
      const {git} = repository
      const text = git('show', `${branch}:initramfs/.gitea/workflows/build.yaml`)
      assert.is(`${text}\n`, workflow.replace(oldId, newId))
      const lock = JSON.parse(git('show', `${branch}:rel.lock.json`)) as {
        items: {dracut: {upstream: {packages: {name: string; arch: string; version: string}[]}}}
      }
      assert.equal(
        lock.items.dracut.upstream.packages.map(({name, arch, version}) => [name, arch, version]),
        ['amd64', 'arm64'].flatMap((arch) =>
          ['dracut', 'dracut-core'].map((name) => [name, arch, '060+5-1ubuntu3.4']),
        ),
      )
      assert.equal(
        forge.dispatches.map(({repository, workflow, ref, inputs}) => ({
          ...{repository, workflow, ref, inputs},
        })),
        [
          {
            repository: 'fleet/os',
            workflow: 'build.yaml',
            ref: branch,
            inputs: {apt_snapshot: newId, base_image_digest: digest},
          },
        ],
      )
      const {number = 0} = result?.pull_request ?? {}
      const answer = await fetch(`${forge.url}/repos/fleet/os/pulls/${number}`)
      const pull = (await answer.json()) as {body: string; head: {sha: string}}
      assert.is(pull.head.sha, result?.commit)
      for (const wanted of ['two builds', 'InRelease signature', '5-1ubuntu3.4'])
        assert.ok(pull.body.includes(wanted), `${wanted} is not in\n${pull.body}`)
      assert.equal({...personalState(repository), branches: before.branches}, before)
    })
  })
}

const wrong: readonly [string, string, (script: string) => string][] = [
  [
    'a build with the time in it',
    'repro_differs',
    (script) => script.replace('"base_image"', '"made":"\'$(date +%s%N)\'","base_image"'),
  ],
  [
    'a build with its folder in it',
    'repro_differs',
    (script) =>
      script.replace('"base_image"', '"in":"\'$(pwd | cksum | cut -c1-5)\'","base_image"'),
  ],
  [
    'a build that fails',
    'repro_build_failed',
    (script) => script.replace('mkdir -p build', 'exit 3'),
  ],
  [
    'a build without a manifest',
    'repro_output_missing',
    (script) => script.replace('>build/build-manifest.json', ''),
  ],
  [
    'a pin that apt does not see',
    'pin_ineffective',
    (script) =>
      script
        .replace('/$APT_SNAPSHOT"', '"')
        .replace('exit\n', 'echo "Snapshot: $APT_SNAPSHOT"\n  exit\n'),
  ],
]
function defineWrong(name: string, code: string, change: (script: string) => string): void {
  test(`not bumped: ${name}`, async (context) => {
    const script = build(context.archive)
    const changed = change(script)
    assert.is.not(changed, script)
    await inSetting(
      context,
      async ({repository, forge, bump}) => {
        const before = personalState(repository)
        const {error} = documentOf(await bump(...words))
        assert.is(error?.code, code, error?.message)
        assert.equal(personalState(repository), before)
        assert.equal(forge.dispatches, [])
        assert.is(repository.git('ls-remote', 'origin', 'refs/heads/bump/*'), '')
      },
      changed,
    )
  })
}

/** What was verified in the bump is asked for again later, and told when it is another. */
function defineAudit(): void {
  test('audited: unchanged, then a snapshot that is another one under the same id', async (context) => {
    await inSetting(context, async ({repository, rel, bump}) => {
      assert.is((await bump(...words, '--no-push')).code, 0)
      repository.git('merge', '--quiet', '--ff-only', `bump/dracut-${newId}`)
      const {stdout, code} = await rel('bump', 'audit', 'dracut')
      assert.is(code, 0, stdout)
      const path = `/ubuntu/${newId}/dists/noble-security/InRelease`
      const kept = context.archive.files.get(path)
      const {archive, key} = context
      const noble = {suite: 'noble-security', codename: 'noble', packages: {amd64: [], arm64: []}}
      const date = new Date((newAt - 3600) * 1000)
      await publish(archive, `/ubuntu/${newId}`, {...noble, date}, [key])
      const drifted = await rel('bump', 'audit', 'dracut')
      archive.files.set(path, kept as Buffer)
      assert.is(drifted.code, 20)
      assert.match(drifted.stdout + drifted.stderr, /snapshot_changed: noble-security/)
      assert.match(drifted.stderr, 'pin_drift')
    })
  })
}

function defineRefusedInputs(): void {
  test('not bumped: without the base image, a snapshot that is not there, impossible ids', async (context) => {
    await inSetting(context, async ({repository, bump}) => {
      const before = personalState(repository)
      const base = `BASE_IMAGE_DIGEST=${digest}`
      for (const [code, ...args] of [
        ['input_required', `NEW=${newId}`],
        ['pin_value_refused', `NEW=${newId}`, 'BASE_IMAGE_DIGEST=sha256:5a'],
        ['pin_value_refused', `NEW=${newId.toLowerCase()}`, base],
        ['snapshot_id_impossible', 'NEW=20250231T000000Z', base],
        ['snapshot_in_future', 'NEW=29990101T000000Z', base],
        ['snapshot_too_early', 'NEW=20230228T000000Z', base],
        ['http_not_found', `NEW=${snapshotIdAt(newAt - 60)}`, base],
      ] as const) {
        const {error} = documentOf(await bump(...args))
        assert.is(error?.code, code, error?.message)
      }
      assert.equal(personalState(repository), before)
    })
  })
}

if (needs('apt-get', 'faketime', 'tar')) define()

test.run()
