import {chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {delimiter, join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseDocument} from 'yaml'
import {sourceManifest} from '../../src/cli/source-tree.ts'
import {builtPackage, checkout} from '../support/built.ts'
import {readAction, runAction} from '../support/github/composite-action.ts'
import {startFakeGitHub} from '../support/github/fake-github.ts'
import {startIssuer} from '../support/imitation-oidc-issuer.ts'
import {startPanel} from '../support/panel.ts'
import {REPOSITORY, releaseFolder} from '../support/publish/publication.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const actions = join(checkout, '.github/actions')
const names = ['setup-rel', 'sign', 'bump', 'publish']
const actionFile = (name: string) => join(actions, name, 'action.yml')
const now = () => Math.floor(Date.now() / 1000)

/** The built rel on the path, as setup-rel leaves it. */
async function withRel(): Promise<string> {
  return [join(await builtPackage(), 'bin'), process.env.PATH ?? ''].join(delimiter)
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as {port: number}
  await new Promise((resolve) => server.close(resolve))
  return port
}

test('publish: with the identity of the run, to a panel and to GitHub, then again', async () => {
  const issuer = await startIssuer(now)
  const fake = await startFakeGitHub({
    repositories: [{name: REPOSITORY, tags: ['v1.4.2']}],
    tokens: {'ghs_of-the-job': 'octo'},
  })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const panel = await startPanel({clock: now, config: {publicUrl: url}, listenPort: port})
  try {
    const add = await runRel([
      ...['panel', 'publisher', 'add', 'agent', '--data', panel.data, '--issuer', issuer.url],
      ...['--repository-id', '1001', '--owner-id', '77', '--environment', 'release'],
      ...['--workflow', '.github/workflows/release.yml', '--ref', 'refs/tags/v*', '--json'],
    ])
    assert.is(add.code, 0, add.stdout)
    const {folder, release} = await releaseFolder({version: '1.4.2'})
    const cwd = join(folder, '..')
    writeFileSync(join(cwd, 'notes.md'), 'What is new.\n')
    const env = {...issuer.jobEnv, PATH: await withRel(), GITHUB_API_URL: fake.url}
    const job = {cwd, env, github: {repository: REPOSITORY, token: 'ghs_of-the-job'}}
    const given = {manifest: 'dist', panel: url, notes: 'notes.md', receipt: 'a receipt.json'}

    const first = await runAction(actionFile('publish'), given, job)
    assert.is(first.code, 0, first.stderr)
    assert.equal(
      [first.outputs.version, first.outputs.channel, first.outputs.changed],
      ['1.4.2', 'stable', 'true'],
    )
    assert.is(first.outputs.manifest_sha256, release.file.digest)
    assert.is(first.outputs.receipt, 'a receipt.json')
    assert.match(first.summary, '### agent 1.4.2 published')
    const shown = await panel.ask('GET', '/v1/products/agent/releases/1.4.2')
    assert.is(shown.json.state, 'published')
    const {receipt} = JSON.parse(readFileSync(join(cwd, 'a receipt.json'), 'utf8')) as {
      receipt: {targets: {github: {url: string}}}
    }
    assert.is(first.outputs.github_url, receipt.targets.github.url)

    const again = await runAction(actionFile('publish'), given, job)
    assert.equal([again.code, again.outputs.changed], [0, 'false'], again.stderr)

    const kept = [first, again].map(({stdout, stderr, summary}) => stdout + stderr + summary).join()
    for (const secret of ['ghs_of-the-job', 'request-token-of-the-job', 'relp_', 'eyJ'])
      assert.not(kept.includes(secret), `${secret} is told`)

    issuer.claims = {repository_id: '1002'}
    const stranger = await runAction(actionFile('publish'), given, job)
    assert.is(stranger.code, 21)
    assert.match(stranger.stderr, '::error title=oidc_publisher_unknown::')
    const listed = await runRel(['panel', 'publisher', 'list', '--data', panel.data, '--json'])
    const {publishers} = JSON.parse(listed.stdout).result as {publishers: {id: string}[]}
    const [{id} = {id: ''}] = publishers
    assert.is((await runRel(['panel', 'publisher', 'remove', id, '--data', panel.data])).code, 0)
  } finally {
    await panel.stop()
    await fake.close()
    await issuer.stop()
  }
})

test('publish: with a token, to a panel alone, the receipt signed; inputs are never script', async () => {
  const panel = await startPanel({clock: now, products: {}})
  try {
    const cwd = join(temporaryFolder('rel job '), 'a job')
    mkdirSync(join(cwd, 'dist'), {recursive: true})
    writeFileSync(join(cwd, 'dist', 'agent-linux-amd64'), 'agent\n')
    const rel = async (...words: readonly string[]) => {
      const {code, stdout} = await runRel([...words, '--json'], {cwd})
      assert.is(code, 0, stdout)
    }
    await rel('keys', 'new', 'release', '--no-passphrase')
    await rel('trust', 'init', '--key', 'release', '--product', 'agent')
    await rel(
      ...['release', 'manifest', 'dist', '--product', 'agent', '--version', '1.4.2'],
      ...['--key', 'release'],
    )
    await rel(
      ...['panel', 'product', 'add', 'agent', '--data', panel.data, '--anchor', 'trust.json'],
      ...['--require', 'agent/linux/amd64'],
    )
    const key = readFileSync(keyFile(cwd), 'utf8')
    const job = {cwd, env: {PATH: await withRel()}, github: {repository: REPOSITORY, token: 'x'}}
    const given = {
      manifest: 'dist',
      panel: panel.url,
      'panel-token': panel.adminToken,
      github: '',
      'receipt-key': key,
    }
    const hostile = '$(touch pwned)"; touch pwned; #'
    const refused = await runAction(
      actionFile('publish'),
      {...given, notes: hostile, github: 'a/b'},
      job,
    )
    assert.is.not(refused.code, 0)
    assert.not(readdirSync(cwd).includes('pwned'))

    const run = await runAction(actionFile('publish'), given, job)
    assert.is(run.code, 0, run.stderr)
    assert.is(run.outputs.github_url, '')
    await rel(
      'release',
      'receipt',
      'dist',
      '--trust',
      'trust.json',
      '--manifest',
      'dist/release.json',
    )
    assert.equal(
      readdirSync(run.temp).filter((name) => name.startsWith('rel-publish.')),
      [],
      'the key is gone',
    )
    assert.not(`${run.stdout}${run.stderr}`.includes(panel.adminToken))
  } finally {
    await panel.stop()
  }
})

function keyFile(cwd: string): string {
  const found = readdirSync(cwd, {recursive: true, encoding: 'utf8'}).find((name) =>
    name.endsWith('release.key'),
  )
  return join(cwd, found ?? 'release.key')
}

test('sign: a directory, with a key that is text, which is gone afterwards', async () => {
  const cwd = join(temporaryFolder('rel job '), 'a job')
  mkdirSync(join(cwd, 'tree'), {recursive: true})
  writeFileSync(join(cwd, 'tree', 'agent'), 'agent\n')
  assert.is((await runRel(['keys', 'new', 'release', '--no-passphrase'], {cwd})).code, 0)
  const given = {
    path: 'tree',
    key: readFileSync(keyFile(cwd), 'utf8'),
    product: 'agent',
    version: '1.4.2',
  }
  const run = await runAction(actionFile('sign'), given, {cwd, env: {PATH: await withRel()}})
  assert.is(run.code, 0, run.stderr)
  assert.is(run.outputs.manifest, 'tree/manifest.json')
  const verified = await runRel(
    ['verify', 'tree', '--public-key', 'release', '--product', 'agent'],
    {cwd},
  )
  assert.is(verified.code, 0, verified.stderr)
  assert.equal(
    readdirSync(run.temp).filter((name) => name.startsWith('rel-sign.')),
    [],
  )
  assert.not(`${run.stdout}${run.stderr}`.includes(given.key.split('\n')[1] ?? ''))
})

/** A program that says with what it was run, and does what the script says. */
function imitation(folder: string, name: string, script: string): void {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
}

test('setup-rel: one version is installed, and nothing else is put on the path', async () => {
  const cwd = temporaryFolder('rel job ')
  const bin = join(cwd, 'bin')
  mkdirSync(bin)
  // imitates npm: makes the program that an install would make
  imitation(
    bin,
    'npm',
    `printf '%s\\n' "$@" > "${cwd}/words"
mkdir -p "$4/bin" && printf '#!/bin/sh\\necho "rel $SAYS linux-x64"\\n' > "$4/bin/rel" && chmod +x "$4/bin/rel"`,
  )
  const path = [bin, process.env.PATH ?? ''].join(delimiter)
  const job = (says: string) => ({cwd, env: {PATH: path, SAYS: says}})
  const run = await runAction(actionFile('setup-rel'), {version: '0.1.0'}, job('0.1.0'))
  assert.is(run.code, 0, run.stderr)
  assert.is(run.outputs.version, '0.1.0')
  assert.is(run.path, join(run.temp, 'rel-0.1.0', 'bin'))
  assert.is(readFileSync(join(cwd, 'words'), 'utf8').trim().split('\n').at(-1), 'rel-cli@0.1.0')
  for (const [version, says, code] of [
    ['0.1.0', '0.1.1', 20],
    ['^0.1.0', '0.1.0', 2],
    ['latest', '0.1.0', 2],
    ['0.1.0; touch pwned', '0.1.0', 2],
  ] as const) {
    const other = await runAction(actionFile('setup-rel'), {version}, job(says))
    assert.equal([version, other.code, other.path], [version, code, ''])
  }
  assert.not(readdirSync(cwd).includes('pwned'))
})

test('bump: item and assignments are words of their own, a failure is one', async () => {
  const cwd = temporaryFolder('rel job ')
  const job = {cwd, env: {PATH: await withRel()}, github: {token: 'x'}}
  const given = {item: 'traefik', assignments: 'NEW=v3.3.5\nNOTE=$(touch pwned)\n', push: 'false'}
  const run = await runAction(actionFile('bump'), given, job)
  assert.is.not(run.code, 0)
  const {ok, command, error} = JSON.parse(readFileSync(run.outputs.result ?? '', 'utf8')) as {
    ok: boolean
    command: string
    error: {code: string}
  }
  assert.equal([ok, command], [false, 'bump'])
  assert.match(error.code, /^(?:not_a_repository|git_|playbook_|bump_|config_|work_)/)
  assert.not(readdirSync(cwd).includes('pwned'))
})

test('every workflow and action is YAML without doubt', () => {
  const files = readdirSync(join(checkout, '.github'), {recursive: true, encoding: 'utf8'}).filter(
    (name) => /\.ya?ml$/.test(name),
  )
  assert.ok(files.length >= 6, files.join())
  for (const name of files) {
    const text = readFileSync(join(checkout, '.github', name), 'utf8')
    const {errors, warnings} = parseDocument(text, {strict: true, uniqueKeys: true})
    assert.equal([name, errors, warnings], [name, [], []])
  }
  assert.equal(
    readdirSync(actions)
      .filter((name) => statSync(join(actions, name)).isDirectory())
      .toSorted(),
    names.toSorted(),
  )
})

test('actions name only inputs, outputs, commands and flags that exist', async () => {
  const commands = await sourceManifest(checkout)
  const wrong: string[] = []
  for (const name of names) {
    const action = readAction(actionFile(name))
    assert.is(action.runs.using, 'composite')
    const text = readFileSync(actionFile(name), 'utf8')
    for (const [, input = ''] of text.matchAll(/\$\{\{ *inputs\.([a-z_-]+) *\}\}/g))
      if (!Object.hasOwn(action.inputs ?? {}, input)) wrong.push(`${name}: input ${input}`)
    for (const input of Object.keys(action.inputs ?? {}))
      if (!text.includes(`inputs.${input} `)) wrong.push(`${name}: input ${input} is not used`)
    for (const step of action.runs.steps) {
      if (step.shell !== 'bash') wrong.push(`${name}: a step without bash`)
      if (/\$\{\{/.test(step.run ?? '')) wrong.push(`${name}: an expression inside a script`)
      const [, command] = /^ *rel ([a-z]+)/m.exec(step.run ?? '') ?? []
      if (command === undefined) continue
      const known = new Set(
        Object.values(commands[command]?.flags ?? {}).flatMap((flag) => [
          `--${flag.name}`,
          ...(flag.type === 'boolean' && flag.allowNo ? [`--no-${flag.name}`] : []),
        ]),
      )
      for (const [flag] of (step.run ?? '').matchAll(/(?<=[( ])--[a-z][a-z-]+/g))
        if (!known.has(flag)) wrong.push(`${name}: ${command} has no ${flag}`)
    }
  }
  assert.equal(wrong, [])
})

test('workflows use actions of this repository as they are, and others by their commit', () => {
  const folder = join(checkout, '.github/workflows')
  const wrong: string[] = []
  for (const name of readdirSync(folder)) {
    const document = parseDocument(readFileSync(join(folder, name), 'utf8')).toJS() as {
      jobs: Readonly<Record<string, {steps?: {uses?: string; with?: Record<string, string>}[]}>>
    }
    for (const [job, {steps = []}] of Object.entries(document.jobs))
      for (const {uses, with: given = {}} of steps) {
        if (uses === undefined) continue
        if (!uses.startsWith('./')) {
          if (!/@[0-9a-f]{40}$/.test(uses)) wrong.push(`${name} ${job}: ${uses}`)
          continue
        }
        const {inputs = {}} = readAction(join(checkout, uses, 'action.yml'))
        for (const input of Object.keys(given))
          if (!Object.hasOwn(inputs, input)) wrong.push(`${name} ${job}: ${uses} ${input}`)
      }
  }
  assert.equal(wrong, [])
})

test.run()
