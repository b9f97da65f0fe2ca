import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {probeArchive} from '../../../src/gates/boot-probe.ts'
import {type BootSign, BootWatch, signOf} from '../../../src/gates/boot-watch.ts'

const nonce = '00112233445566778899aabbccddeeff'
const other = 'ffeeddccbbaa99887766554433221100'
const sentinel = (by: string) =>
  `REL-BOOT-PROBE nonce=${by} release=6.1.0-56-arm64 machine=aarch64 init=yes`
const report = {release: '6.1.0-56-arm64', machine: 'aarch64', hasInit: true}

const lines: readonly [string, string, BootSign['sign'] | undefined][] = [
  ['the proof of this run', sentinel(nonce), 'probe'],
  ['the proof behind half a kernel message', `[    2.1] usb ${sentinel(nonce)}`, 'probe'],
  ['the proof of another run', sentinel(other), 'forged'],
  ['a proof on the kernel command line', `Kernel command line: x ${sentinel(other)}`, 'forged'],
  ['a cut proof', sentinel(nonce).slice(0, -9), undefined],
  ['a proof with more behind it', `${sentinel(nonce)}!`, undefined],
  ['a nonce alone', nonce, undefined],
  ['a release that is markup', sentinel(nonce).replace('6.1.0', '<b>'), undefined],
  ['a panic', '[ 1.2] Kernel panic - not syncing: sysrq triggered crash', 'panic'],
  [
    'a panic for want of an init',
    '[ 1.2] Kernel panic - not syncing: No working init found.',
    'no_init',
  ],
  ['a root that is not there', 'VFS: Unable to mount root fs on unknown-block(0,0)', 'no_init'],
  ['a damaged initrd', '[ 0.7] Initramfs unpacking failed: broken padding', 'no_init'],
  ['no shell', '[ 1.1] Failed to execute /rel-probe/init (error -2)', 'no_init'],
  ['an oops', 'Internal error: Oops: 0000000096000004 [#1] SMP', 'oops'],
  ['a bad access', 'Unable to handle kernel NULL pointer dereference at 0', 'oops'],
  ['a BUG', 'kernel BUG at mm/slub.c:379!', 'oops'],
  ['the banner', '[ 0.0] Linux version 6.1.0-56-arm64 (debian-kernel@lists) (gcc)', 'banner'],
  ['the wish to panic late', 'Kernel command line: panic=-1 oops=panic', undefined],
  ['nothing', '', undefined],
]

for (const [name, line, want] of lines) {
  test(`${name}: ${want ?? 'no sign'}`, () => assert.is(signOf(line, nonce)?.sign, want))
}

test('the report of the probe is read', () => {
  assert.equal(signOf(sentinel(nonce), nonce), {sign: 'probe', report})
})

test('however the bytes are cut, the signs are the same', () => {
  const bytes = Buffer.from(`Linux version 6.1.0 (x)\r\n\r\n${sentinel(nonce)}\r\nrest`)
  const whole = new BootWatch(nonce).take(bytes)
  assert.equal(
    whole.map(({sign}) => sign),
    ['banner', 'probe'],
  )
  for (let size = 1; size < 40; size++) {
    const watch = new BootWatch(nonce)
    const found: BootSign[] = []
    for (let at = 0; at < bytes.length; at += size) {
      found.push(...watch.take(bytes.subarray(at, at + size)))
    }
    assert.equal(found, whole, `in pieces of ${size}`)
  }
})

test('a line without end is not kept whole, and the next line is read', () => {
  const watch = new BootWatch(nonce)
  for (let round = 0; round < 64; round++) watch.take(Buffer.alloc(1 << 20, 'x'))
  assert.equal(watch.take(Buffer.from(`\n${sentinel(nonce)}\n`)), [{sign: 'probe', report}])
})

test('what a guest prints is shown without escapes, and short', () => {
  const sign = signOf(`\u001b[2J Kernel panic - not syncing: ${'x'.repeat(500)}`, nonce)
  assert.is(sign?.sign, 'panic')
  const {line} = sign as {line: string}
  assert.not.match(line, /\u001b/)
  assert.ok(line.length <= 201)
})

test('a log that shows the whole probe, script and nonce, proves nothing', () => {
  const watch = new BootWatch(nonce)
  const archive = probeArchive(nonce, true)
  assert.ok(archive.includes(nonce))
  assert.equal(watch.take(Buffer.concat([archive, Buffer.from('\n')])), [])
})

test('a nonce that is none makes no probe', () => {
  assert.throws(() => probeArchive('$(reboot)', false), /32 hex digits/)
})

test.run()
