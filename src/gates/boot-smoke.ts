import {randomBytes} from 'node:crypto'
import {
  appendFileSync,
  constants,
  copyFileSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {connect, createServer, type Socket} from 'node:net'
import {join, resolve} from 'node:path'
import type {Duplex} from 'node:stream'
import {gunzipSync} from 'node:zlib'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited} from '../system/files.ts'
import {trackLeftover} from '../system/leftovers.ts'
import {
  type BootFiles,
  type BootSpec,
  bootArguments,
  checkBootSpec,
  HEARTBEAT_FD,
  wantsProbe,
} from './boot-plan.ts'
import {probeArchive} from './boot-probe.ts'
import {
  type BootEnd,
  type BootEvidence,
  type BootWanted,
  isDecided,
  judgeBoot,
} from './boot-verdict.ts'
import {type BootSign, BootWatch} from './boot-watch.ts'
import {cpioPadding} from './cpio.ts'
import {EvidenceLog, logName} from './evidence-log.ts'
import {type GateResult, type GateWorld, passed, refused, unavailable} from './gate.ts'
import {readKernelImage} from './kernel-image.ts'
import {ownsPort} from './port-owner.ts'
import {findProgram, type ProgramEnd, runProgram} from './run-program.ts'

const QEMU = 'qemu-system-aarch64'

/** Where Debian, Fedora and Arch put EDK2 for aarch64: code, variables. */
const firmwares = [
  ['/usr/share/AAVMF/AAVMF_CODE.fd', '/usr/share/AAVMF/AAVMF_VARS.fd'],
  [
    '/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw',
    '/usr/share/edk2/aarch64/vars-template-pflash.raw',
  ],
  ['/usr/share/edk2/aarch64/QEMU_CODE.fd', '/usr/share/edk2/aarch64/QEMU_VARS.fd'],
] as const

/** Room for any kernel (Debian's has 33 MB) and for what a gzip of one may become. */
const MAX_KERNEL_BYTES = 256 << 20
const MAX_INITRD_BYTES = 1 << 30
/** A boot writes 20 to 100 KB, a very talkative one 1 MB. */
const MAX_SERIAL_BYTES = 2 << 20
const MAX_QEMU_BYTES = 1 << 20
/** What a kernel still says after its first bad word. */
const LAST_WORDS_MS = 400
const SSH_RETRY_MS = 500

/** What the guest said of itself; only after the proof of this run. */
export type BootResult = GateResult & {readonly release?: string; readonly secs?: number}

/**
 * Boots a kernel with its initrd, or a disk image, in QEMU and judges by its serial console alone
 * (docs/formats/gates.md). Refusals are results with codes boot_*; gate_unavailable when QEMU, the
 * machine or the firmware is not there. Throws usage_invalid, file_missing, file_too_large and so on
 * for what cannot be tried at all.
 */
export async function bootSmoke(asked: BootSpec, world: GateWorld): Promise<BootResult> {
  const spec = {...asked, boot: absolute(asked.boot)}
  checkBootSpec(spec)
  const release = spec.release ?? releaseOfKernel(spec)
  if (release instanceof RelError)
    return refused(spec.gate, {code: release.code, summary: release.message})
  const program = findProgram(QEMU, world.path)
  if (program === undefined) return unavailable(spec.gate, `${QEMU} is not on PATH`)
  if (!(await hasMachine(program, spec.machine, world)))
    return unavailable(spec.gate, `the installed QEMU has no machine ${spec.machine}`)
  const firmware = firmwares.find((pair) => pair.every(isFile))
  if (spec.boot.kind === 'disk' && firmware === undefined)
    return unavailable(spec.gate, 'there is no UEFI firmware for aarch64 (qemu-efi-aarch64)')
  const folder = mkdtempSync(join(world.scratch, 'rel-boot-'))
  const forget = trackLeftover(folder)
  try {
    const nonce = randomBytes(16).toString('hex')
    const files = prepareFiles(spec, folder, nonce, firmware)
    return await boot({spec, world, program, files, nonce, wanted: wantedOf(spec, release)})
  } finally {
    rmSync(folder, {recursive: true, force: true})
    forget()
  }
}

/** QEMU runs in another folder; and a path that begins with a dash would be an option of it. */
function absolute(boot: BootSpec['boot']): BootSpec['boot'] {
  if (boot.kind === 'disk') return {...boot, image: resolve(boot.image)}
  const {kernel, initrd, dtb} = boot
  const tree = dtb === undefined ? {} : {dtb: resolve(dtb)}
  return {...boot, kernel: resolve(kernel), initrd: resolve(initrd), ...tree}
}

function wantedOf(spec: BootSpec, release: string | undefined): BootWanted {
  const {heartbeat, ssh, timeoutSecs} = spec
  return {release, machine: 'aarch64', probe: wantsProbe(spec), heartbeat, ssh, timeoutSecs}
}

/** The release in the kernel file, undefined when it does not tell; a refusal when it is no kernel. */
function releaseOfKernel({boot}: BootSpec): string | undefined | RelError {
  if (boot.kind === 'disk') return undefined
  const bytes = readFileLimited(boot.kernel, MAX_KERNEL_BYTES)
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b
  try {
    return readKernelImage(isGzip ? gunzipped(bytes) : bytes).release
  } catch (error) {
    if (error instanceof RelError) return error
    throw error
  }
}

function gunzipped(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, {maxOutputLength: MAX_KERNEL_BYTES})
  } catch (cause) {
    throw new RelError('boot_kernel_truncated', 'the gzip of the kernel is damaged or cut', {cause})
  }
}

async function hasMachine(program: string, machine: string, world: GateWorld): Promise<boolean> {
  if (machine === 'virt') return true
  const said: Buffer[] = []
  await runProgram({
    argv: [program, '-machine', 'help'],
    cwd: world.scratch,
    env: environment(world, world.scratch),
    timeoutSecs: 30,
    onOutput: (_stream, bytes) => {
      said.push(bytes)
      return undefined
    },
  })
  return Buffer.concat(said)
    .toString('latin1')
    .split('\n')
    .some((line) => line.startsWith(`${machine} `))
}

function prepareFiles(
  {boot, heartbeat, ssh}: BootSpec,
  folder: string,
  nonce: string,
  firmware: readonly [string, string] | undefined,
): BootFiles {
  const [code = '', variables = ''] = firmware ?? []
  const files = {
    initrd: join(folder, 'initrd'),
    nonce: join(folder, 'nonce'),
    firmware: code,
    variables: join(folder, 'variables.fd'),
  }
  if (boot.kind === 'kernel') {
    appendProbe(boot.initrd, files.initrd, probeArchive(nonce, heartbeat || ssh))
    return files
  }
  if (!isFile(boot.image)) throw new RelError('file_missing', `${boot.image} is not a file`)
  copyFileSync(variables, files.variables)
  writeFileSync(files.nonce, nonce, {mode: 0o600})
  return files
}

/** The kernel unpacks archives one after the other; the next one begins at a multiple of 4 bytes. */
function appendProbe(initrd: string, target: string, probe: Buffer): void {
  const size = statSync(initrd, {throwIfNoEntry: false})?.size
  if (size === undefined) throw new RelError('file_missing', `${initrd} does not exist`)
  if (size > MAX_INITRD_BYTES)
    throw new RelError('file_too_large', `${initrd} is larger than ${MAX_INITRD_BYTES} bytes`)
  try {
    copyFileSync(initrd, target, constants.COPYFILE_FICLONE)
    appendFileSync(target, Buffer.concat([cpioPadding(statSync(target).size), probe]))
  } catch (error) {
    throw fileError(error, target, 'write')
  }
}

type Boot = {
  readonly spec: BootSpec
  readonly world: GateWorld
  readonly program: string
  readonly files: BootFiles
  readonly nonce: string
  readonly wanted: BootWanted
}

async function boot(run: Boot): Promise<BootResult> {
  const {spec, world, program, files, wanted} = run
  const sshPort = spec.ssh ? await freePort() : 0
  const argv = [program, ...bootArguments(spec, files, sshPort)] as const
  const serial = new EvidenceLog(
    world.evidence,
    logName(spec.gate, '.console.log'),
    MAX_SERIAL_BYTES,
  )
  const said = new EvidenceLog(world.evidence, logName(spec.gate, '.qemu.log'), MAX_QEMU_BYTES)
  said.write(`${argv.join(' ')}\n`)
  const started = performance.now()
  world.report?.(`booting ${spec.machine} in QEMU, at most ${spec.timeoutSecs} s`)
  const evidence = await watchBoot(run, argv, sshPort, {serial, said})
  const secs = Math.round((performance.now() - started) / 100) / 10
  const logs = [serial.close(), said.close()]
  const refusal = judgeBoot(evidence, wanted)
  const caveats = caveatsOf(spec, wanted)
  if (refusal !== undefined) return refused(spec.gate, refusal, {caveats, logs})
  const release = releaseSeen(evidence.signs)
  const summary = `kernel ${release ?? 'unknown'} (${wanted.machine}) is up on QEMU's ${spec.machine}${alsoSeen(spec)}`
  return {
    ...passed(spec.gate, summary, {caveats, logs}),
    ...(release === undefined ? {} : {release}),
    secs,
  }
}

type Logs = {readonly serial: EvidenceLog; readonly said: EvidenceLog}

/** Runs QEMU until everything is decided, and returns what was seen. */
async function watchBoot(
  {spec, world, files, nonce, wanted}: Boot,
  argv: readonly [string, ...string[]],
  sshPort: number,
  {serial, said}: Logs,
): Promise<BootEvidence> {
  const watch = new BootWatch(nonce)
  const seen = {signs: [] as BootSign[], heartbeat: false, ssh: false, complaint: ''}
  let stop = () => {}
  const decide = () => {
    const evidence: BootEvidence = {...seen, end: 'stopped'}
    if (!isDecided(evidence, wanted)) return
    if (judgeBoot(evidence, wanted) === undefined) stop()
    else setTimeout(stop, LAST_WORDS_MS)
  }
  const ended = new AbortController()
  const end = await runProgram({
    argv,
    cwd: world.scratch,
    env: environment(world, join(files.initrd, '..')),
    timeoutSecs: spec.timeoutSecs,
    sockets: spec.heartbeat ? 1 : 0,
    onStart: (running) => {
      stop = running.stop
      if (spec.heartbeat)
        onHeartbeat(running.child.stdio[HEARTBEAT_FD] as Duplex, () => {
          seen.heartbeat = true
          world.report?.('the guest sent a heartbeat')
          decide()
        })
      if (spec.ssh)
        waitForSsh({port: sshPort, pid: running.child.pid ?? 0}, ended.signal, () => {
          seen.ssh = true
          world.report?.('the SSH server of the guest answered')
          decide()
        })
    },
    onOutput: (stream, bytes) => {
      if (stream === 'stderr') {
        said.write(bytes)
        seen.complaint = (seen.complaint + bytes.toString('latin1')).slice(0, 1024)
        return undefined
      }
      const fits = serial.write(bytes)
      const signs = watch.take(bytes)
      seen.signs.push(...signs)
      for (const sign of signs) world.report?.(saying(sign))
      if (signs.length > 0) decide()
      return fits ? undefined : 'flood'
    },
  }).finally(() => ended.abort())
  said.write(`${JSON.stringify(end)}\n`)
  return {...seen, end: endOf(end), complaint: firstLine(seen.complaint) || complaintOf(end)}
}

function endOf(end: ProgramEnd): BootEnd {
  if (end.end === 'exited') return end.exitCode === 0 ? 'exited' : 'crashed'
  if (end.end === 'signalled' || end.end === 'not_started') return 'crashed'
  return end.end
}

function complaintOf(end: ProgramEnd): string {
  if (end.end === 'signalled') return `it was ended by ${end.signal}`
  if (end.end === 'not_started') return end.reason
  return end.end === 'exited' ? `it ended with ${end.exitCode}` : end.end
}

function saying(sign: BootSign): string {
  if (sign.sign === 'banner') return `kernel ${sign.release} is starting`
  if (sign.sign === 'probe') return `the probe speaks from kernel ${sign.report.release}`
  return sign.line
}

function releaseSeen(signs: readonly BootSign[]): string | undefined {
  const probe = signs.find((sign) => sign.sign === 'probe')
  return probe?.report.release ?? signs.find((sign) => sign.sign === 'banner')?.release
}

function alsoSeen({heartbeat, ssh}: BootSpec): string {
  return `${heartbeat ? ', sent a heartbeat' : ''}${ssh ? ', answers SSH' : ''}`
}

function caveatsOf({machine, boot, heartbeat, ssh}: BootSpec, {release}: BootWanted): string[] {
  return [
    `QEMU's ${machine} is not the real board: its devices, boot loader and firmware were not executed`,
    ...(release === undefined ? ['the release of the kernel was not compared with anything'] : []),
    ...(boot.kind === 'kernel' && !heartbeat && !ssh
      ? ["the initrd's own /init was looked for but not run"]
      : []),
  ]
}

/** Calls back once, when the guest sends an HTTP request, and answers every one of them. */
function onHeartbeat(socket: Duplex, call: () => void): void {
  let text = ''
  let called = false
  socket.on('error', () => {}) // QEMU ended
  socket.on('data', (bytes: Buffer) => {
    text = (text + bytes.toString('latin1')).slice(-4096)
    if (!/^(?:GET|POST|PUT) \/\S* HTTP\/1\.[01]\r?\n/m.test(text)) return
    text = ''
    socket.write('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
    if (!called) call()
    called = true
  })
}

type Forwarded = {readonly port: number; readonly pid: number}

/**
 * QEMU takes connections before the guest listens, so only the server's own greeting counts; and
 * only of QEMU: somebody else on this machine may have taken the port before it did.
 */
function waitForSsh(forwarded: Forwarded, ended: AbortSignal, call: () => void): void {
  if (ended.aborted) return
  const {port, pid} = forwarded
  const again = () => setTimeout(() => waitForSsh(forwarded, ended, call), SSH_RETRY_MS)
  if (!ownsPort(pid, port)) {
    again()
    return
  }
  const socket: Socket = connect(port, '127.0.0.1')
  const retry = setTimeout(() => socket.destroy(), 10 * SSH_RETRY_MS)
  let greeted = false
  socket.once('data', (bytes: Buffer) => {
    greeted = /^SSH-2\.0-/.test(bytes.toString('latin1'))
    socket.destroy()
  })
  socket.on('error', () => {}) // the guest is not there yet
  socket.once('close', () => {
    clearTimeout(retry)
    if (greeted) call()
    else again()
  })
}

/** Somebody may take it before QEMU does; QEMU then refuses to start, which is no pass. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

function environment({path}: GateWorld, folder: string): Record<string, string> {
  return {PATH: path, HOME: folder, TMPDIR: folder, LC_ALL: 'C'}
}

function firstLine(text: string): string {
  const [line = ''] = text.trim().split('\n')
  return line.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 200)
}

function isFile(path: string): boolean {
  return statSync(path, {throwIfNoEntry: false})?.isFile() === true
}
