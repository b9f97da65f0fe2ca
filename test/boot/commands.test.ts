import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {createReadStream, existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {elfCheck} from '../../src/gates/elf-check.ts'
import type {GateWorld} from '../../src/gates/gate.ts'
import {runCheck} from '../../src/gates/run-check.ts'
import {type Arm64, busyboxInitrd, debianArm64} from '../support/arm64.ts'
import {builtPackage} from '../support/built.ts'
import {needs, needsThat} from '../support/needs.ts'
import {cleanEnv, type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The gates as commands of the built rel, and a program for arm64 on this machine.

const folder = temporaryFolder()

type Document = {
  readonly ok: boolean
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: {readonly code: string; readonly details: Readonly<Record<string, unknown>>}
}
const documentOf = ({stdout}: Ran) => JSON.parse(stdout) as Document

test('rel gate reproducible: 0 for the same, 27 for different results', async () => {
  const source = join(folder, 'source')
  mkdirSync(source)
  const words = ['gate', 'reproducible', '--log', join(folder, 'logs'), '--json', '--', 'sh', '-c']
  const same = await runRel([...words, 'echo $SOURCE_DATE_EPOCH >out'], {cwd: source})
  assert.is(same.code, 0, same.stdout)
  assert.is(documentOf(same).result?.verdict, 'passed')
  const other = await runRel([...words, 'date +%s%N >out'], {cwd: source})
  assert.is(other.code, 27, other.stdout)
  assert.is(documentOf(other).error?.code, 'repro_differs')
  assert.match(String(documentOf(other).error?.details.summary), /^out has other bytes/)
  const broken = await runRel([...words, 'exit 1'], {cwd: source})
  assert.equal([broken.code, documentOf(broken).error?.code], [22, 'repro_build_failed'])
})

test('rel smoke boot without QEMU is 28, never 0', async () => {
  const tools = join(folder, 'tools')
  mkdirSync(tools)
  for (const name of ['sh', 'dirname', 'readlink', 'uname'])
    spawnSync('ln', ['-s', `/bin/${name}`, join(tools, name)])
  const image = join(folder, 'image')
  writeFileSync(image, '')
  const env = {PATH: tools}
  const ran = await runRel(['smoke', 'boot', '--disk', image, '--json'], {cwd: folder, env})
  assert.equal([ran.code, documentOf(ran).error?.code], [28, 'gate_unavailable'], ran.stderr)
})

function suite(arm64: Arm64): void {
  const initrd = join(folder, 'initrd')
  writeFileSync(initrd, busyboxInitrd(arm64, '#!/bin/sh\n'))
  const stuck = join(folder, 'stuck')
  const loop = Buffer.from('#!/bin/busybox sh\nwhile :; do :; done\n')
  const shell = {type: 'file', path: 'bin/sh', mode: 0o755, content: loop} as const
  writeFileSync(stuck, busyboxInitrd(arm64, '#!/bin/sh\n', [shell]))

  test('rel smoke boot: for people, with logs that are there', async () => {
    const log = join(folder, 'people')
    const words = ['--kernel', arm64.kernel, '--initrd', 'initrd', '--log', 'people']
    const ran = await runRel(['smoke', 'boot', ...words], {cwd: folder})
    assert.is(ran.code, 0, ran.stderr)
    assert.match(ran.stdout, new RegExp(`^✔ boot-smoke virt: kernel ${arm64.release} `))
    assert.match(ran.stdout, /not proved: .* firmware were not executed/)
    assert.ok(existsSync(join(log, 'boot-smoke-virt.console.log')))
  })

  test('rel smoke boot --json: a refusal has code, verdict and digests of the logs', async () => {
    const words = [
      '--kernel',
      arm64.kernel,
      '--initrd',
      initrd,
      '--expect-release',
      '6.1.0-5-arm64',
    ]
    const ran = await runRel(['smoke', 'boot', ...words, '--log', join(folder, 'json'), '--json'])
    const {error} = documentOf(ran)
    assert.equal([ran.code, error?.code], [22, 'boot_wrong_kernel'])
    assert.is(error?.details.verdict, 'refused')
    const logs = error?.details.logs as {sha256: string}[]
    for (const {sha256} of logs) assert.match(sha256, /^[0-9a-f]{64}$/)
  })

  test('an interrupted rel smoke boot ends with 130, and QEMU with it', async () => {
    const program = join(await builtPackage(), 'bin', 'rel')
    const log = join(folder, 'interrupted')
    const scratch = temporaryFolder()
    const args = ['smoke', 'boot', '--kernel', arm64.kernel, '--initrd', stuck, '--log', log]
    const child = spawn(program, args, {env: cleanEnv({TMPDIR: scratch}), stdio: 'ignore'})
    await consoleSays(join(log, 'boot-smoke-virt.console.log'), 'Linux version')
    child.kill('SIGINT')
    const [code] = (await once(child, 'exit')) as [number | null]
    assert.is(code, 130)
    assert.not.match(processes(), new RegExp(`initrd ${scratch}`))
    assert.equal(spawnSync('ls', ['-A', scratch], {encoding: 'utf8'}).stdout, '')
  })

  if (needs('qemu-aarch64-static')) {
    test('a program for arm64 is checked and run on this machine', async () => {
      const world: GateWorld = {
        path: process.env.PATH ?? '/usr/bin:/bin',
        evidence: join(folder, 'evidence'),
        scratch: folder,
      }
      const file = arm64.busybox
      const elf = {gate: 'elf', file, isStatic: true} as const
      assert.is(elfCheck({...elf, machine: 'aarch64'}).verdict, 'passed')
      assert.is(elfCheck({...elf, machine: 'x86_64'}).code, 'elf_machine')
      const [, version = 'none'] = /BusyBox (v[\d.]+) /.exec(readFileSync(file, 'latin1')) ?? []
      const run = {gate: 'run', file, machine: 'aarch64', args: [], timeoutSecs: 30} as const
      const result = await runCheck({...run, expect: version}, world)
      assert.is(result.verdict, 'passed', result.summary)
      assert.is((await runCheck({...run, expect: `${version}9`}, world)).code, 'run_text_missing')
    })
  }
}

/** Waits until a console log has a text; the test fails by the limit of its file otherwise. */
async function consoleSays(path: string, text: string): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    if (!existsSync(path)) continue
    for await (const chunk of createReadStream(path)) if (String(chunk).includes(text)) return
  }
}

function processes(): string {
  return spawnSync('ps', ['-ww', '-eo', 'args='], {encoding: 'utf8'}).stdout
}

if (needs('qemu-system-aarch64', 'apt-get', 'dpkg-deb', 'flock', 'gzip')) {
  const arm64 = debianArm64()
  if (typeof arm64 !== 'string') suite(arm64)
  else needsThat('a Debian kernel for arm64', false, arm64)
}

test.run()
