import {spawn, spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {verifyBundle} from '../../src/bundle/verify.ts'
import {makeTree, policyOf, signTree, testSigner} from '../support/bundles.ts'
import {needs} from '../support/needs.ts'
import {temporaryFolder} from '../support/tmp.ts'

const REL = join(import.meta.dirname, '../../bin/dev.ts')
const policy = policyOf([testSigner().publicKey])

/** A bundle whose manifest has about 200 KB, signed with test key 1. */
async function bundle(): Promise<{root: string; key: string; manifest: Buffer}> {
  const names = Array.from({length: 1500}, (_, at) => [
    `d${at % 9}/file-${at}.txt`,
    `content ${at}`,
  ])
  const root = makeTree(Object.fromEntries(names))
  await signTree(root)
  const key = join(temporaryFolder(), 'signing.key')
  writeFileSync(key, Buffer.alloc(32, 1), {mode: 0o600})
  return {root, key, manifest: readFileSync(join(root, 'manifest.json'))}
}

const signArgs = (root: string, key: string) => [
  REL,
  'sign',
  root,
  ...['--key', key, '--version', '2.0.0', '--product', 'p', '--bundle-name', 'b', '--json'],
]

const leftovers = (root: string) => readdirSync(root).filter((name) => name.endsWith('.rel-tmp'))

if (needs('prlimit'))
  test('a write that hits a limit leaves the manifest before it intact', async () => {
    const {root, key, manifest} = await bundle()
    // SIGXFSZ is ignored by node, so the write fails with EFBIG
    const limited = ['--fsize=65536', process.execPath, ...signArgs(root, key)]
    const run = spawnSync('prlimit', limited, {encoding: 'utf8'})
    assert.is(run.status, 28, run.stderr + run.stdout)
    assert.is(JSON.parse(run.stdout).error.code, 'write_failed')
    assert.equal(readFileSync(join(root, 'manifest.json')), manifest)
    assert.equal(leftovers(root), [])
    await verifyBundle(root, policy)
  })

/** A file system of 1 MiB, or undefined where mounting is not allowed. */
function tinyDisk(): string | undefined {
  const folder = temporaryFolder()
  const {status} = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'rel-test', folder])
  return status === 0 ? folder : undefined
}

const disk = tinyDisk()

// where mounting is not allowed, the write limit above stands in for the full disk
if (disk !== undefined)
  test('a full disk leaves the manifest before it intact', async () => {
    try {
      await signOnFullDisk(disk)
    } finally {
      spawnSync('umount', [disk])
    }
  })

async function signOnFullDisk(folder: string): Promise<void> {
  const {root, key} = await bundle()
  const output = join(folder, 'manifest.json')
  const run = (...more: readonly string[]) => {
    const args = [...signArgs(root, key), '--output', output, ...more]
    return spawnSync(process.execPath, args, {encoding: 'utf8'})
  }
  assert.is(run().status, 0)
  const before = readFileSync(output)
  fill(folder)
  const full = run('--sequence', '7')
  assert.is(full.status, 28, full.stderr + full.stdout)
  assert.is(JSON.parse(full.stdout).error.code, 'disk_full')
  assert.equal(readFileSync(output), before)
  assert.equal(leftovers(folder), [])
}

function fill(folder: string): void {
  mkdirSync(join(folder, 'filler'), {recursive: true})
  try {
    for (let at = 0; at < 4096; at++)
      writeFileSync(join(folder, 'filler', String(at)), 'x'.repeat(65_536))
  } catch (error) {
    assert.is((error as {code?: string}).code, 'ENOSPC')
  }
}

for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM'] as const)
  test(`${signal} at any point leaves the old manifest or the new one, never a half`, async () => {
    const {root, key, manifest} = await bundle()
    const endings = new Set<string>()
    for (let delay = 0; delay <= 1000; delay += 125) {
      writeFileSync(join(root, 'manifest.json'), manifest)
      endings.add(await interrupt(signArgs(root, key), signal, delay))
      const now = readFileSync(join(root, 'manifest.json'))
      const version = JSON.parse(now.toString()).manifest.version as string
      assert.ok(now.equals(manifest) || version === '2.0.0', `after ${delay} ms`)
    }
    assert.ok(endings.has('stopped'), 'no run was stopped: the delays are too long')
    assert.is(spawnSync(process.execPath, signArgs(root, key)).status, 0)
    assert.equal(leftovers(root), [], 'the next run sweeps')
    await verifyBundle(root, policy)
  })

/** Ends a run after a delay; whether it had ended by itself before that. */
function interrupt(
  args: readonly string[],
  signal: NodeJS.Signals,
  delay: number,
): Promise<string> {
  return new Promise((done) => {
    const child = spawn(process.execPath, args, {stdio: 'ignore'})
    const timer = setTimeout(() => child.kill(signal), delay)
    child.on('exit', (code) => {
      clearTimeout(timer)
      done(code === 0 ? 'ended' : 'stopped')
    })
  })
}

test('a kill between the bytes and the rename leaves a name that is no part of the bundle', async () => {
  const {root, key} = await bundle()
  const half = join(root, '.manifest.json.00112233aabbccdd.rel-tmp')
  writeFileSync(half, '{"manifest": {')
  assert.is(spawnSync(process.execPath, signArgs(root, key)).status, 0)
  assert.not(existsSync(half))
  await verifyBundle(root, policy)
})

test.run()
