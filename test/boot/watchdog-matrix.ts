import {readFileSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../src/device/apply.ts'
import {parseConfig} from '../../src/device/config.ts'
import type {Device} from '../../src/device/device.ts'
import {resume} from '../../src/device/resume.ts'
import {stage} from '../../src/device/stage.ts'
import {verifyDevice} from '../../src/device/status.ts'
import {planUnits} from '../../src/device/units.ts'
import {debianArm64} from '../support/arm64.ts'
import {configJson, deviceAt, installOne, makeSources} from '../support/device/node.ts'
import {
  bootGuest,
  makeGuestRoot,
  put,
  readDisk,
  textAt,
  writeDisk,
  writeInitrd,
} from '../support/device/watchdog-guest.ts'
import {needs, needsThat} from '../support/needs.ts'
import {rejectsCode} from '../support/rejects.ts'
import {signedTree, type TreeFiles, writeTree} from '../support/signed-tree.ts'
import {temporaryFolder} from '../support/tmp.ts'

// A real systemd starts versions that fail in every way; the guard, as it is shipped, brings the old
// one back. The guest has no Node.js; the updater then ends on this machine what the guest's disk holds.

const isLong = process.env.REL_TEST_LONG === '1'

/** Says that it runs, is ready for systemd, and alive. */
const works = (version: string) => `#!/bin/sh
echo ${version} >>/var/log/$NAME.runs
systemd-notify --ready
while :; do systemd-notify WATCHDOG=1; sleep 4; done
`
const runs = (then: string) => `#!/bin/sh\necho 1.1.0 >>/var/log/$NAME.runs\n${then}\n`

type Case = {
  readonly name: string
  /** bin/app of 1.1.0; undefined: it is not in the bundle. */
  readonly app: string | Buffer | undefined
  readonly old?: string
  readonly isLong?: boolean
  readonly windowSecs?: number
}

const cases: readonly Case[] = [
  {name: 'crash', app: runs('exit 1')},
  {name: 'hang', app: runs('exec sleep 1000')},
  // for systemd it is well: only the window can tell
  {name: 'wrong', app: works('1.0.0-of-before'), windowSecs: 6},
  {name: 'both', app: runs('exit 1'), old: '#!/bin/sh\necho 1.0.0 >>/var/log/$NAME.runs\nexit 1\n'},
  {name: 'exit', app: runs('exit 0'), isLong: true},
  {name: 'pings', app: runs('systemd-notify --ready\nexec sleep 1000'), isLong: true},
  {name: 'missing', app: undefined, isLong: true},
  {name: 'elf', app: Buffer.alloc(0), isLong: true},
  {name: 'later', app: runs('systemd-notify --ready\nsleep 2\nexit 1'), isLong: true},
]
const chosen = cases.filter((it) => isLong || it.isLong !== true)

/** The same as `crash`, with a limit of systemd's own. */
const control = {name: 'limit', app: runs('exit 1')}

const unit = (name: string) => `[Service]
Type=notify
NotifyAccess=all
Environment=NAME=${name}
ExecStart=/opt/${name}/current/bin/app
WatchdogSec=10
StandardError=append:/var/log/${name}.err
`
const fast = '[Service]\nRestartSec=1\nTimeoutStartSec=5\n'

/** Runs until every case is where it must end, and then on: nothing may swap again. */
const matrix = (names: readonly string[]) => `#!/bin/sh
cd /opt
for name in ${names.join(' ')} ${control.name}; do
  systemctl start rel-guard-$name.path
  systemctl start --no-block $name
done
for _ in $(seq 100); do
  left=
  for name in ${names.join(' ')}; do
    [ "$(readlink $name/current)" = versions/1.0.0 ] && [ "$(tail -n 1 /var/log/$name.runs)" = 1.0.0 ] || left=$name
  done
  [ -n "$left" ] || break
  sleep 3
done
sleep 6
for name in ${names.join(' ')} ${control.name}; do
  systemctl show -p ActiveState,SubState,NRestarts,Result $name >/var/log/$name.show
  readlink $name/current >/var/log/$name.current
done
sync
systemctl poweroff --force
`

async function nodeOf(
  {name, app, old, windowSecs = 600}: Case,
  root: string,
  arm64Sleep: Buffer,
): Promise<void> {
  const bundles = join(temporaryFolder(), name)
  const {anchor} = await makeSources()
  const content = app instanceof Buffer ? arm64Sleep.subarray(0, 4096) : app
  const versions: [string, string | Buffer | undefined][] = [
    ['1.0.0', old ?? works('1.0.0')],
    ['1.1.0', content],
  ]
  for (const [version, program] of versions) {
    const files: TreeFiles = {
      'data.txt': version,
      ...(program === undefined ? {} : {'bin/app': {content: program, mode: '0755'}}),
    }
    const tree = await signedTree(files, {}, (manifest) => ({
      ...manifest,
      bundleName: `app-v${version}`,
      version,
    }))
    writeTree(`${bundles}-${version}`, tree)
  }
  const sources = {anchor, of: (version: string) => `${bundles}-${version}`}
  const upgrade = {...configJson.upgrade, boot_health_window_secs: windowSecs}
  const device = deviceAt(root, {}, {upgrade})
  await installOne(device, sources)
  const plain = {isRetry: false, isUnattended: false}
  await stage(device, sources.of('1.1.0'), plain)
  // the updater is gone as soon as it has swapped
  const restart = async () => Promise.reject(new Error('killed'))
  const world = {...device.world, restart}
  await apply({...device, world} as Device, plain).catch(() => undefined)
  assert.is(readlinkSync(join(root, 'current')), 'versions/1.1.0')
}

const arm64 = debianArm64()
const canBoot =
  needs('qemu-system-aarch64') &&
  needsThat('arm64 packages', typeof arm64 !== 'string', String(arm64))

if (canBoot && typeof arm64 !== 'string')
  test(`a guest: ${chosen.map(({name}) => name).join(', ')}; and a limit of systemd's`, async () => {
    const folder = temporaryFolder()
    const root = join(folder, 'root')
    assert.is(makeGuestRoot(root), undefined)
    const sleep = readFileSync(join(root, 'bin/sleep'))
    const config = parseConfig(Buffer.from(JSON.stringify(configJson)))
    for (const it of [...chosen, control]) {
      const {name} = it
      await nodeOf(it, join(root, 'opt', name), sleep)
      const at = {root: `/opt/${name}`, service: name, rel: '/bin/rel', out: '/etc/systemd/system'}
      const plan = planUnits({...at, config})
      put(root, `opt/${name}/.rel/guard`, plan.guard, 0o755)
      for (const {path, text} of plan.units) put(root, path, text)
      put(root, `etc/systemd/system/${name}.service`, unit(name))
      put(root, `etc/systemd/system/${name}.service.d/60-fast.conf`, fast)
    }
    const limit = '[Unit]\nStartLimitIntervalSec=600\nStartLimitBurst=3\n'
    put(root, `etc/systemd/system/${control.name}.service.d/70-limit.conf`, limit)
    put(root, 'opt/matrix', matrix(chosen.map(({name}) => name)), 0o755)
    put(root, 'etc/systemd/system/matrix.target', '[Unit]\nRequires=matrix.service\n')
    const script = '[Service]\nType=exec\nExecStart=/opt/matrix\n'
    put(root, 'etc/systemd/system/matrix.service', script)
    const [initrd, disk] = [join(folder, 'initrd'), join(folder, 'disk')]
    writeInitrd(arm64, initrd)
    writeDisk(root, disk)
    const begun = performance.now()
    await bootGuest({kernel: arm64.kernel, initrd, disk, patienceSecs: 420})
    process.stdout.write(`the guest ran for ${Math.round((performance.now() - begun) / 1000)} s\n`)
    const out = join(folder, 'out')
    readDisk(disk, '/opt', out)
    readDisk(disk, '/var/log', out)
    const log = (name: string) => textAt(join(out, 'log', name))
    for (const {name} of chosen) {
      const node = join(out, 'opt', name)
      const context = `${name}: ${log(`${name}.err`)}${log(`${name}.show`)}`
      assert.is(log(`${name}.current`), 'versions/1.0.0\n', context)
      const started = log(`${name}.runs`).trim().split('\n')
      const firstOld = started.indexOf('1.0.0')
      assert.ok(firstOld >= 0, context)
      assert.ok(
        started.slice(firstOld).every((version) => version === '1.0.0'),
        context,
      )
      assert.is(
        log(`${name}.err`).match(/took 1\.1\.0 back/g)?.length ?? 0,
        name === 'wrong' ? 0 : 1,
      )
      const device = deviceAt(node)
      await rejectsCode(() => resume(device), 'upgrade_rolled_back')
      await resume(device)
      await verifyDevice(device)
      assert.equal(
        device.events.map(({event}) => event),
        ['upgrade_rolled_back'],
      )
      assert.is(readlinkSync(join(node, 'current')), 'versions/1.0.0')
    }
    assert.match(log('both.show'), /NRestarts=(?:[5-9]|\d\d)/)
    assert.match(log('limit.show'), 'ActiveState=failed')
    assert.is(log('limit.current'), 'versions/1.1.0\n', 'systemd gave up before the guard could')
  })

test.run()
