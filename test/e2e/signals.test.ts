import {spawn} from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {buildManifest} from '../../src/bundle/build-manifest.ts'
import {applySign} from '../../src/bundle/sign.ts'
import {builtPackage} from '../support/built.ts'
import {facts as bundleFacts, testSigner} from '../support/bundles.ts'
import {cleanEnv, type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

/** A project with a bundle, a key, and a signer that says it was asked and then takes its time. */
async function project(): Promise<Started> {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'dist'))
  writeFileSync(join(folder, 'dist/app'), 'hello')
  const made = await runRel(['keys', 'new', 'dev', '--no-passphrase'], {cwd: folder})
  assert.is(made.code, 0, made.stderr)
  const signer = join(folder, 'slow-signer')
  const asked = join(folder, 'asked')
  writeFileSync(signer, `#!/bin/sh\necho > '${asked}'\nexec sleep 20\n`, {mode: 0o755})
  const facts = ['--product', 'app', '--version', '1.0.0']
  const args = ['sign', 'dist', ...facts, '--signer', `exec:${signer}`, '--public-key', 'dev']
  return {folder, args, isBusy: () => existsSync(asked)}
}

type Started = {
  readonly folder: string
  readonly args: readonly string[]
  /** True once the work that is to be interrupted has begun. */
  readonly isBusy: (pid: number) => boolean
}

/** Longer than any machine takes to notice a signal, shorter than what is interrupted takes. */
const PATIENCE_MS = 60_000

/** Starts rel, sends a signal once it is busy, and waits for the end; killed when it goes on. */
async function interrupted({folder, args, isBusy}: Started, signal: NodeJS.Signals): Promise<Ran> {
  const rel = join(await builtPackage(), 'bin', 'rel')
  const child = spawn(rel, args, {cwd: folder, env: cleanEnv(), stdio: ['ignore', 'pipe', 'pipe']})
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const {pid = 0} = child
  const timer = setInterval(() => {
    if (!isBusy(pid)) return
    clearInterval(timer)
    child.kill(signal)
  }, 20)
  const limit = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  return new Promise((resolve) => {
    child.once('close', (code, ended) => {
      clearInterval(timer)
      clearTimeout(limit)
      resolve({code, signal: ended, stdout, stderr})
    })
  })
}

for (const [signal, exit] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  for (const json of [false, true])
    test(`${signal} during a long sign${json ? ' --json' : ''}: ${exit}, and nothing half-written`, async () => {
      const started = await project()
      const args = [...started.args, ...(json ? ['--json'] : [])]
      const ran = await interrupted({...started, args}, signal)
      assert.is(ran.code, exit, ran.stderr)
      assert.equal(readdirSync(join(started.folder, 'dist')), ['app'])
      if (json) {
        const {ok, command, error} = JSON.parse(ran.stdout)
        assert.equal([ok, command, error.code, error.exit], [false, 'sign', 'interrupted', exit])
      } else assert.match(ran.stderr, new RegExp(`^✖ interrupted: stopped by ${signal}$`, 'm'))
    })

/** All zeros and not on disk; hashing one takes minutes on any machine. */
const HUGE_BYTES = 2 ** 38

/** A bundle of three files, so that both threads are in the middle of one. */
async function hugeProject(command: 'sign' | 'verify'): Promise<Started> {
  const folder = temporaryFolder()
  const dist = join(folder, 'dist')
  mkdirSync(dist)
  for (const name of ['a', 'b', 'c']) {
    writeFileSync(join(dist, name), '', {mode: 0o644})
    truncateSync(join(dist, name), HUGE_BYTES)
  }
  const isBusy = (pid: number) => {
    const open = openFiles(pid)
    return ['a', 'b'].every((name) => open.includes(join(dist, name)))
  }
  writeFileSync(join(folder, 'dev.key'), Buffer.alloc(32, 1), {mode: 0o600})
  const facts = ['--product', 'app', '--version', '1.0.0']
  if (command === 'sign')
    return {folder, args: ['sign', 'dist', ...facts, '--key', 'dev.key'], isBusy}
  const files = ['a', 'b', 'c'].map((path) => {
    return {path, sha256: '0'.repeat(64), size: HUGE_BYTES, mode: '0644'} as const
  })
  const manifest = buildManifest(bundleFacts, files, [])
  const output = join(dist, 'manifest.json')
  const plan = {
    root: dist,
    output,
    manifest,
    legacy: true,
    modeChanges: [],
    stale: [],
    warnings: [],
  }
  await applySign(plan, testSigner())
  writeFileSync(join(folder, 'dev.pub'), testSigner().publicKey.raw)
  return {folder, args: ['verify', 'dist', '--public-key', 'dev.pub'], isBusy}
}

function openFiles(pid: number): string[] {
  const folder = `/proc/${pid}/fd`
  if (!existsSync(folder)) return []
  return readdirSync(folder).map((name) => {
    try {
      return readlinkSync(join(folder, name))
    } catch {
      return '' // closed since
    }
  })
}

for (const command of ['sign', 'verify'] as const)
  for (const [signal, exit] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    test(`${signal} while rel ${command} hashes huge files: ${exit} long before their end`, async () => {
      const started = await hugeProject(command)
      const before = readdirSync(join(started.folder, 'dist'))
      const ran = await interrupted({...started, args: [...started.args, '--json']}, signal)
      assert.is(ran.code, exit, `${ran.signal} ${ran.stderr}`)
      const {ok, error} = JSON.parse(ran.stdout)
      assert.equal([ok, error.code, error.exit], [false, 'interrupted', exit])
      assert.equal(readdirSync(join(started.folder, 'dist')), before)
    })

test('a signer that is killed with rel leaves the bundle as it was', async () => {
  const started = await project()
  const ran = await interrupted(started, 'SIGKILL')
  assert.is(ran.signal, 'SIGKILL')
  assert.equal(readdirSync(join(started.folder, 'dist')), ['app'])
})

test.run()
