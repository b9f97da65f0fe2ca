import {spawn} from 'node:child_process'
import {existsSync, mkdirSync, readdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {builtPackage} from '../support/built.ts'
import {cleanEnv, type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

/** A project with a bundle, a key, and a signer that says it was asked and then takes its time. */
async function project(): Promise<{folder: string; asked: string; args: string[]}> {
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
  return {folder, asked, args}
}

/** Starts rel, sends a signal once the signer was asked, and waits for the end. */
async function interrupted(
  {folder, asked, args}: {folder: string; asked: string; args: readonly string[]},
  signal: NodeJS.Signals,
): Promise<Ran> {
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
  const timer = setInterval(() => {
    if (existsSync(asked)) child.kill(signal)
  }, 20)
  return new Promise((resolve) => {
    child.once('close', (code, ended) => {
      clearInterval(timer)
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

test('a signer that is killed with rel leaves the bundle as it was', async () => {
  const started = await project()
  const ran = await interrupted(started, 'SIGKILL')
  assert.is(ran.signal, 'SIGKILL')
  assert.equal(readdirSync(join(started.folder, 'dist')), ['app'])
})

test.run()
