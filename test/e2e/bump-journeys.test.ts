import {spawn, spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {setTimeout as later} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parse} from 'yaml'
import {builtPackage} from '../support/built.ts'
import {gitEnv, personalState} from '../support/bump/repository.ts'
import {
  inTraefikSetting,
  type TraefikSetting,
  withPlaybook,
} from '../support/bump/traefik-setting.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import {amd64, replaceAsset} from '../support/github/traefik-mutations.ts'
import {needs} from '../support/needs.ts'
import {cleanEnv, type Ran, run, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// Whole ways that people go with rel bump, as it is built.

const BRANCH = 'bump/traefik-v3.3.5'
const SUBJECT = 'chore(traefik): bump traefik v3.3.4 → v3.3.5'

function resultOf(ran: Ran): Record<string, unknown> {
  assert.is(ran.code, 0, ran.stdout + ran.stderr)
  return (JSON.parse(ran.stdout) as {result: Record<string, unknown>}).result
}

function codeOf({stdout}: Ran): string | undefined {
  return (JSON.parse(stdout) as {error?: {code: string}}).error?.code
}

/** Every path below a folder with its kind, mode, size, time and content. */
function everything(folder: string): Record<string, string> {
  const paths = readdirSync(folder, {recursive: true, encoding: 'utf8'}).sort()
  return Object.fromEntries(
    paths.map((path) => {
      const full = join(folder, path)
      const stat = lstatSync(full)
      const content = stat.isSymbolicLink()
        ? readlinkSync(full)
        : stat.isFile()
          ? createHash('sha256').update(readFileSync(full)).digest('hex')
          : ''
      return [path, `${stat.mode} ${stat.size} ${stat.mtimeMs} ${content}`]
    }),
  )
}

test('a plan shows the exact diff and the evidence, and writes nothing, not even into .git', () =>
  inTraefikSetting(async ({repository, rel}) => {
    const before = everything(dirname(repository.root))
    const ran = await rel('bump', 'plan', 'traefik', 'NEW=v3.3.5')
    assert.is(ran.code, 0, ran.stderr)
    assert.equal(everything(dirname(repository.root)), before)
    for (const wanted of [
      /^-TRAEFIK_VERSION := v3\.3\.4\n\+TRAEFIK_VERSION := v3\.3\.5$/m,
      /^\+\+\+ b\/rel\.lock\.json$/m,
      /^✔ L1 traefik_v3\.3\.5_linux_arm64\.tar\.gz: checksum file/m,
      /^! the changelog names CVE-2025-32431$/m,
      /^ {2}git revert --no-edit .*chore\(traefik\): bump traefik /m,
      /^Nothing was written\.$/m,
    ])
      assert.match(ran.stdout, wanted)
    assert.match(ran.stderr, /^Next: rel bump traefik NEW=v3\.3\.5$/m)
    assert.not.match(ran.stderr, /^Undo:/m)
    // the diff that was shown is the one that the bump makes
    const {diffs} = resultOf(await rel('bump', 'plan', 'traefik', 'NEW=v3.3.5', '--json'))
    await rel('bump', 'traefik', 'NEW=v3.3.5', '--json')
    const [shown] = diffs as {path: string; diff: string}[]
    const made = repository.git('diff', 'develop', BRANCH, '--', 'agent/Makefile')
    assert.is(shown?.path, 'agent/Makefile')
    assert.ok(made.endsWith((shown?.diff ?? '?').trimEnd()), made)
  }))

/** With a forge where the pull request goes, which is another server than the upstream. */
async function inForgeSetting(
  use: (
    setting: TraefikSetting & {
      readonly forge: FakeGitHub
      withToken(args: readonly string[], extra?: Readonly<Record<string, string>>): Promise<Ran>
    },
  ) => Promise<void>,
): Promise<void> {
  await inTraefikSetting(async (setting) => {
    const {repository, cacheHome} = setting
    const forge = await startFakeGitHub({
      repositories: [{name: 'fleet/os', defaultBranch: 'develop', gitFolder: repository.remote}],
      tokens: {'fake-token': 'octo', 'weak-token': 'reader'},
      readOnlyTokens: ['weak-token'],
    })
    try {
      const named = {kind: 'github', repository: 'fleet/os', api_url: forge.url}
      withPlaybook(setting, {change: {base: 'develop', forge: named}})
      const {PATH: _, HOME: __, ...identity} = gitEnv
      const token = {GITHUB_API_URL: forge.url, REL_GITHUB_TOKEN: 'fake-token'}
      const withToken = (args: readonly string[], extra: Readonly<Record<string, string>> = {}) =>
        runRel(args, {
          cwd: repository.root,
          env: {...identity, XDG_CACHE_HOME: cacheHome, ...token, ...extra},
        })
      await use({...setting, forge, withToken})
    } finally {
      await forge.close()
    }
  })
}

const bump = ['bump', 'traefik', 'NEW=v3.3.5', '--json']

async function bodyAt(forge: FakeGitHub, number: unknown): Promise<string> {
  const answer = await fetch(`${forge.url}/repos/fleet/os/pulls/${number}`)
  return ((await answer.json()) as {body: string}).body
}

test('the pull request that is open is updated; a token without rights is refused before', () =>
  inForgeSetting(async ({repository, forge, fake, withToken}) => {
    const before = personalState(repository)
    const asked = fake.requests.length
    const weak = await withToken(bump, {REL_GITHUB_TOKEN: 'weak-token'})
    assert.equal([codeOf(weak), weak.code], ['forge_unauthorised', 21])
    assert.equal(personalState(repository), before)
    assert.is(fake.requests.length, asked, 'nothing was fetched')
    assert.is(codeOf(await withToken(['bump', 'abort', 'traefik', '--json'])), 'bump_not_running')

    const first = resultOf(await withToken(bump))
    const again = resultOf(await withToken(bump))
    assert.equal(again.pull_request, first.pull_request)
    assert.is(again.commit, first.commit, 'the same bump is the same commit')
    const {number} = first.pull_request as {number: number}
    const opened = forge.requests.filter(
      ({method, path}) => method === 'POST' && /pulls$/.test(path),
    )
    assert.is(opened.length, 1)
    const text = readFileSync(join(String(again.evidence), 'pull-request.md'), 'utf8')
    assert.is(await bodyAt(forge, number), text)
  }))

/** Where namespaces are allowed, the kernel blocks sockets too, those of git and make included. */
const unshare = spawnSync('unshare', ['-rn', 'true']).status === 0 ? ['unshare', '-rn'] : []

test('a recorded bump is replayed with sockets blocked: the same tree, the same text, no push', async () => {
  const tape = join(temporaryFolder(), 'tape')
  const kept = {root: '', commit: '', body: '', env: {}}
  const ran = join(temporaryFolder(), 'ran')
  await inForgeSetting(async (setting) => {
    const {repository, forge, withToken} = setting
    const run = ['sh', '-c', `echo once >> '${ran}'`]
    withPlaybook(setting, {gates: [{uses: 'command', name: 'leaves a mark', run}]})
    const recorded = resultOf(await withToken([...bump, '--record', tape]))
    const {number} = recorded.pull_request as {number: number}
    const {PATH: _, HOME: __, ...identity} = gitEnv
    Object.assign(kept, {
      root: repository.root,
      commit: recorded.commit,
      body: await bodyAt(forge, number),
      env: identity,
    })
    repository.git('push', '--quiet', 'origin', '--delete', BRANCH)
    repository.git('branch', '-D', BRANCH)
    repository.git('remote', 'prune', 'origin')
  })
  // upstream, forge, cache and token are gone
  const mark = join(temporaryFolder(), 'mark')
  const blocked = join(import.meta.dirname, '../support/no-sockets.cjs')
  const env = {
    ...kept.env,
    XDG_CACHE_HOME: temporaryFolder(),
    NODE_OPTIONS: `--require=${JSON.stringify(blocked)}`,
    NO_SOCKETS_MARK: mark,
  }
  const rel = join(await builtPackage(), 'bin/rel')
  const replay = (...args: readonly string[]) => {
    const [file = rel, ...words] = [...unshare, rel, ...args, '--replay', tape]
    return run(file, words, {cwd: kept.root, env})
  }
  const git = (...args: readonly string[]) =>
    spawnSync('git', [...args], {cwd: kept.root, env: gitEnv, encoding: 'utf8'}).stdout
  const result = resultOf(await replay(...bump))
  const made = String(result.commit)
  assert.is(git('rev-parse', `${made}^{tree}`), git('rev-parse', `${kept.commit}^{tree}`))
  const message = (commit: string) => git('log', '-1', '--format=%an%n%ct%n%B', commit)
  assert.is(message(made).replace(/^Rel-Replay: .*\n/m, ''), message(kept.commit))
  assert.not.equal(message(made), message(kept.commit))
  assert.is(result.pushed, false)
  assert.equal(
    (result.gates as {gate: string; verdict: string}[]).map((it) => [it.gate, it.verdict]),
    [['leaves a mark', 'passed']],
  )
  assert.match(kept.body, /\*\*passed\*\* `leaves a mark`/)
  assert.is(readFileSync(ran, 'utf8'), 'once\n', 'a replay runs no gate')
  assert.is(readFileSync(join(String(result.evidence), 'pull-request.md'), 'utf8'), kept.body)
  assert.is(git('ls-remote', 'origin', `refs/heads/${BRANCH}`), '')
  assert.is(git('rev-parse', BRANCH).trim(), made)
  assert.match(readFileSync(mark, 'utf8'), /^(loaded\n)+$/)

  // that it compares: another title is another text, which the recording has no answer for
  git('branch', '-D', BRANCH)
  const path = join(kept.root, 'playbooks/traefik.yaml')
  writeFileSync(path, readFileSync(path, 'utf8').replace('reverse proxy', 'edge proxy'))
  git('commit', '--quiet', '--all', '--message', 'chore: another title')
  assert.is(codeOf(await replay(...bump)), 'not_recorded')
  // and that the block would have shown: without the recording something is tried
  const live = await run(rel, ['bump', 'plan', 'traefik', 'NEW=v3.3.5', '--json'], {
    cwd: kept.root,
    env,
  })
  assert.is.not(live.code, 0)
  assert.match(readFileSync(mark, 'utf8'), /tried/)
})

test('of two processes at once one proceeds, the other is told who, and all ends clean', () =>
  inTraefikSetting(async (setting) => {
    const {repository, rel} = setting
    const flags = temporaryFolder()
    const [started, go] = [join(flags, 'started'), join(flags, 'go')]
    const wait = `touch '${started}'; while [ ! -e '${go}' ]; do sleep 0.05; done`
    withPlaybook(setting, {gates: [{uses: 'command', name: 'waits', run: ['sh', '-c', wait]}]})
    const before = personalState(repository)
    const first = rel('bump', 'traefik', 'NEW=v3.3.5', '--json')
    try {
      while (!existsSync(started)) await Promise.race([later(20), first.then(notYet)])
      for (const words of [
        ['bump', 'traefik', 'NEW=v3.3.5'],
        ['bump', 'resume', 'traefik'],
        ['bump', 'abort', 'traefik'],
        ['rollback', 'traefik', '--to', 'v3.3.4'],
      ]) {
        const second = await rel(...words, '--json')
        assert.equal([codeOf(second), second.code], ['bump_in_progress', 24], words.join(' '))
        assert.match(second.stdout, /process \d+ on /)
      }
    } finally {
      writeFileSync(go, '')
    }
    const {commit} = resultOf(await first)
    assert.is(repository.git('rev-parse', BRANCH), commit)
    assert.is(repository.git('log', '--format=%s', `develop..${BRANCH}`), SUBJECT)
    assert.is(repository.git('for-each-ref', 'refs/rel'), '')
    assert.is(codeOf(await rel('bump', 'resume', 'traefik', '--json')), 'bump_not_running')
    repository.git('branch', '-D', BRANCH)
    assert.equal(personalState(repository), before)
  }))

function notYet(ran: Ran): never {
  throw new Error(`ended before its gate: ${ran.stdout}${ran.stderr}`)
}

/** The commands in the one fence of a pull request. */
function commandsOf(body: string): readonly string[] {
  return /^```sh\n([\s\S]*?)\n```$/m.exec(body)?.[1]?.split('\n') ?? []
}

test('what is pinned is locked; the commands of the plan bring the pin and the files back', () =>
  inTraefikSetting(async ({repository, rel, cacheHome}) => {
    assert.is(codeOf(await rel('bump', 'audit', 'traefik', '--json')), 'pin_not_locked')
    const locked = resultOf(await rel('bump', 'traefik', '--lock', '--json'))
    assert.equal([locked.old, locked.new], ['v3.3.4', 'v3.3.4'])
    repository.git('merge', '--quiet', '--ff-only', 'bump/traefik-v3.3.4')
    resultOf(await rel('bump', 'audit', 'traefik', '--json'))
    const old = resultOf(await rel('bump', 'vendor', 'traefik', '--json'))
    assert.equal([old.version, old.locked], ['v3.3.4', true])
    const tree = repository.git('rev-parse', 'HEAD^{tree}')

    const {evidence} = resultOf(await rel('bump', 'traefik', 'NEW=v3.3.5', '--json'))
    repository.git('merge', '--quiet', '--no-ff', '--message', `merge: ${SUBJECT} (#1)`, BRANCH)
    const now = resultOf(await rel('bump', 'vendor', 'traefik', '--json'))
    assert.is.not(JSON.stringify(now.artifacts), JSON.stringify(old.artifacts))

    const body = readFileSync(join(String(evidence), 'pull-request.md'), 'utf8')
    assert.match(body, `Brings back tree \`${tree}\``)
    const bin = join(await builtPackage(), 'bin')
    const {PATH, HOME: _, ...identity} = gitEnv
    const env = {...identity, XDG_CACHE_HOME: cacheHome, PATH: `${bin}:${PATH}`}
    const commands = commandsOf(body)
    assert.is(commands.filter((command) => !command.startsWith('#')).length, 2)
    for (const command of commands) {
      const ran = await run('sh', ['-c', command], {cwd: repository.root, env})
      assert.is(ran.code, 0, `${command}\n${ran.stdout}${ran.stderr}`)
    }
    assert.is(repository.git('rev-parse', 'HEAD^{tree}'), tree)
    for (const {path, sha256} of old.artifacts as {path: string; sha256: string}[]) {
      const bytes = readFileSync(join(repository.root, path))
      assert.is(createHash('sha256').update(bytes).digest('hex'), sha256, path)
      assert.ok(body.includes(`| old, vendored | \`${path}\` |  | \`${sha256}\``), path)
    }
  }))

test('vendored files that are not those of the lock are refused', () =>
  inTraefikSetting(async ({repository, rel}) => {
    resultOf(await rel('bump', 'traefik', '--lock', '--json'))
    repository.git('merge', '--quiet', '--ff-only', 'bump/traefik-v3.3.4')
    const lock = repository.read('rel.lock.json')
    const changed = lock.replace(/("dist\/traefik-arm64": ")[0-9a-f]{8}/, '$100000000')
    assert.is.not(changed, lock)
    repository.write('rel.lock.json', changed)
    repository.commit('chore: a lock by hand')
    const ran = await rel('bump', 'vendor', 'traefik', '--json')
    assert.equal([codeOf(ran), ran.code], ['vendored_differs', 20])
    assert.is(codeOf(await rel('bump', 'vendor', 'gone', '--json')), 'playbook_missing')
  }))

type Drift = readonly [name: string, code: string, drift: (fake: FakeGitHub) => unknown]

const drifts: readonly Drift[] = [
  ['a tag that was moved', 'tag_moved', (fake) => fake.moveTag('traefik/traefik', 'v3.3.5')],
  [
    'an asset that was replaced',
    'asset_replaced',
    (fake) => replaceAsset(fake, amd64, {bytes: 'x'}),
  ],
  [
    'a digest that changed',
    'asset_replaced',
    (fake) => {
      // the same id, size and date: GitHub's digest alone tells
      fake.releases.alterAsset('traefik/traefik', 'v3.3.5', amd64, {
        digest: `sha256:${'0'.repeat(64)}`,
      })
    },
  ],
  [
    'an asset that is gone',
    'asset_gone',
    (fake) => fake.releases.removeAsset('traefik/traefik', 'v3.3.5', amd64),
  ],
  [
    'a release that is gone',
    'release_gone',
    (fake) => fake.releases.remove('traefik/traefik', 'v3.3.5'),
  ],
]

test('an audit passes while nothing changed, and fails on each kind of drift', async () => {
  for (const [name, code, change] of drifts)
    await inTraefikSetting(async ({fake, repository, rel}) => {
      resultOf(await rel('bump', 'traefik', 'NEW=v3.3.5', '--json'))
      repository.git('merge', '--quiet', '--ff-only', BRANCH)
      const good = await rel('bump', 'audit')
      assert.is(good.code, 0, `${name}: ${good.stdout}${good.stderr}`)
      assert.is(good.stdout, '✔ traefik v3.3.5: as it was verified\n')
      await change(fake)
      const before = personalState(repository)
      const ran = await rel('bump', 'audit', 'traefik')
      assert.is(ran.code, 20, name)
      assert.match(ran.stderr, /^✖ pin_drift: traefik changed/m, name)
      assert.match(ran.stdout, new RegExp(`^✖ traefik: ${code}: .+ is .+, was .+$`, 'm'), name)
      assert.equal(personalState(repository), before, name)
    })
})

test('a list shows pin, place, what is newer, level and last audit; also where there is no commit', () =>
  inTraefikSetting(async ({repository, rel, cacheHome}) => {
    const never = await rel('bump', 'list')
    assert.is(
      never.stdout,
      [
        'traefik  v3.3.4',
        '  pin       agent/Makefile:1',
        '  upstream  v3.3.5 is newer',
        '  trust     never verified; the playbook demands L1',
        '  audit     never in this clone',
        '',
      ].join('\n'),
    )
    resultOf(await rel('bump', 'traefik', 'NEW=v3.3.5', '--json'))
    repository.git('merge', '--quiet', '--ff-only', BRANCH)
    resultOf(await rel('bump', 'audit', '--json'))
    const {stdout} = await rel('bump', 'list')
    assert.match(stdout, /^ {2}upstream {2}this is the newest of its line$/m)
    assert.match(stdout, /^ {2}trust {5}L1, verified \d{4}-\d\d-\d\d; the playbook demands L1$/m)
    assert.match(stdout, /^ {2}audit {5}\d{4}-\d\d-\d\d, unchanged$/m)

    const cwd = temporaryFolder()
    const {PATH: _, HOME: __, ...identity} = gitEnv
    const env = {...identity, XDG_CACHE_HOME: cacheHome}
    spawnSync('git', ['init', '--quiet', cwd], {env: gitEnv})
    const empty = await runRel(['bump', 'list'], {cwd, env})
    assert.equal([empty.code, empty.stdout], [0, 'There are no playbooks.\n'])
    assert.match(empty.stderr, 'Next: rel bump new ITEM')
    spawnSync('cp', ['-r', join(repository.root, 'playbooks'), cwd])
    for (const words of [['list'], ['audit'], ['traefik', 'NEW=v3.3.5']]) {
      const ran = await runRel(['bump', ...words, '--json'], {cwd, env})
      assert.is(codeOf(ran), 'git_no_commit', words.join(' '))
    }
  }))

/** Answers the questions of a command at a terminal that script(1) makes. */
async function answered(
  words: readonly string[],
  cwd: string,
  answers: readonly string[],
): Promise<string> {
  const command = [join(await builtPackage(), 'bin/rel'), ...words]
    .map((word) => `'${word}'`)
    .join(' ')
  const child = spawn('script', ['-qefc', command, '/dev/null'], {cwd, env: cleanEnv()})
  let shown = ''
  let given = 0
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString('utf8')
    const asked = shown.split(/\? \[[^\]]*\] /).length - 1
    while (given < Math.min(asked, answers.length)) child.stdin.write(`${answers[given++]}\r`)
  })
  await new Promise((resolve) => child.once('close', resolve))
  return shown
}

if (needs('script'))
  test('at a terminal a few questions make a playbook that works', () =>
    inTraefikSetting(async ({repository, rel}) => {
      const shown = await answered(['bump', 'new', 'proxy'], repository.root, [
        'github_release',
        'traefik/traefik',
        'traefik_{version}_linux_amd64.tar.gz',
        '', // amd64
        'traefik',
        'traefik_{version}_checksums.txt',
        'agent/Makefile',
        'make_variable:TRAEFIK_VERSION',
      ])
      assert.match(shown, /Kind of upstream \(github_release, .*\)\? \[github_release\]/)
      assert.match(shown, /proxy is at v3\.3\.4 in agent\/Makefile/)
      assert.match(shown, /wrote playbooks\/proxy\.yaml/)
      const made = parse(repository.read('playbooks/proxy.yaml'))
      assert.equal(made.upstream, {
        kind: 'github_release',
        repository: 'traefik/traefik',
        assets: [{arch: 'amd64', name: 'traefik_{version}_linux_amd64.tar.gz', member: 'traefik'}],
        checksums: [{name: 'traefik_{version}_checksums.txt'}],
      })
      const {items} = resultOf(await rel('bump', 'list', '--offline', '--json'))
      const names = (items as {item: string; current: string}[]).map((it) => [it.item, it.current])
      assert.equal(names, [
        ['proxy', 'v3.3.4'],
        ['traefik', 'v3.3.4'],
      ])
      // a wrong answer and an interrupt write nothing
      const wrong = await answered(['bump', 'new', 'bad', '--kind', 'git'], repository.root, [
        'agent/Makefile',
        'make_variable:TRAEFIK_VERSION',
      ])
      assert.match(wrong, /playbook_invalid/)
      assert.match(
        await answered(['bump', 'new', 'stop'], repository.root, ['\u0003']),
        'interrupted',
      )
      const left = readdirSync(join(repository.root, 'playbooks')).sort()
      assert.equal(left, ['playbook.schema.json', 'proxy.yaml', 'traefik.yaml'])
    }))

test.run()
