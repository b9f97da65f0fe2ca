import {statSync} from 'node:fs'
import {join} from 'node:path'
import {bumpRows} from './bump-rows.ts'
import {deltaRows} from './delta-rows.ts'
import {deviceRows} from './device-rows.ts'
import type {Fixture} from './fixtures.ts'
import {type Cost, measure, type Pairs, type Subject, shell} from './measure.ts'
import {panelRows} from './panel-rows.ts'

export type Group =
  | 'start'
  | 'sign'
  | 'verify'
  | 'pack'
  | 'unpack'
  | 'peers'
  | 'ed25519'
  | 'boot'
  | 'bump'
  | 'delta'
  | 'device'
  | 'panel'

/** One goal, and how it is measured. */
export type Row = {
  readonly group: Group
  readonly title: string
  readonly goal: number
  /**
   * Ratios of medians of pairs, our own peak in MiB, what ours takes more (seconds on the clock,
   * MiB of peak), a figure of its own, or a count. For 'rate' more is better; for all others less.
   */
  readonly unit: 'wall' | 'CPU' | 'MiB' | 'secs more' | 'MiB more' | 'size' | 'rate' | Count
  readonly needs: readonly Fixture[]
  readonly programs: readonly string[]
  /** 0 for what measures itself: `figure` alone is run. */
  readonly rounds: number
  readonly ours: Subject
  readonly theirs: Subject
  /** A figure that is no time: computed after both have run once. */
  readonly figure?: (folder: string) => number
}

/** Things that are counted or measured once, of themselves. */
export type Count = 'API calls' | 'bytes' | 'errors' | 'descriptors' | 'ms' | '%'

export type Measured = {readonly row: Row; readonly value: number; readonly pairs?: Pairs}

const NODE = process.execPath
const bareNode: Subject = {label: 'node -e 0', command: `${NODE} -e 0`}
const root = join(import.meta.dirname, '../..')

/** rel as it is installed; the label is what a person types. */
function relRun(words: string, before?: string): Subject {
  const subject = {label: `rel ${words}`, command: `./installed/rel ${words}`}
  return before === undefined ? subject : {...subject, before}
}

function peer(command: string, before?: string): Subject {
  return before === undefined ? {label: command, command} : {label: command, command, before}
}

const opensslOf = (tree: string): Subject =>
  peer(`find ${tree} -type f -print0 | xargs -0 -n 200 -P2 openssl dgst -sha256`)
const sha256sumOf = (tree: string): Subject =>
  peer(`find ${tree} -type f -print0 | xargs -0 -n 200 -P2 sha256sum`)
const rhashOf = (tree: string): Subject => peer(`rhash -r --sha256 ${tree}`)

const signOf = (tree: string): Subject =>
  relRun(`sign ${tree} --product ${tree} --version 1.0.0 --key bench -o ${tree}.json`)
const verifyOf = (tree: string): Subject =>
  relRun(`verify ${tree} --manifest ${tree}.json --trust trust.json`)

/** The reference hashes the same bytes that we hash, sign or verify. */
const trees = [
  {
    tree: 'big',
    title: '1 GiB in one file',
    wall: 1.15,
    against: peer('openssl dgst -sha256 big/image.bin'),
    rhashCpu: 1.15,
    peak: 65,
  },
  {
    tree: 'medium',
    title: '10,000 files of 64 KiB',
    wall: 1.25,
    against: opensslOf('medium'),
    rhashCpu: 1.25,
    peak: 74,
  },
  {
    tree: 'small',
    title: '100,000 files of 1 KiB',
    wall: 1.0,
    against: opensslOf('small'),
    rhashCpu: 1.7,
    peak: 160,
  },
] as const

const signedTiny =
  'test -f tiny.json || ./installed/rel sign tiny --product tiny --version 1.0.0 --key bench -o tiny.json'

function startRows(): Row[] {
  const base = {group: 'start', needs: ['rel'], programs: [], rounds: 20} as const
  const hot = {...verifyOf('tiny'), before: signedTiny}
  const launcher = {label: 'bin/rel --version', command: `${root}/bin/rel --version`}
  const source = {
    label: 'node bin/dev.ts explain',
    command: `env NODE_COMPILE_CACHE=compile-cache ${NODE} ${root}/bin/dev.ts explain key_weak`,
  }
  const needsTiny = {...base, needs: ['rel', 'tiny']} as const
  return [
    {...base, title: 'start, checkout', goal: 2, unit: 'wall', ours: launcher, theirs: bareNode},
    {
      ...base,
      title: 'start, package',
      goal: 2,
      unit: 'wall',
      ours: relRun('--version'),
      theirs: bareNode,
    },
    {
      ...needsTiny,
      title: 'verify one small file',
      goal: 2,
      unit: 'CPU',
      ours: hot,
      theirs: bareNode,
    },
    {
      ...needsTiny,
      title: 'verify one small file',
      goal: 1.25,
      unit: 'CPU',
      programs: ['gh'],
      ours: hot,
      theirs: peer('gh --version'),
    },
    {
      ...base,
      title: 'any other command',
      goal: 3,
      unit: 'CPU',
      ours: relRun('keys list'),
      theirs: bareNode,
    },
    {...base, title: 'from source', goal: 5.5, unit: 'CPU', ours: source, theirs: bareNode},
    ...executableRows(),
    ...nodeRows(),
  ]
}

function executableRows(): Row[] {
  const program = `./rel-linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}`
  const run = (words: string) => ({label: `executable ${words}`, command: `${program} ${words}`})
  const base = {group: 'start', programs: [], rounds: 20, unit: 'CPU', theirs: bareNode} as const
  const poll = run('device check node/')
  const verify = run('verify tiny --manifest tiny.json --trust trust.json')
  return [
    {
      ...base,
      title: 'start, executable',
      goal: 1.5,
      needs: ['rel', 'executable'],
      ours: run('--version'),
    },
    {
      ...base,
      title: 'executable: verify one small file',
      goal: 2,
      needs: ['rel', 'tiny', 'executable'],
      ours: {...verify, before: signedTiny},
    },
    {
      ...base,
      title: 'executable: a poll without news',
      goal: 1.5,
      needs: ['rel', 'node', 'executable'],
      ours: poll,
    },
  ]
}

/** What a node runs every few minutes. */
function nodeRows(): Row[] {
  const base = {group: 'start', needs: ['rel', 'node'], programs: [], rounds: 20} as const
  const poll = {...base, title: 'a poll without news', ours: relRun('device check node/')}
  const status = relRun('device status node/')
  return [
    {...base, title: 'status of a node', goal: 2, unit: 'CPU', ours: status, theirs: bareNode},
    {...poll, goal: 1.5, unit: 'CPU', theirs: bareNode},
    {...poll, goal: 80, unit: 'MiB', theirs: bareNode},
  ]
}

function treeRows(group: 'sign' | 'verify'): Row[] {
  return trees.flatMap(({tree, title, wall, against, rhashCpu, peak}): Row[] => {
    const run = group === 'sign' ? signOf(tree) : signedBefore(verifyOf(tree), tree)
    const base = {group, needs: ['rel', tree], programs: ['openssl'], rounds: 5} as const
    const name = `${group} ${title}`
    const rhash = {...base, programs: ['rhash'], ours: run, theirs: rhashOf(tree)}
    return [
      {...base, title: name, goal: wall, unit: 'wall', ours: run, theirs: against},
      {...base, title: name, goal: peak, unit: 'MiB', ours: run, theirs: against},
      {...rhash, title: name, goal: rhashCpu, unit: 'CPU'},
    ]
  })
}

function signedBefore(subject: Subject, tree: string): Subject {
  return {...subject, before: `test -f ${tree}.json || ${signOf(tree).command}`}
}

function hashRows(): Row[] {
  const base = {group: 'sign', programs: ['rhash'], rounds: 5} as const
  const real = {...base, needs: ['rel', 'real']} as const
  const medium = {...base, needs: ['rel', 'medium']} as const
  const [ofReal, ofMedium] = [signOf('real'), signOf('medium')]
  return [
    {
      ...real,
      title: 'sign a real node_modules',
      goal: 1.4,
      unit: 'CPU',
      ours: ofReal,
      theirs: rhashOf('real'),
    },
    {
      ...real,
      title: 'sign a real node_modules',
      goal: 0.85,
      unit: 'wall',
      ours: ofReal,
      theirs: rhashOf('real'),
    },
    {
      ...medium,
      title: 'sign 10,000 files of 64 KiB',
      goal: 0.85,
      unit: 'wall',
      ours: ofMedium,
      theirs: rhashOf('medium'),
    },
    {
      ...real,
      title: 'sign a real node_modules',
      goal: 0.6,
      unit: 'wall',
      ours: ofReal,
      theirs: sha256sumOf('real'),
    },
    {
      ...medium,
      title: 'sign 10,000 files of 64 KiB',
      goal: 0.6,
      unit: 'wall',
      ours: ofMedium,
      theirs: sha256sumOf('medium'),
    },
  ]
}

const deterministicTar = 'tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - real'
const gzip = peer(`${deterministicTar} | gzip -n -6 > theirs.tar.gz`)
const zstd = peer(`${deterministicTar} | zstd -q -3 -T1 -f -o theirs.tar.zst`)
const signReal = './installed/rel sign real --product real --version 1.0.0 --key bench'
const signedReal = `test -f real/manifest.json || ${signReal}`

function packOf(format: 'gz' | 'zst'): Subject {
  const words = `pack real -o ours.tar.${format}`
  return relRun(words, `${signedReal}; rm -f ours.tar.${format}`)
}

function packRows(): Row[] {
  const base = {group: 'pack', needs: ['rel', 'real'], programs: ['zstd'], rounds: 3} as const
  const gz = {...base, ours: packOf('gz'), theirs: gzip}
  const zst = {...base, ours: packOf('zst'), theirs: zstd}
  return [
    {...gz, title: 'pack .tar.gz', goal: 1.2, unit: 'wall'},
    {...gz, title: 'pack .tar.gz, size', goal: 1.02, unit: 'size', figure: sizeRatio('gz')},
    {...zst, title: 'pack .tar.zst', goal: 1.2, unit: 'wall'},
    {...zst, title: 'pack .tar.zst, size', goal: 1.02, unit: 'size', figure: sizeRatio('zst')},
    {...zst, title: 'pack .tar.zst', goal: 1.5, unit: 'CPU'},
    {...zst, title: 'pack .tar.zst', goal: 160, unit: 'MiB'},
    {...base, title: 'pack .tar.zst', goal: 0.2, unit: 'wall', ours: packOf('zst'), theirs: gzip},
    {
      ...zst,
      title: 'pack .tar.zst, different bytes in 5 runs',
      goal: 1,
      unit: 'size',
      figure: variants,
    },
  ]
}

function sizeRatio(format: 'gz' | 'zst'): (folder: string) => number {
  return (folder) => {
    const [ours, theirs] = ['ours', 'theirs'].map((name) => join(folder, `${name}.tar.${format}`))
    return statSync(ours as string).size / statSync(theirs as string).size
  }
}

/** How many different archives five runs make; 1 is the goal. */
function variants(folder: string): number {
  const digests = Array.from({length: 5}, () => {
    measure(packOf('zst'), folder)
    return shell('openssl dgst -sha256 -r ours.tar.zst', folder)
  })
  return new Set(digests).size
}

const packedReal = `${signedReal}; test -f ours.tar.zst || ./installed/rel pack real -o ours.tar.zst`

function unpackRows(): Row[] {
  const unpack = relRun(
    'unpack ours.tar.zst -C out-ours --trust trust.json',
    `${packedReal}; rm -rf out-ours`,
  )
  const fresh = 'rm -rf out-theirs; mkdir out-theirs'
  const stock = peer(
    'tar xf ours.tar.zst -C out-theirs; find out-theirs -type f -print0 | xargs -0 openssl dgst -sha256',
    `${packedReal}; ${fresh}`,
  )
  const minisigned = peer(
    'minisign -qVm ours.tar.zst -p minisign.pub; zstd -dcq ours.tar.zst | tar x -C out-theirs',
    `${packedReal}; test -f ours.tar.zst.minisig || minisign -S -W -s minisign.key -m ours.tar.zst; ${fresh}`,
  )
  const base = {group: 'unpack', needs: ['rel', 'real'], programs: ['zstd'], rounds: 3} as const
  return [
    {
      ...base,
      title: 'verify and unpack .tar.zst',
      goal: 1.3,
      unit: 'wall',
      ours: unpack,
      theirs: stock,
    },
    {
      ...base,
      title: 'verify and unpack .tar.zst',
      goal: 160,
      unit: 'MiB',
      ours: unpack,
      theirs: stock,
    },
    {
      ...base,
      title: 'verify and unpack .tar.zst',
      goal: 1.6,
      unit: 'wall',
      needs: ['rel', 'real', 'minisign'],
      programs: ['zstd', 'minisign'],
      ours: unpack,
      theirs: minisigned,
    },
  ]
}

const GPG = 'env GNUPGHOME=gnupg gpg --batch --quiet'

/** [program, fixture, sign, verify, goal, rounds]: 1 GiB in one file, signed and verified. */
const peerTools = [
  {
    program: 'minisign',
    goal: 0.8,
    rounds: 3,
    sign: peer('minisign -S -W -s minisign.key -m big/image.bin -x big.minisig'),
    verify: peer('minisign -qVm big/image.bin -p minisign.pub -x big.minisig'),
  },
  {
    program: 'signify',
    goal: 1,
    rounds: 1,
    sign: peer('signify-openbsd -S -s signify.sec -m big/image.bin -x big.sig'),
    verify: peer('signify-openbsd -V -q -p signify.pub -m big/image.bin -x big.sig'),
  },
  {
    program: 'gpg',
    goal: 1,
    rounds: 3,
    sign: peer(`${GPG} --yes -o big.gpg --detach-sign big/image.bin`),
    verify: peer(`${GPG} --verify big.gpg big/image.bin`),
  },
  {
    program: 'rauc',
    goal: 1,
    rounds: 1,
    sign: peer(
      `rauc --cert=rauc.crt --key=rauc.key --mksquashfs-args='-comp zstd -Xcompression-level 1' bundle rauc-in big.raucb`,
      'rm -f big.raucb',
    ),
    verify: peer('rauc --keyring=rauc.crt extract big.raucb rauc-out', 'rm -rf rauc-out'),
  },
] as const

function peerRows(): Row[] {
  const rows = peerTools.flatMap(({program, goal, rounds, sign, verify}): Row[] => {
    const programs = [program === 'signify' ? 'signify-openbsd' : program]
    const base = {group: 'peers', needs: ['rel', 'big', program], programs, rounds, goal} as const
    const run = signedBefore(verifyOf('big'), 'big')
    return [
      {...base, title: 'sign 1 GiB', unit: 'wall', ours: signOf('big'), theirs: sign},
      {...base, title: 'verify 1 GiB', unit: 'wall', ours: run, theirs: verify},
    ]
  })
  return [...rows, ...mediumPeerRows()]
}

/** The tree of 10,000 files against what a person would do with stock tools. */
function mediumPeerRows(): Row[] {
  const base = {group: 'peers', rounds: 3, unit: 'wall'} as const
  const list = 'rhash -r --sha256 medium > medium.sums'
  const verify = signedBefore(verifyOf('medium'), 'medium')
  const needs = ['rel', 'medium', 'minisign', 'signify'] as const
  const programs = ['minisign', 'rhash', 'signify-openbsd']
  const common = {...base, needs, programs}
  return [
    {
      ...common,
      title: 'sign 10,000 files of 64 KiB',
      goal: 0.65,
      ours: signOf('medium'),
      theirs: peer(
        'tar cf medium.tar medium; minisign -S -W -s minisign.key -m medium.tar',
        'rm -f medium.tar*',
      ),
    },
    {
      ...common,
      title: 'sign 10,000 files of 64 KiB',
      goal: 1.3,
      ours: signOf('medium'),
      theirs: peer(
        `${list}; signify-openbsd -S -s signify.sec -m medium.sums`,
        'rm -f medium.sums*',
      ),
    },
    {
      ...common,
      title: 'verify 10,000 files of 64 KiB',
      goal: 1.35,
      ours: verify,
      theirs: peer('rhash --sha256 --skip-ok -c medium.sums', `test -f medium.sums || ${list}`),
    },
  ]
}

function ed25519Rows(): Row[] {
  const ours = {
    label: 'node test/bench/ed25519.ts',
    command: `${NODE} ${root}/test/bench/ed25519.ts`,
  }
  return [
    {
      group: 'ed25519',
      title: 'signatures verified per CPU second',
      goal: 1,
      unit: 'rate',
      needs: [],
      programs: ['openssl'],
      rounds: 1,
      ours,
      theirs: peer('openssl speed -seconds 2 ed25519'),
      figure: (folder) => {
        const mine = Number(shell(ours.command, folder))
        const table = shell('openssl speed -mr -seconds 2 ed25519 2>/dev/null', folder)
        return mine / Number(/^\+F6:.*:([\d.]+)$/m.exec(table)?.[1])
      },
    },
  ]
}

/** QEMU as rel starts it, until the line that rel waits for; the same kernel and the same probe. */
const bareQemu: Subject = {
  label: 'qemu-system-aarch64 until the same console line',
  command:
    "qemu-system-aarch64 -nodefaults -no-reboot -display none -monitor none -nic none -serial stdio -accel tcg -machine virt -cpu cortex-a72 -smp 1 -m 1024 -kernel vmlinuz -initrd bare-initrd -append 'console=ttyAMA0 panic=-1 rdinit=/rel-probe/init' </dev/null >console & until grep -q REL-BOOT-PROBE console; do sleep 0.02; done; kill -9 $!",
}

function bootRows(): Row[] {
  const ours = relRun('smoke boot --kernel vmlinuz --initrd initrd --log evidence')
  return [
    {
      group: 'boot',
      title: 'boot smoke of a Debian kernel',
      goal: 0.5,
      unit: 'secs more',
      needs: ['rel', 'kernel'],
      programs: ['qemu-system-aarch64', 'apt-get', 'dpkg-deb', 'flock'],
      rounds: 5,
      ours,
      theirs: bareQemu,
    },
  ]
}

/** Every goal that belongs to signing, verifying, booting, bumping, nodes and the panel, in the order in which they are measured. */
export function allRows(): Row[] {
  return [
    ...startRows(),
    ...treeRows('sign'),
    ...hashRows(),
    ...treeRows('verify'),
    ...packRows(),
    ...unpackRows(),
    ...deltaRows(),
    ...deviceRows(),
    ...peerRows(),
    ...ed25519Rows(),
    ...bootRows(),
    ...bumpRows(),
    ...panelRows(),
  ]
}

/** Wall, CPU or peak of one run, in the unit of a row. */
export function inUnit(unit: Row['unit']): (cost: Cost) => number {
  if (unit === 'CPU') return (cost) => cost.cpuSecs
  return unit === 'MiB' || unit === 'MiB more' ? (cost) => cost.peakMib : (cost) => cost.wallSecs
}
