import {spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {loadavg, tmpdir} from 'node:os'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {setUpDebian, setupLine} from '../../scripts/setup-debian.ts'
import {Fixtures, fullSizes, machineFacts} from './fixtures.ts'
import {measure, median, shell} from './measure.ts'

/**
 * Installs one image by rel, rauc and swupdate, side by side, and prints what each took and refused:
 *
 *     node test/bench/peers-device.ts [--rounds 5] [--write]
 *
 * --write puts the table into docs/guides/updaters-compared.md. Needs root (rauc mounts its bundle, in
 * a mount namespace of its own) and Debian. swupdate's package would start a server when it is installed:
 * it is fetched and unpacked into the folder of this run instead. Nothing else of the machine is
 * touched: slots, status, sockets and mount points are in that folder.
 */
const {values} = parseArgs({
  options: {rounds: {type: 'string', default: '5'}, write: {type: 'boolean', default: false}},
})
const rounds = Number(values.rounds)
const load = loadavg()[0] ?? 0
const folder = mkdtempSync(join(tmpdir(), 'rel-peers-'))
process.on('exit', () => rmSync(folder, {recursive: true, force: true}))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

const sizes = [8, 200] as const
type Size = (typeof sizes)[number]

/** An update of one image of so many MiB, in a version. */
type Peer = {
  readonly name: string
  readonly version: string
  /** Installs the newest; milliseconds. */
  install(size: Size): {readonly wallMs: number; readonly cpuMs: number}
  /** System calls that sync or rename, of one installation of the larger image. */
  calls(): string
  /** Exit codes of a bundle with a flipped bit, and of an older one after the newest. */
  refuses(): {readonly flipped: string; readonly older: string}
}

const image = (version: string, size: Size): string => join(folder, `image-${version}-${size}`)

function makeImages(): void {
  for (const size of sizes)
    for (const version of ['1.0.0', '2.0.0'])
      writeFileSync(image(version, size), randomBytes(size << 20))
}

/** A bit in the last tenth, where the image is. */
function flip(path: string): string {
  const bytes = readFileSync(path)
  const at = Math.floor(bytes.length * 0.9)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  const [, stem = '', ending = ''] = /^(.*?)(\.tar\.zst|\.[a-z]+)$/.exec(path) ?? []
  writeFileSync(`${stem}-flipped${ending}`, bytes)
  return `${stem}-flipped${ending}`
}

/** What an exit code means where nothing says more. */
function verdict(exit: number | undefined): string {
  return exit === 0 ? 'exit 0, installed' : `exit ${exit}, refused`
}

/** Exit code and everything said. */
function ended(command: string): {readonly exit: number; readonly said: string} {
  const {status, stdout, stderr} = spawnSync('sh', ['-c', command], {cwd: folder, encoding: 'utf8'})
  return {exit: status ?? -1, said: `${stdout}${stderr}`}
}

/** What a trace counts, as words. */
function counted(trace: string): string {
  const lines = readFileSync(join(folder, trace), 'utf8').split('\n')
  const of = (name: string) => lines.filter((line) => new RegExp(`\\b${name}\\(`).test(line)).length
  const names = ['fsync', 'fdatasync', 'syncfs', 'sync', 'rename', 'renameat2?']
  const found = names.map((name) => [name.replace('2?', ''), of(name)] as const)
  return found.flatMap(([name, count]) => (count === 0 ? [] : `${count} ${name}`)).join(', ')
}

function same(path: string, version: string, size: Size): string {
  const wanted = readFileSync(image(version, size))
  const found = readFileSync(path)
  return found.subarray(0, wanted.length).equals(wanted) ? 'is as it was' : 'is damaged'
}

const strace = (trace: string): string =>
  `strace -f -o ${trace} -e trace=fsync,fdatasync,syncfs,sync,/rename`

async function relPeer(): Promise<Peer> {
  await new Fixtures(folder, fullSizes).make(['rel'])
  const rel = './installed/rel'
  for (const size of sizes)
    for (const version of ['1.0.0', '2.0.0']) {
      const tree = `rel-${version}-${size}`
      mkdirSync(join(folder, tree))
      copyFileSync(image(version, size), join(folder, tree, 'image.img'))
      const facts = `--product peers --version ${version} --key bench`
      shell(`${rel} sign ${tree} ${facts}; ${rel} pack ${tree} -o ${tree}.tar.zst`, folder)
    }
  const config = {
    spec: 1,
    product: 'peers',
    upgrade: {enabled: true},
    health: {command: ['true']},
  }
  writeFileSync(join(folder, 'device.json'), JSON.stringify(config))
  const fresh = (size: Size): string =>
    `rm -rf node; ${rel} device init node --config device.json --trust trust.json --bundle rel-1.0.0-${size}; sync`
  const update = (size: Size, under = ''): string =>
    `set -e; ${under} ${rel} device stage node rel-2.0.0-${size}.tar.zst; ${under} ${rel} device apply node`
  return {
    name: 'rel device stage, apply',
    version: shell(`${rel} --version`, folder).split(' ')[1] ?? '',
    install: (size) => {
      const cost = measure({label: '', command: update(size), before: fresh(size)}, folder)
      return {wallMs: cost.wallSecs * 1000, cpuMs: cost.cpuSecs * 1000}
    },
    calls: () => {
      shell(fresh(200), folder)
      shell(update(200, strace('rel.trace').replace('-o', '-A -o')), folder)
      return counted('rel.trace')
    },
    refuses: () => {
      shell(fresh(8), folder)
      const bad = flip(join(folder, 'rel-2.0.0-8.tar.zst'))
      const flipped = ended(`${rel} device stage node ${bad}`)
      const state = same(join(folder, 'node/current/image.img'), '1.0.0', 8)
      shell(update(8), folder)
      const older = ended(`${rel} device stage node rel-1.0.0-8.tar.zst`)
      return {
        flipped: `exit ${flipped.exit}, ${codeIn(flipped.said)}; the old version ${state}`,
        older: `exit ${older.exit}, ${codeIn(older.said)}`,
      }
    },
  }
}

function codeIn(said: string): string {
  return /✖ (\w+)/.exec(said)?.[1] ?? 'accepted'
}

function certificate(name: string): void {
  const usage = '-addext keyUsage=digitalSignature -addext extendedKeyUsage=emailProtection'
  const subject = '-subj /CN=peers -days 30 -nodes -newkey rsa:2048'
  shell(`openssl req -x509 ${subject} ${usage} -keyout ${name}.key -out ${name}.crt`, folder)
}

function raucPeer(): Peer {
  certificate('rauc')
  mkdirSync(join(folder, 'mnt'))
  const slot = (index: number, name: string): string =>
    `\n[slot.rootfs.${index}]\ndevice=${folder}/slot${index}\ntype=raw\nbootname=${name}\n`
  writeFileSync(
    join(folder, 'system.conf'),
    `[system]\ncompatible=peers\nbootloader=noop\nmountprefix=${folder}/mnt\nstatusfile=${folder}/status\n\n[keyring]\npath=${folder}/rauc.crt\n${slot(0, 'A')}${slot(1, 'B')}`,
  )
  const bundle = (version: string, size: Size): string => `${folder}/rauc-${version}-${size}.raucb`
  for (const size of sizes)
    for (const version of ['1.0.0', '2.0.0']) {
      const tree = join(folder, `rauc-${version}-${size}`)
      mkdirSync(tree)
      copyFileSync(image(version, size), join(tree, 'image.img'))
      writeFileSync(
        join(tree, 'manifest.raucm'),
        `[update]\ncompatible=peers\nversion=${version}\n\n[bundle]\nformat=plain\n\n[image.rootfs]\nfilename=image.img\n`,
      )
      const keys = '--cert=rauc.crt --key=rauc.key'
      shell(`rauc ${keys} bundle ${tree} ${bundle(version, size)}`, folder)
    }
  const session = (trace: string, ...bundles: readonly string[]): number[][] => {
    shell('rm -f status slot0 slot1; truncate -s 256M slot0 slot1; sync', folder)
    const program = join(import.meta.dirname, 'programs/rauc-session.sh')
    const words = `${program} ${folder}/system.conf ${trace} ${bundles.join(' ')}`
    const said = shell(`unshare -m dbus-run-session -- sh ${words}`, folder)
    return said
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map(Number))
  }
  return {
    name: 'rauc install',
    version: shell('rauc --version', folder).split(' ')[1]?.trim() ?? '',
    install: (size) => {
      const [[exit, wallMs = 0, cpuMs = 0] = []] = session('-', bundle('2.0.0', size))
      if (exit !== 0) throw new Error(`rauc install ended with ${exit}`)
      return {wallMs, cpuMs}
    },
    calls: () => {
      session('rauc.trace', bundle('2.0.0', 200))
      return counted('rauc.trace')
    },
    refuses: () => {
      const good = bundle('2.0.0', 8)
      const [, [flipped] = []] = session('-', good, flip(good))
      const state = same(join(folder, 'slot1'), '2.0.0', 8)
      const [, [older] = []] = session('-', good, bundle('1.0.0', 8))
      return {
        flipped: `${verdict(flipped)}; the slot ${state}`,
        older: verdict(older),
      }
    },
  }
}

/** What swupdate needs, and this machine need not have. */
const packages = [
  'swupdate',
  'libswupdate0.1',
  'libb2-1',
  'libconfig9',
  'libgpiod2',
  'liblua5.3-0',
  'librsync2',
  'liburiparser1',
  'libwebsockets17',
  'libzck1',
]

function swupdatePeer(): Peer {
  mkdirSync(join(folder, 'debs'))
  shell(`cd debs; apt-get download ${packages.join(' ')}`, folder)
  for (const deb of globSync('debs/*.deb', {cwd: folder})) shell(`dpkg-deb -x ${deb} sw`, folder)
  const [libraries = ''] = globSync('sw/usr/lib/*-linux-gnu', {cwd: folder})
  certificate('sw')
  for (const name of ['sw-tmp', 'sw-target']) mkdirSync(join(folder, name))
  const target = join(folder, 'sw-target/image.img')
  for (const size of sizes) for (const version of ['1.0.0', '2.0.0']) makeSwu(version, size, target)
  const run = (path: string, words = '', under = ''): string =>
    `${under} env TMPDIR=${folder}/sw-tmp LD_LIBRARY_PATH=${libraries} timeout 60 ./sw/usr/bin/swupdate -M -m -H peers:1.0 -k sw.crt ${words} -i ${path}`
  const fresh = (size: Size): string => `cp ${image('1.0.0', size)} ${target}; sync`
  const of = (version: string, size: Size): string => `sw-${version}-${size}.swu`
  return {
    name: 'swupdate -i',
    version: versionOf('swupdate'),
    install: (size) => {
      const command = run(of('2.0.0', size)).trim()
      const cost = measure({label: '', command, before: fresh(size)}, folder)
      return {wallMs: cost.wallSecs * 1000, cpuMs: cost.cpuSecs * 1000}
    },
    calls: () => {
      shell(run(of('2.0.0', 200), '', strace('sw.trace')), folder)
      return counted('sw.trace')
    },
    refuses: () => {
      shell(fresh(8), folder)
      const bad = flip(join(folder, of('2.0.0', 8)))
      const flipped = ended(run(bad))
      const state = same(target, '1.0.0', 8)
      shell(run(of('2.0.0', 8)), folder)
      const plain = ended(run(of('1.0.0', 8)))
      const guarded = ended(run(of('1.0.0', 8), '-N 2.0.0'))
      return {
        flipped: `${verdict(flipped.exit)}; the old file ${state}`,
        older: `${verdict(plain.exit)}; with \`-N 2.0.0\` ${verdict(guarded.exit)}`,
      }
    },
  }
}

function makeSwu(version: string, size: Size, target: string): void {
  const tree = join(folder, `sw-${version}-${size}`)
  mkdirSync(tree)
  copyFileSync(image(version, size), join(tree, 'image.img'))
  const digest = shell('sha256sum image.img', tree).split(' ')[0]
  writeFileSync(
    join(tree, 'sw-description'),
    `software = {
  version = "${version}";
  hardware-compatibility: [ "1.0" ];
  files: ( {
    filename = "image.img"; path = "${target}"; sha256 = "${digest}";
    properties: { atomic-install = "true"; }
  } );
}
`,
  )
  shell(
    `openssl cms -sign -in sw-description -out sw-description.sig -signer ../sw.crt -inkey ../sw.key -outform DER -nosmimecap -binary
     printf '%s\\n' sw-description sw-description.sig image.img | cpio -o -H crc > ../sw-${version}-${size}.swu`,
    tree,
  )
}

function versionOf(name: string): string {
  const [deb = ''] = globSync(`debs/${name}_*.deb`, {cwd: folder})
  return shell(`dpkg-deb -f ${deb} Version`, folder)
    .trim()
    .replace(/[+-].*/, '')
}

/** In turns, after a round that does not count. */
function table(peers: readonly Peer[]): string[] {
  const costs = sizes.map((size) => {
    const all = Array.from({length: rounds + 1}, () => peers.map((peer) => peer.install(size)))
    return peers.map((_, at) => {
      const of = (key: 'wallMs' | 'cpuMs') =>
        Math.round(median(all.slice(1).map((round) => round[at]?.[key] ?? 0)))
      return [`${of('wallMs')} ms`, `${of('cpuMs')} ms`]
    })
  })
  const lines = peers.map((peer, at) => {
    const {flipped, older} = peer.refuses()
    const figures = costs.flatMap((of) => of[at] ?? [])
    const cells = [`${peer.name} (${peer.version})`, ...figures, peer.calls(), flipped, older]
    return `| ${cells.join(' | ')} |`
  })
  return [
    '| | 8 MiB, wall | CPU | 200 MiB, wall | CPU | syncs and renames | one bit of the image flipped | an older one afterwards |',
    '|---|---|---|---|---|---|---|---|',
    ...lines,
    '',
    `Medians of ${rounds} in turns, load average ${load.toFixed(1)} before: ${machineFacts()}, ${new Date().toISOString().slice(0, 10)}.`,
  ]
}

const PAGE = join(import.meta.dirname, '../../docs/guides/updaters-compared.md')

function write(lines: readonly string[]): void {
  const page = readFileSync(PAGE, 'utf8')
  const between = /(<!-- side by side -->\n)[\s\S]*(<!-- end -->)/
  if (!between.test(page)) throw new Error(`${PAGE} has no place for the table`)
  writeFileSync(
    PAGE,
    page.replace(between, (_, begin, end) => `${begin}\n${lines.join('\n')}\n\n${end}`),
  )
}

process.stdout.write(
  `${setupLine(setUpDebian(join(import.meta.dirname, 'debian-packages.txt')))}\n`,
)
makeImages()
const peers: Peer[] = []
for (const make of [relPeer, raucPeer, swupdatePeer]) {
  try {
    peers.push(await make())
  } catch (error) {
    process.stdout.write(`! ${make.name} is left out: ${error}\n`)
    process.exitCode = 1
  }
}
const lines = table(peers)
process.stdout.write(`${lines.join('\n')}\n`)
if (values.write && existsSync(PAGE)) write(lines)
