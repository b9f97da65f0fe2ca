import {spawn, spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {copyFileSync, readdirSync, readFileSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {BootSpec} from '../../src/gates/boot-plan.ts'
import {type BootResult, bootSmoke} from '../../src/gates/boot-smoke.ts'
import type {CpioEntry} from '../../src/gates/cpio.ts'
import type {GateWorld} from '../../src/gates/gate.ts'
import type {ErrorCode} from '../../src/system/codes.ts'
import {type Arm64, busyboxInitrd, debianArm64} from '../support/arm64.ts'
import {needs, needsThat} from '../support/needs.ts'
import {rejectsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

// A real arm64 kernel of Debian on an emulated machine: what passes, and everything that must not.

const folder = temporaryFolder()
const world: GateWorld = {
  path: process.env.PATH ?? '/usr/bin:/bin',
  evidence: join(folder, 'evidence'),
  scratch: folder,
}
const idle = '#!/bin/busybox sh\nwhile :; do /bin/busybox sleep 9; done\n'
const forged = `REL-BOOT-PROBE nonce=${'0'.repeat(32)} release=6.1.0-56-arm64 machine=aarch64 init=yes`

/** A boot of the kernel with an initrd; slow machines get time, guests that hang do not need it. */
function spec(arm64: Arm64, initrd: string, rest: Partial<BootSpec> = {}): BootSpec {
  return {
    gate: 'boot-smoke arm64',
    machine: 'virt',
    boot: {kind: 'kernel', kernel: arm64.kernel, initrd},
    heartbeat: false,
    ssh: false,
    timeoutSecs: 90,
    ...rest,
  }
}

/** An initrd whose /bin/sh is this script: it runs instead of the probe. */
function initrdWithShell(arm64: Arm64, name: string, script: string): string {
  const shell: CpioEntry = {
    type: 'file',
    path: 'bin/sh',
    mode: 0o755,
    content: Buffer.from(`#!/bin/busybox sh\n${script}\n`),
  }
  return written(name, busyboxInitrd(arm64, idle, [shell]))
}

function written(name: string, bytes: Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

function checkLogs({logs}: BootResult): void {
  assert.ok(logs.length > 0)
  for (const {path, sha256} of logs)
    assert.is(createHash('sha256').update(readFileSync(path)).digest('hex'), sha256)
}

/** Emulators that this process started and that still run, also as zombies. */
function emulators(): string[] {
  const {stdout} = spawnSync('ps', ['-o', 'stat=,args=', '--ppid', String(process.pid)], {
    encoding: 'utf8',
  })
  return stdout.split('\n').filter((line) => line.includes('qemu-system'))
}

/** What runs kept to themselves and should have removed. */
function privateFiles(): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('rel-boot-'))
}

function suite(arm64: Arm64): void {
  const good = written('good', busyboxInitrd(arm64, idle))

  test('a real kernel passes, and its log is kept', async () => {
    const said: string[] = []
    const result = await bootSmoke(spec(arm64, good), {...world, report: (text) => said.push(text)})
    assert.is(result.verdict, 'passed', result.summary)
    assert.is(result.release, arm64.release)
    assert.ok(said.length >= 3)
    checkLogs(result)
    const [console = ''] = result.logs.map(({path}) => readFileSync(path, 'latin1'))
    assert.match(console, /Linux version/)
    const nonce = /nonce=([0-9a-f]{32})/.exec(console)?.[1] ?? 'none'
    const [, commandLine = ''] = /Kernel command line: (.*)/.exec(console) ?? []
    assert.match(commandLine, /rdinit=/)
    assert.not.ok(commandLine.includes(nonce))
    assert.not.ok(readFileSync(result.logs[1]?.path ?? '', 'latin1').includes(nonce))
  })

  test('two runs have two nonces', async () => {
    const nonces = new Set<string | undefined>()
    for (const _ of [1, 2]) {
      const result = await bootSmoke(spec(arm64, good, {release: arm64.release}), world)
      const console = readFileSync(result.logs[0]?.path ?? '', 'latin1')
      nonces.add(/nonce=([0-9a-f]{32})/.exec(console)?.[1])
    }
    assert.is(nonces.size, 2)
    assert.not.ok(nonces.has(undefined))
  })

  const shells: readonly [
    name: string,
    script: string,
    code: ErrorCode,
    rest?: Partial<BootSpec>,
  ][] = [
    ['an init that ends panics', 'exit 1', 'boot_panic'],
    [
      'a crash of the kernel',
      '/bin/busybox mount -t proc proc /proc\necho c >/proc/sysrq-trigger',
      'boot_panic',
    ],
    ['a guest that does nothing hangs', 'while :; do :; done', 'boot_hang', {timeoutSecs: 12}],
    ['a guest that powers off', 'exec /bin/busybox poweroff -f', 'boot_ended_early'],
    [
      'a guest that says it passed',
      `echo "${forged}"; while :; do :; done`,
      'boot_sentinel_forged',
    ],
    [
      'a guest that prints for ever',
      `line=${'x'.repeat(1000)}; while :; do echo $line$line$line$line; done`,
      'boot_log_limit',
    ],
  ]
  for (const [name, script, code, rest] of shells) {
    test(`${name}: ${code}`, async () => {
      const initrd = initrdWithShell(arm64, code, script)
      const result = await bootSmoke(spec(arm64, initrd, rest), world)
      assert.equal([result.verdict, result.code], ['refused', code], result.summary)
      checkLogs(result)
      assert.equal(emulators(), [])
      assert.equal(privateFiles(), [])
    })
  }

  const noInit = written(
    'no-init',
    busyboxInitrd(arm64, idle, [
      {type: 'file', path: 'init', mode: 0o644, content: Buffer.from('')},
    ]),
  )
  const cut = written('cut', readFileSync(good).subarray(0, 500_000))
  const initrds: readonly [string, string][] = [
    ['an /init that is not executable', noInit],
    ['an initrd that ends too early', cut],
    ['an initrd that is none', written('text', Buffer.from('this is not an initrd\n'))],
  ]
  for (const [name, initrd] of initrds) {
    test(`${name}: boot_no_init`, async () => {
      const result = await bootSmoke(spec(arm64, initrd), world)
      assert.is(result.code, 'boot_no_init', result.summary)
    })
  }

  test('another release than the expected one: boot_wrong_kernel', async () => {
    const result = await bootSmoke(spec(arm64, good, {release: '6.1.0-5-arm64'}), world)
    assert.is(result.code, 'boot_wrong_kernel', result.summary)
  })

  test('a proof on the kernel command line: boot_sentinel_forged', async () => {
    const {boot} = spec(arm64, good)
    const append = forged
    const result = await bootSmoke(
      {...spec(arm64, good), boot: {...boot, append} as BootSpec['boot']},
      world,
    )
    assert.is(result.code, 'boot_sentinel_forged', result.summary)
  })

  test('half a kernel: boot_kernel_truncated', async () => {
    const kernel = join(folder, 'half')
    copyFileSync(arm64.kernel, kernel)
    truncateSync(kernel, 16 << 20)
    const result = await bootSmoke(
      {...spec(arm64, good), boot: {kind: 'kernel', kernel, initrd: good}},
      world,
    )
    assert.equal([result.verdict, result.code], ['refused', 'boot_kernel_truncated'])
  })

  test('a gzipped kernel passes, and its release is read', async () => {
    const kernel = join(folder, 'kernel.gz')
    writeFileSync(kernel, gzipSync(readFileSync(arm64.kernel), {level: 1}))
    const boot = {kind: 'kernel', kernel, initrd: good} as const
    const result = await bootSmoke({...spec(arm64, good), boot}, world)
    assert.is(result.verdict, 'passed', result.summary)
    assert.not.match(result.caveats.join(), /not compared/)
    truncateSync(kernel, 4 << 20)
    const cutShort = await bootSmoke({...spec(arm64, good), boot}, world)
    assert.is(cutShort.code, 'boot_kernel_truncated')
  })

  test('an EFI program that is no kernel: boot_kernel_invalid', async () => {
    const boot = {kind: 'kernel', kernel: arm64.loader, initrd: good} as const
    const result = await bootSmoke({...spec(arm64, good), boot}, world)
    assert.equal([result.verdict, result.code], ['refused', 'boot_kernel_invalid'])
  })

  test('no QEMU on PATH: gate_unavailable, never passed', async () => {
    const result = await bootSmoke(spec(arm64, good), {...world, path: join(folder, 'nothing')})
    assert.equal([result.verdict, result.code], ['unavailable', 'gate_unavailable'])
  })

  test('a machine that QEMU does not have: gate_unavailable', async () => {
    const tool = join(folder, 'old')
    spawnSync('mkdir', ['-p', tool])
    writeFileSync(join(tool, 'qemu-system-aarch64'), '#!/bin/sh\necho "virt   QEMU ARM"\n', {
      mode: 0o755,
    })
    const boot = {kind: 'kernel', kernel: arm64.kernel, initrd: good, dtb: arm64.dtb} as const
    const result = await bootSmoke(
      {...spec(arm64, good), machine: 'raspi4b', boot},
      {...world, path: tool},
    )
    assert.equal([result.verdict, result.code], ['unavailable', 'gate_unavailable'])
  })

  test('QEMU that refuses its arguments: boot_qemu_failed, with its words', async () => {
    const boot = {
      kind: 'kernel',
      kernel: arm64.kernel,
      initrd: good,
      dtb: join(folder, 'none'),
    } as const
    const result = await bootSmoke({...spec(arm64, good), boot}, world)
    assert.is(result.code, 'boot_qemu_failed')
    assert.match(result.summary, /^QEMU failed: .*none$/, result.summary)
  })

  test('a kernel that is not there is told before anything starts', async () => {
    const boot = {kind: 'kernel', kernel: join(folder, 'absent'), initrd: good} as const
    await rejectsCode(() => bootSmoke({...spec(arm64, good), boot}, world), 'file_missing')
  })

  test('QEMU ends with us, also when we are killed outright', async () => {
    const program = join(import.meta.dirname, '../../src/gates/boot-smoke.ts')
    const slow = initrdWithShell(arm64, 'slow', 'while :; do :; done')
    const scratch = temporaryFolder() // what is killed outright cannot tidy up
    const script = `const {bootSmoke} = await import(${JSON.stringify(program)})
      await bootSmoke(${JSON.stringify(spec(arm64, slow))}, {...${JSON.stringify({...world, scratch})}, report: (text) => console.log(text)})`
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      for await (const chunk of child.stdout) if (String(chunk).includes('is starting')) break
      const {stdout} = spawnSync('ps', ['-o', 'pid=', '--ppid', String(child.pid)], {
        encoding: 'utf8',
      })
      const pid = Number(stdout.trim())
      assert.ok(pid > 1)
      child.kill(signal)
      await once(child, 'exit')
      assert.ok(await isGone(pid), `QEMU outlives ${signal}`)
    }
  })
}

async function isGone(pid: number): Promise<boolean> {
  for (let round = 0; round < 50; round++) {
    const {stdout} = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], {encoding: 'utf8'})
    if (stdout.trim() === '' || stdout.trim().startsWith('Z')) return true
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return false
}

if (needs('qemu-system-aarch64', 'apt-get', 'dpkg-deb', 'flock', 'gzip')) {
  const arm64 = debianArm64()
  if (typeof arm64 !== 'string') suite(arm64)
  else needsThat('a Debian kernel for arm64', false, arm64)
}

test.run()
