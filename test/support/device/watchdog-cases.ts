import {mkdirSync, readFileSync, readlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import * as assert from 'uvu/assert'
import {apply} from '../../../src/device/apply.ts'
import {parseConfig} from '../../../src/device/config.ts'
import type {Device} from '../../../src/device/device.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {planUnits} from '../../../src/device/units.ts'
import {releaseText} from '../../../src/release/release-manifest.ts'
import type {Arm64} from '../arm64.ts'
import {rejectsCode} from '../rejects.ts'
import {testArtifact} from '../releases.ts'
import {signedTree, type TreeFiles, writeTree} from '../signed-tree.ts'
import {temporaryFolder} from '../tmp.ts'
import {configJson, deviceAt, installOne, makeSources, plain} from './node.ts'
import {
  installProgram,
  programAt,
  programConfig,
  programRelease,
  programSources,
} from './program-node.ts'
import {
  bootGuest,
  makeGuestRoot,
  put,
  readDisk,
  textAt,
  writeDisk,
  writeInitrd,
} from './watchdog-guest.ts'

// A real systemd starts versions that fail in every way; the guard, as it is shipped, brings the old
// one back. The guest has no Node.js; the updater then ends on this machine what the guest's disk holds.

export type WatchdogCase = {
  readonly name: string
  /** The program of 1.1.0; undefined: it is not in the bundle; elf: a real one that is cut off. */
  readonly app: string | undefined
  readonly isElf?: boolean
  readonly old?: string
  readonly isBinary?: boolean
  readonly windowSecs?: number
  /** `upgrade.max_boot_attempts`, 3 when not given. */
  readonly maxAttempts?: number
  /** Of the unit: how long it may be silent, and how long it may take to start. */
  readonly watchdogSecs?: number
  readonly startSecs?: number
  /** It works, and is started again and again by an operator. */
  readonly isAsked?: boolean
  /** The limit of systemd's own, which the guard's drop-in takes away. */
  readonly hasLimit?: boolean
}

/** Says that it runs, is ready for systemd, and alive. */
const works = (version: string) => `#!/bin/sh
echo ${version} >>/var/log/$NAME.runs
systemd-notify --ready
while :; do systemd-notify WATCHDOG=1; sleep 20; done
`
const runs = (then: string) => `#!/bin/sh\necho 1.1.0 >>/var/log/$NAME.runs\n${then}\n`

/** For `npm test`: what needs no waiting, so that it costs little more than the boot. */
export const shortCases: readonly WatchdogCase[] = [
  {name: 'crash', app: runs('exit 1')},
  {name: 'elf', app: '', isElf: true},
  {name: 'program', app: runs('exit 1'), isBinary: true},
  {name: 'limit', app: runs('exit 1'), hasLimit: true},
]

export const longCases: readonly WatchdogCase[] = [
  ...shortCases,
  {name: 'asked', app: works('1.1.0'), isAsked: true},
  {name: 'exit', app: runs('exit 0')},
  {name: 'hang', app: runs('exec sleep 1000'), startSecs: 20},
  {name: 'pings', app: runs('systemd-notify --ready\nexec sleep 1000'), watchdogSecs: 5},
  {name: 'missing', app: undefined},
  {name: 'later', app: runs('systemd-notify --ready\nsleep 3\nexit 1')},
  // for systemd it is well, and it answers as the one before: only the window can tell
  {name: 'wrong', app: works('1.0.0-of-before'), windowSecs: 40},
  {name: 'both', app: runs('exit 1'), old: '#!/bin/sh\necho 1.0.0 >>/var/log/$NAME.runs\nexit 1\n'},
]

/** The same kinds with other limits; the window of `wrong` counts no starts. */
export const limitCases: readonly WatchdogCase[] = [
  ...longCases
    .filter((it) => it.hasLimit !== true && it.isAsked !== true && it.windowSecs === undefined)
    .flatMap((it) =>
      [1, 2].map((maxAttempts) => ({...it, name: `${it.name}${maxAttempts}`, maxAttempts})),
    ),
  {name: 'minute', app: runs('systemd-notify --ready\nsleep 60\nexit 1'), maxAttempts: 1},
]

/** Each takes the machine down as soon as it starts, and needs a guest of its own. */
export const rebootCases: readonly WatchdogCase[] = [1, 2, 3].map((maxAttempts) => ({
  name: `reboots${maxAttempts}`,
  app: runs('sync\necho b >/proc/sysrq-trigger\nsleep 1000'),
  maxAttempts,
}))

/** Below /opt/NAME, with the profile `binary`. */
const PROGRAM = 'bin/agent'

const rootOf = ({name, isBinary = false}: WatchdogCase) =>
  isBinary ? `opt/${name}/node` : `opt/${name}`

const unit = (it: WatchdogCase) => `[Service]
Type=notify
NotifyAccess=all
Environment=NAME=${it.name}
ExecStart=/opt/${it.name}/${it.isBinary === true ? PROGRAM : 'current/bin/app'}
WatchdogSec=${it.watchdogSecs ?? 60}
StandardError=append:/var/log/${it.name}.err
`
// the guard must be through with its work by then, on an emulated machine that is one of many here
const patient = ({startSecs = 90}: WatchdogCase) =>
  `[Service]\nRestartSec=1\nTimeoutStartSec=${startSecs}\n`
const limited = '[Unit]\nStartLimitIntervalSec=600\nStartLimitBurst=3\n'

/**
 * Runs until every case is where it must end, and then on: nothing may swap again. Started by each
 * boot, so that a machine that was taken down goes on where it was.
 */
const script = (cases: readonly WatchdogCase[]) => {
  const all = cases.map(({name}) => name).join(' ')
  const asked = cases.filter((it) => it.isAsked === true).map(({name}) => name)
  const limits = cases.filter((it) => it.hasLimit === true).map(({name}) => name)
  const names = cases.map(({name}) => name).filter((it) => ![...asked, ...limits].includes(it))
  return `#!/bin/sh
cd /opt
for name in ${all}; do
  systemctl start rel-guard-$name.path
  systemctl start --no-block $name
done
for name in ${asked.join(' ')}; do
  for _ in 1 2 3 4 5; do
    while [ "$(systemctl is-active $name)" != active ]; do sleep 1; done
    systemctl restart $name
  done
done
left='${names.join(' ')}'
limits='${limits.join(' ')}'
while [ -n "$left$limits" ]; do
  sleep 3
  for name in $left; do
    last=
    [ ! -e /var/log/$name.runs ] || while read -r line; do last=$line; done </var/log/$name.runs
    [ -L $name/.rel/reverted.seen ] || [ -L $name/node/.rel/reverted.seen ] || last=
    [ "$last" = 1.0.0 ] || still="$still $name"
  done
  left=$still still=
  for name in $limits; do
    systemctl is-failed --quiet $name || still="$still $name"
  done
  limits=$still still=
done
sleep 6
for name in ${all}; do
  systemctl show -p ActiveState,SubState,NRestarts,Result $name >/var/log/$name.show
done
read -r up _ </proc/uptime
echo "$(systemctl --version | head -n 1), kernel $(uname -r), up for $up s" >/var/log/machine
sync
systemctl poweroff --force
`
}

export type GuestRun = {
  /** Wall time, and CPU seconds of the emulator. */
  readonly secs: number
  readonly cpuSecs: number
  readonly machine: string
}

/** The cases in one guest, and what its disk holds when it has powered itself off. */
export async function runGuest(
  arm64: Arm64,
  cases: readonly WatchdogCase[],
  {reboots = false, patienceSecs = 800} = {},
): Promise<GuestRun> {
  const folder = temporaryFolder()
  const root = join(folder, 'root')
  assert.is(makeGuestRoot(root), undefined)
  const elf = readFileSync(join(root, 'bin/sleep')).subarray(0, 4096)
  for (const it of cases) {
    await makeNode(it, root, elf)
    putUnits(it, root)
  }
  put(root, 'opt/script', script(cases), 0o755)
  put(root, 'etc/systemd/system/matrix.target', '[Unit]\nRequires=matrix.service\n')
  put(root, 'etc/systemd/system/matrix.service', '[Service]\nType=exec\nExecStart=/opt/script\n')
  const [initrd, disk] = [join(folder, 'initrd'), join(folder, 'disk')]
  writeInitrd(arm64, initrd)
  writeDisk(root, disk)
  const figures = await bootGuest({kernel: arm64.kernel, initrd, disk, patienceSecs, reboots})
  const out = join(folder, 'out')
  readDisk(disk, '/opt', out)
  readDisk(disk, '/var/log', out)
  for (const it of cases) await checkOf(it)(it, out)
  return {...figures, machine: textAt(join(out, 'log/machine')).trim()}
}

function checkOf(it: WatchdogCase): typeof checkCase {
  if (it.hasLimit === true) return checkLimit
  return it.isAsked === true ? checkAsked : checkCase
}

function putUnits(it: WatchdogCase, root: string): void {
  const {name} = it
  const change = it.isBinary === true ? programConfig(`/opt/${name}`) : {}
  const config = parseConfig(Buffer.from(JSON.stringify({...configJson, ...change})))
  const at = {root: `/${rootOf(it)}`, service: name, rel: '/bin/rel', out: '/etc/systemd/system'}
  const plan = planUnits({...at, verifyAtStart: false, config})
  put(root, `${rootOf(it)}/.rel/guard`, plan.guard, 0o755)
  for (const {path, text} of plan.units) put(root, path, text)
  const unitPath = `etc/systemd/system/${name}.service`
  put(root, unitPath, unit(it))
  put(root, `${unitPath}.d/60-patient.conf`, patient(it))
  if (it.hasLimit === true) put(root, `${unitPath}.d/70-limit.conf`, limited)
}

/** A node that has swapped to 1.1.0, and whose updater was killed then. */
async function makeNode(it: WatchdogCase, root: string, elf: Buffer): Promise<void> {
  const old = it.old ?? works('1.0.0')
  const next = it.isElf === true ? elf : it.app
  const around = join(root, 'opt', it.name)
  const device =
    it.isBinary === true
      ? await programNode(around, [old, next], it)
      : await treeNode(around, [old, next], it)
  const restart = async () => Promise.reject(new Error('killed'))
  const world = {...device.world, restart}
  await apply({...device, world} as Device, plain).catch(() => undefined)
  if (it.isBinary !== true) return
  // the guest has it at another place
  const trial = join(device.root, '.rel/trial')
  const text = readFileSync(trial, 'utf8').replace(`path=${root}/opt/`, 'path=/opt/')
  assert.match(text, `path=/opt/${it.name}/${PROGRAM}\n`)
  writeFileSync(trial, text)
}

type Programs = readonly [old: string, next: string | Buffer | undefined]

const upgradeOf = ({windowSecs = 600, maxAttempts = 3}: WatchdogCase) => ({
  ...configJson.upgrade,
  boot_health_window_secs: windowSecs,
  max_boot_attempts: maxAttempts,
})

async function treeNode(root: string, programs: Programs, it: WatchdogCase): Promise<Device> {
  const bundles = temporaryFolder()
  const {anchor} = await makeSources()
  for (const [index, version] of ['1.0.0', '1.1.0'].entries()) {
    const program = programs[index]
    const files: TreeFiles = {
      'data.txt': version,
      ...(program === undefined ? {} : {'bin/app': {content: program, mode: '0755'}}),
    }
    const tree = await signedTree(files, {}, (manifest) => ({
      ...manifest,
      bundleName: `app-v${version}`,
      version,
    }))
    writeTree(join(bundles, version), tree)
  }
  const of = (version: string) => join(bundles, version)
  const device = deviceAt(root, {}, {upgrade: upgradeOf(it)})
  await installOne(device, {anchor, of})
  await stage(device, of('1.1.0'), plain)
  return device
}

async function programNode(around: string, programs: Programs, it: WatchdogCase): Promise<Device> {
  const bundles = temporaryFolder()
  const {anchor} = await programSources()
  for (const [index, version] of ['1.0.0', '1.1.0'].entries()) {
    const bytes = Buffer.from(programs[index] ?? '')
    const slot = {component: 'agent', os: 'linux', arch: 'arm64'} as const
    const artifacts = [await testArtifact(slot, 'agent-linux-arm64', bytes)]
    mkdirSync(join(bundles, version))
    const release = await programRelease(version, {artifacts})
    writeFileSync(join(bundles, version, 'release.json'), releaseText(release))
    writeFileSync(join(bundles, version, 'agent-linux-arm64'), bytes)
  }
  const of = (version: string) => join(bundles, version)
  mkdirSync(join(around, 'bin'), {recursive: true})
  const device = programAt(around, {}, {upgrade: upgradeOf(it)})
  await installProgram(device, {anchor, of})
  await stage(device, of('1.1.0'), plain)
  return device
}

/** The old version runs, and nothing was swapped again; the updater tells it once. */
async function checkCase(it: WatchdogCase, out: string): Promise<void> {
  const {name} = it
  const log = (end: string) => textAt(join(out, `log/${name}.${end}`))
  const context = `${name}:\n${log('err')}${log('show')}${log('runs')}`
  const started = log('runs').trim().split('\n')
  const firstOld = started.indexOf('1.0.0')
  assert.ok(firstOld >= 0, context)
  assert.ok(
    started.slice(firstOld).every((version) => version === '1.0.0'),
    context,
  )
  const {maxAttempts = 3} = it
  if (it.windowSecs === undefined) {
    const why = [...log('err').matchAll(/took 1\.1\.0 back to 1\.0\.0: (\d+) starts/g)]
    assert.equal(
      why.map(([, count]) => Number(count)),
      [maxAttempts],
      context,
    )
    assert.is(firstOld, it.app === undefined || it.isElf === true ? 0 : maxAttempts, context)
  } else assert.is(firstOld, 1, context)
  if (it.old === undefined)
    assert.match(log('show'), 'ActiveState=active\nSubState=running', context)
  else assert.ok(started.length > maxAttempts + firstOld, context)
  const device =
    it.isBinary === true ? programAt(join(out, 'opt', name)) : deviceAt(join(out, rootOf(it)))
  await rejectsCode(() => resume(device), 'upgrade_rolled_back')
  await resume(device)
  await verifyDevice(device)
  assert.equal(
    device.events.map(({event}) => event),
    ['upgrade_rolled_back'],
  )
}

/** systemd gave up before the guard could. */
async function checkLimit({name}: WatchdogCase, out: string): Promise<void> {
  const log = (end: string) => textAt(join(out, `log/${name}.${end}`))
  assert.match(log('show'), 'ActiveState=failed')
  assert.is(log('runs'), '1.1.0\n'.repeat(3))
  assert.is(readlinkSync(join(out, 'opt', name, 'current')), 'versions/1.1.0')
}

/** Six starts, of which one was counted. */
async function checkAsked({name}: WatchdogCase, out: string): Promise<void> {
  const log = (end: string) => textAt(join(out, `log/${name}.${end}`))
  assert.is(log('runs'), '1.1.0\n'.repeat(6), log('err'))
  assert.is(readlinkSync(join(out, 'opt', name, 'current')), 'versions/1.1.0')
  assert.match(textAt(join(out, 'opt', name, '.rel/attempts')), 'count=1\nend\n')
}
