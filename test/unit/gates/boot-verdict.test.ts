import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  type BootEvidence,
  type BootWanted,
  isDecided,
  judgeBoot,
} from '../../../src/gates/boot-verdict.ts'
import type {BootSign} from '../../../src/gates/boot-watch.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'

const release = '6.1.0-56-arm64'
const wanted: BootWanted = {
  release,
  machine: 'aarch64',
  probe: true,
  heartbeat: false,
  ssh: false,
  timeoutSecs: 60,
}
const probe: BootSign = {sign: 'probe', report: {release, machine: 'aarch64', hasInit: true}}
const banner: BootSign = {sign: 'banner', release}
const panic: BootSign = {sign: 'panic', line: 'Kernel panic - not syncing: x'}
const forged: BootSign = {sign: 'forged', line: 'x'}
const saying = (of: Partial<(typeof probe & {sign: 'probe'})['report']>): BootSign => ({
  sign: 'probe',
  report: {release, machine: 'aarch64', hasInit: true, ...of},
})

function seen(signs: readonly BootSign[], rest: Partial<BootEvidence> = {}): BootEvidence {
  return {signs, end: 'stopped', complaint: '', heartbeat: false, ssh: false, ...rest}
}

const both = {...wanted, heartbeat: true, ssh: true}
const image = {...wanted, probe: false, heartbeat: true}
type Case = readonly [string, BootEvidence, BootWanted, ErrorCode | undefined]
const cases: readonly Case[] = [
  ['the proof', seen([banner, probe]), wanted, undefined],
  [
    'the proof, with a release that nobody knows',
    seen([probe]),
    {...wanted, release: undefined},
    undefined,
  ],
  ['nothing until the limit', seen([banner], {end: 'timeout'}), wanted, 'boot_hang'],
  ['an end without proof', seen([banner], {end: 'exited'}), wanted, 'boot_ended_early'],
  ['QEMU that fails', seen([], {end: 'crashed'}), wanted, 'boot_qemu_failed'],
  [
    'QEMU that crashes after the proof',
    seen([probe], {end: 'crashed'}),
    wanted,
    'boot_qemu_failed',
  ],
  ['endless output', seen([], {end: 'flood'}), wanted, 'boot_log_limit'],
  ['a panic, exit 0', seen([panic], {end: 'exited'}), wanted, 'boot_panic'],
  ['a panic after the proof', seen([probe, panic]), wanted, 'boot_panic'],
  ['an oops before the proof', seen([{sign: 'oops', line: 'x'}, probe]), wanted, 'boot_oops'],
  ['no init, then the panic', seen([{sign: 'no_init', line: 'x'}, panic]), wanted, 'boot_no_init'],
  ['no init in the initrd', seen([saying({hasInit: false})]), wanted, 'boot_no_init'],
  [
    'a shell of the image that lies about its kernel',
    seen([{sign: 'banner', release: '6.1.0-55-arm64'}, probe]),
    wanted,
    'boot_wrong_kernel',
  ],
  [
    'a lie about a release that nobody knows',
    seen([{sign: 'banner', release: '6.1.0-55-arm64'}, probe]),
    {...wanted, release: undefined},
    'boot_wrong_kernel',
  ],
  [
    'a program that prints another banner after the kernel did',
    seen([banner, {sign: 'banner', release: '6.1.0-55-arm64'}, probe]),
    wanted,
    undefined,
  ],
  ['another kernel', seen([saying({release: '6.1.0-5-arm64'})]), wanted, 'boot_wrong_kernel'],
  [
    'a release that only begins alike',
    seen([saying({release: `${release}x`})]),
    wanted,
    'boot_wrong_kernel',
  ],
  ['another architecture', seen([saying({machine: 'armv7l'})]), wanted, 'boot_wrong_machine'],
  ['a forged proof alone', seen([forged]), wanted, 'boot_sentinel_forged'],
  ['a forged proof and a real one', seen([forged, probe]), wanted, 'boot_sentinel_forged'],
  ['no heartbeat', seen([probe], {end: 'timeout', ssh: true}), both, 'boot_heartbeat_missing'],
  ['no SSH', seen([probe], {end: 'timeout', heartbeat: true}), both, 'boot_ssh_missing'],
  [
    'heartbeat and SSH without the proof',
    seen([banner], {end: 'timeout', heartbeat: true, ssh: true}),
    both,
    'boot_hang',
  ],
  ['everything', seen([probe], {heartbeat: true, ssh: true}), both, undefined],
  ['an image by its heartbeat', seen([banner], {heartbeat: true}), image, undefined],
  [
    'an image whose kernel is silent',
    seen([], {end: 'timeout', heartbeat: true}),
    image,
    'boot_hang',
  ],
  [
    'an image with another kernel',
    seen([{sign: 'banner', release: '5.0'}], {heartbeat: true}),
    image,
    'boot_wrong_kernel',
  ],
]

for (const [name, evidence, want, code] of cases) {
  test(`${name}: ${code ?? 'passes'}`, () => assert.is(judgeBoot(evidence, want)?.code, code))
}

test('the run goes on exactly while nothing is decided', () => {
  assert.is(isDecided(seen([banner]), wanted), false)
  assert.is(isDecided(seen([probe]), both), false)
  assert.is(isDecided(seen([probe], {heartbeat: true}), both), false)
  assert.is(isDecided(seen([probe]), wanted), true)
  assert.is(isDecided(seen([forged]), both), true)
  assert.is(isDecided(seen([saying({release: '5'})]), both), true)
})

test('without the proof no evidence passes, whatever else was seen', () => {
  const ends = ['stopped', 'timeout', 'exited', 'crashed', 'flood'] as const
  for (const end of ends)
    for (const heartbeat of [true, false])
      for (const ssh of [true, false])
        for (const signs of [[], [banner], [forged], [panic]])
          assert.ok(judgeBoot(seen(signs, {end, heartbeat, ssh}), wanted) !== undefined)
})

test.run()
