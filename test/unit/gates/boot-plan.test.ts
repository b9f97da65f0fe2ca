import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  type BootSpec,
  bootArguments,
  checkBootSpec,
  wantsProbe,
} from '../../../src/gates/boot-plan.ts'
import {throwsCode} from '../../support/rejects.ts'

const files = {initrd: '/t/initrd', nonce: '/t/nonce', firmware: '/f/code', variables: '/t/a,b'}
const spec: BootSpec = {
  gate: 'boot-smoke arm64',
  machine: 'virt',
  boot: {kind: 'kernel', kernel: '/k', initrd: '/i'},
  heartbeat: false,
  ssh: false,
  timeoutSecs: 60,
}
const disk: BootSpec = {...spec, boot: {kind: 'disk', image: '/an,image'}}
const line = (of: BootSpec) => bootArguments(of, files, 2222).join(' ')

test('a kernel boots without a network, a display and a monitor', () => {
  const words = line(spec)
  assert.match(words, /-nic none/)
  assert.match(words, /-display none -monitor none/)
  assert.match(words, /-kernel \/k -initrd \/t\/initrd/)
  assert.not.match(words, /netdev|-drive/)
})

test('rdinit comes last, so that added words cannot replace it', () => {
  const {boot} = spec
  const words = bootArguments(
    {...spec, boot: {...boot, append: 'rdinit=/bin/sh'} as BootSpec['boot']},
    files,
    0,
  )
  assert.match(words.at(-1) ?? '', /rdinit=\/bin\/sh rdinit=\/rel-probe\/init$/)
})

test('the network reaches nothing but what is forwarded', () => {
  const words = line({...spec, heartbeat: true, ssh: true})
  assert.match(words, /user,id=net,restrict=on/)
  assert.match(
    words,
    /guestfwd=tcp:10\.0\.2\.100:80-chardev:heartbeat,hostfwd=tcp:127\.0\.0\.1:2222-:22/,
  )
  assert.match(words, /romfile=( |$)/)
  assert.not.match(line({...spec, ssh: true}), /chardev/)
})

test('an image is never written to, is raw, and its path may have commas', () => {
  const words = line(disk)
  assert.match(words, /format=raw,snapshot=on,file=\/an,,image/)
  assert.match(words, /unit=1,file=\/t\/a,,b/)
  assert.match(words, /readonly=on,file=\/f\/code/)
})

test('the nonce is on no command line', () => {
  assert.match(line(disk), /name=opt\/rel\.boot\/nonce,file=\/t\/nonce/)
})

test('a kernel must prove itself by the probe; an image may by heartbeat or SSH', () => {
  assert.is(wantsProbe({...spec, heartbeat: true}), true)
  assert.is(wantsProbe(disk), true)
  assert.is(wantsProbe({...disk, heartbeat: true}), false)
  assert.is(wantsProbe({...disk, ssh: true}), false)
})

const bad: readonly [string, BootSpec][] = [
  ['no time', {...spec, timeoutSecs: 0}],
  ['half a second', {...spec, timeoutSecs: 0.5}],
  ['a day', {...spec, timeoutSecs: 86_400}],
  ['a Raspberry Pi without device tree', {...spec, machine: 'raspi3b'}],
  ['a Raspberry Pi with UEFI', {...disk, machine: 'raspi4b'}],
  [
    'a Raspberry Pi with a network',
    {
      ...spec,
      machine: 'raspi3b',
      heartbeat: true,
      boot: {kind: 'kernel', kernel: 'k', initrd: 'i', dtb: 'd'},
    },
  ],
]
for (const [name, wrong] of bad) {
  test(`${name} is refused`, () => {
    throwsCode(() => checkBootSpec(wrong), 'usage_invalid')
  })
}

test('the machines that exist pass', () => {
  checkBootSpec(spec)
  checkBootSpec(disk)
  checkBootSpec({
    ...spec,
    machine: 'raspi3b',
    boot: {kind: 'kernel', kernel: 'k', initrd: 'i', dtb: 'd'},
  })
})

test.run()
