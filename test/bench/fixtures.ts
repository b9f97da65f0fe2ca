import {fork} from 'node:child_process'
import {createHash, randomBytes} from 'node:crypto'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {basename, join} from 'node:path'
import {buildExecutables} from '../../scripts/build-sea.ts'
import {installOwnPackage, packOwnPackage} from '../../scripts/own-package.ts'
import {probeArchive} from '../../src/gates/boot-probe.ts'
import {cpioPadding} from '../../src/gates/cpio.ts'
import {arm64Indexes, busyboxInitrd, debianArm64} from '../support/arm64.ts'
import {shell} from './measure.ts'

const root = join(import.meta.dirname, '../..')

/** Sizes of the trees; --quick divides them, so that the bench itself can be tried. */
export type Sizes = {
  readonly bigBytes: number
  readonly mediumFiles: number
  readonly smallFiles: number
}

export const fullSizes: Sizes = {bigBytes: 1 << 30, mediumFiles: 10_000, smallFiles: 100_000}
export const quickSizes: Sizes = {bigBytes: 64 << 20, mediumFiles: 600, smallFiles: 3000}

/** What rows may need; each is made once, when the first row needs it. */
export type Fixture = keyof typeof makers

const makers = {
  rel,
  executable,
  node,
  tiny,
  big,
  medium,
  small,
  real,
  minisign,
  signify,
  gpg,
  rauc,
  kernel,
  packages,
  program,
  origin,
  fleet,
}

export class Fixtures {
  readonly folder: string
  readonly #sizes: Sizes
  readonly #made = new Set<Fixture>()

  constructor(folder: string, sizes: Sizes) {
    this.folder = folder
    this.#sizes = sizes
  }

  async make(names: readonly Fixture[]): Promise<void> {
    for (const name of names) {
      if (this.#made.has(name)) continue
      this.#made.add(name)
      await makers[name](this.folder, this.#sizes)
    }
  }
}

/** rel as its users have it: built, packed, installed without dev dependencies; a key, an anchor. */
async function rel(folder: string): Promise<void> {
  const tarball = await packOwnPackage(join(folder, 'packing'))
  installOwnPackage(tarball, join(folder, 'installed'))
  shell('./installed/rel keys new bench --no-passphrase', folder)
  shell('./installed/rel trust init --key bench', folder)
}

/** The single executable of this machine. */
function executable(folder: string): Promise<void> {
  const machine = process.arch === 'arm64' ? 'arm64' : 'x64'
  return buildExecutables(folder, [machine], false)
}

/** A node and its panel, in a process of its own, which ends with this one. */
function node(folder: string): Promise<void> {
  return started('device-panel.ts', 'node.ready', folder)
}

function tiny(folder: string): void {
  mkdirSync(join(folder, 'tiny'))
  writeFileSync(join(folder, 'tiny', 'hello.txt'), 'hello\n')
}

/** Random bytes: no tool can gain by their regularity. */
function big(folder: string, {bigBytes}: Sizes): void {
  mkdirSync(join(folder, 'big'))
  const chunk = 16 << 20
  for (let at = 0; at < bigBytes; at += chunk) {
    appendFileSync(join(folder, 'big', 'image.bin'), randomBytes(Math.min(chunk, bigBytes - at)))
  }
}

function medium(folder: string, {mediumFiles}: Sizes): void {
  fillTree(join(folder, 'medium'), mediumFiles, 64 << 10)
}

function small(folder: string, {smallFiles}: Sizes): void {
  fillTree(join(folder, 'small'), smallFiles, 1 << 10)
}

/** Random files in folders of 100. */
function fillTree(folder: string, files: number, bytes: number): void {
  for (let index = 0; index < files; index++) {
    const parent = join(folder, `d${Math.floor(index / 100)}`)
    if (index % 100 === 0) mkdirSync(parent, {recursive: true})
    writeFileSync(join(parent, `f${index}.bin`), randomBytes(bytes))
  }
}

/** The node_modules of this checkout, without links and without the three Node.js binaries. */
function real(folder: string): void {
  const from = join(root, 'node_modules')
  const skipped = new Set(['node', 'node22', 'node24', '.bin', '.package-lock.json'])
  cpSync(from, join(folder, 'real'), {
    recursive: true,
    filter: (path) => !(skipped.has(basename(path)) && join(from, basename(path)) === path),
  })
  shell('find real -type l -delete; find real -name .bin -type d -empty -delete', folder)
  shell('chmod -R u=rwX,go=rX real', folder)
}

/** The same program in two releases, cut where the bench is only tried; what a node wants to know. */
function program(folder: string, {bigBytes}: Sizes): void {
  for (const [version, from] of [
    ['1.0.0', 'node22'],
    ['2.0.0', 'node24'],
  ]) {
    const to = join(folder, `program-${version}`)
    mkdirSync(to)
    const bytes = readFileSync(join(root, 'node_modules', String(from), 'bin/node'))
    writeFileSync(join(to, 'program'), bytes.subarray(0, bigBytes / 4))
  }
  const health = {command: ['true']}
  const config = {spec: 1, product: 'program', upgrade: {enabled: true}, health}
  writeFileSync(join(folder, 'device.json'), JSON.stringify(config))
}

function minisign(folder: string): void {
  shell('minisign -G -W -p minisign.pub -s minisign.key', folder)
}

function signify(folder: string): void {
  shell('signify-openbsd -G -n -p signify.pub -s signify.sec', folder)
}

function gpg(folder: string): void {
  shell('mkdir -m 700 gnupg', folder)
  const home = 'GNUPGHOME=gnupg gpg --batch --quiet --passphrase "" --pinentry-mode loopback'
  shell(`${home} --quick-gen-key bench ed25519 sign never`, folder)
}

function rauc(folder: string): void {
  const subject = '-subj /CN=bench -days 30 -nodes -newkey rsa:2048'
  shell(`openssl req -x509 ${subject} -keyout rauc.key -out rauc.crt`, folder)
  mkdirSync(join(folder, 'rauc-in'))
  shell('cp big/image.bin rauc-in/image.img', folder)
  const manifest = '[update]\ncompatible=bench\nversion=1\n\n[bundle]\nformat=plain\n'
  const image = '\n[image.rootfs]\nfilename=image.img\n'
  writeFileSync(join(folder, 'rauc-in', 'manifest.raucm'), manifest + image)
}

/** A Debian kernel for arm64, an initrd, and the same initrd with a probe behind it. */
function kernel(folder: string): void {
  const arm64 = debianArm64()
  if (typeof arm64 === 'string') throw new Error(arm64)
  cpSync(arm64.kernel, join(folder, 'vmlinuz'))
  const initrd = busyboxInitrd(arm64, '#!/bin/sh\n')
  writeFileSync(join(folder, 'initrd'), initrd)
  const probe = [cpioPadding(initrd.length), probeArchive('0'.repeat(32), false)]
  writeFileSync(join(folder, 'bare-initrd'), Buffer.concat([initrd, ...probe]))
}

/** The largest index of Debian's archive that apt has verified for the tests, gzipped as there. */
function packages(folder: string): void {
  const lists = arm64Indexes()
  if (typeof lists === 'string') throw new Error(lists)
  const [largest = ''] = [...lists].sort((a, b) => statSync(b).size - statSync(a).size)
  shell(`/usr/lib/apt/apt-helper cat-file '${largest}' > Packages; gzip -9nk Packages`, folder)
  const listed = (name: string) => {
    const bytes = readFileSync(join(folder, name))
    return {size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex')}
  }
  const index = {
    paths: [],
    compression: 'gz',
    packed: listed('Packages.gz'),
    plain: listed('Packages'),
  }
  writeFileSync(join(folder, 'index.json'), JSON.stringify(index))
}

/** A server in a process of its own, which ends with this one. */
function origin(folder: string): Promise<void> {
  return started('origin.ts', 'origin.url', folder)
}

/** A panel with bundles of 1 GiB and a tenth of it, in a process of its own, which ends with this one. */
function fleet(folder: string, {bigBytes, mediumFiles}: Sizes): Promise<void> {
  return started('device-fleet.ts', 'fleet.ready', folder, [`${bigBytes}`, `${mediumFiles}`])
}

/** Starts a program and waits for the file that says that it is ready. */
async function started(
  program: string,
  ready: string,
  folder: string,
  words: readonly string[] = [],
): Promise<void> {
  const child = fork(join(import.meta.dirname, 'programs', program), words, {cwd: folder})
  child.unref()
  child.channel?.unref()
  while (!existsSync(join(folder, ready))) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** For the report: what the figures were measured on. */
export function machineFacts(): string {
  const cpu = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''
  const model = /model name\s*: (.*)/.exec(cpu)?.[1] ?? process.arch
  const extensions = ['sha_ni', 'avx512f'].filter((name) => cpu.includes(` ${name}`))
  const cores = cpu.match(/^processor/gm)?.length ?? 1
  return `${cores} cores, ${model} (${extensions.join(', ') || 'no SHA extensions'}), Node ${process.versions.node}`
}
