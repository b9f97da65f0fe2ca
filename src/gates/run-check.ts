import {chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync} from 'node:fs'
import {basename, join} from 'node:path'
import {RelError} from '../system/error.ts'
import {fileError} from '../system/files.ts'
import {trackLeftover} from '../system/leftovers.ts'
import type {ElfMachine} from './elf.ts'
import {type GateResult, type GateWorld, passed, refused, unavailable} from './gate.ts'
import {badEnd, runLogged} from './run-logged.ts'
import {findProgram} from './run-program.ts'
import {enclosureOf} from './sandbox.ts'

/** A vendored program to run, and what it must say. */
export type RunSpec = {
  readonly gate: string
  /** The program; it need not be executable, since a copy is run. */
  readonly file: string
  /** What it is called when it runs; that of the file when not given. k3s and busybox look at it. */
  readonly name?: string
  readonly machine: ElfMachine
  readonly args: readonly string[]
  /** Text that the output must have as whole words, such as the new version. */
  readonly expect: string
  readonly timeoutSecs: number
}

/** `uname -m` of the machines that Node names otherwise. */
const hostMachines: Readonly<Record<string, ElfMachine>> = {
  x64: 'x86_64',
  arm64: 'aarch64',
  arm: 'arm',
  ia32: 'i686',
  riscv64: 'riscv64',
  ppc64: 'ppc64le',
  s390x: 's390x',
  loong64: 'loongarch64',
}

/** Debian's qemu-user-static, then the names without suffix of other systems. */
const emulatorNames: Readonly<Partial<Record<ElfMachine, string>>> = {i686: 'qemu-i386'}

/**
 * Runs a vendored program, in emulation when it is for another machine, and looks for a text in
 * what it says. It runs without this environment, in an empty folder, without privileges to gain,
 * and without a network, without the files of this user and without leaving anything running where
 * the system allows that; where not, caveats say so. Refuses with run_failed, run_timeout,
 * run_log_limit, run_text_missing; gate_unavailable when there is no emulator. Throws file_missing,
 * usage_invalid.
 */
export async function runCheck(spec: RunSpec, world: GateWorld): Promise<GateResult> {
  const {gate, file, machine, expect} = spec
  if (expect === '') throw new RelError('usage_invalid', 'the text to expect is empty')
  if (statSync(file, {throwIfNoEntry: false})?.isFile() !== true)
    throw new RelError('file_missing', `${file} is not a file`)
  const emulator = emulatorOf(machine, world.path)
  if (emulator === undefined) return unavailable(gate, `there is no emulator of ${machine} here`)
  const folder = mkdtempSync(join(world.scratch, 'rel-run-'))
  const forget = trackLeftover(folder)
  try {
    const name = spec.name ?? basename(file)
    const programs = executableCopy(file, name, folder)
    const sandbox = await enclosureOf({folder, programs, name, ...emulator}, world)
    const home = join(folder, 'home')
    const inside = sandbox.home ?? home
    mkdirSync(home)
    world.report?.(`running the program for ${machine}, at most ${spec.timeoutSecs} s`)
    const {end, text, log} = await runLogged(
      {
        gate,
        argv: words([...sandbox.words, ...spec.args]),
        cwd: home,
        env: {PATH: '/usr/bin:/bin', HOME: inside, TMPDIR: inside, LC_ALL: 'C'},
        timeoutSecs: spec.timeoutSecs,
      },
      world,
    )
    const extras = {caveats: sandbox.caveats, logs: [log]}
    const bad = badEnd(end, spec.timeoutSecs)
    if (bad !== undefined) return refused(gate, bad, extras)
    if (!hasWords(text, expect))
      return refused(gate, {code: 'run_text_missing', summary: `it did not say ${expect}`}, extras)
    return passed(gate, `it says ${expect}`, extras)
  } finally {
    rmSync(folder, {recursive: true, force: true})
    forget()
  }
}

/**
 * True when the text stands between characters that do not continue it: 3.3.5 is in "v3.3.5" and in
 * "3.3.5.", not in 3.3.50, 13.3.5, 3.3.5-rc1 and 3.3.5+k3s1.
 */
export function hasWords(text: string, wanted: string): boolean {
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + 1)) {
    const before = text.slice(Math.max(0, at - 2), at)
    const end = at + wanted.length
    const after = text.slice(end, end + 2)
    if (/(?:^|[^\w.+~-])v?$/.test(before) && /^(?:$|[^\w.+~-]|\.(?!\w))/.test(after)) return true
  }
  return false
}

/** What emulates a machine: nothing when it is this one's; undefined when nothing can. */
function emulatorOf(machine: ElfMachine, path: string): {emulator?: string} | undefined {
  if (hostMachines[process.arch] === machine) return {}
  const name = emulatorNames[machine] ?? `qemu-${machine}`
  const found = findProgram(`${name}-static`, path) ?? findProgram(name, path)
  return found === undefined ? undefined : {emulator: found}
}

/**
 * The folder of a copy: the content cache is read-only, and what a program does to its own file is
 * lost. All may read it, since root runs it as nobody; the folder that it is in is private.
 */
function executableCopy(file: string, name: string, folder: string): string {
  if (!/^[\w.+-]+$/.test(name) || /^\.*$/.test(name))
    throw new RelError('usage_invalid', `${name} is no name for a program`)
  const programs = join(folder, 'bin')
  const copy = join(programs, name)
  try {
    mkdirSync(programs)
    chmodSync(programs, 0o755)
    copyFileSync(file, copy)
    chmodSync(copy, 0o555)
  } catch (error) {
    throw fileError(error, copy, 'write')
  }
  return programs
}

function words(list: readonly string[]): [string, ...string[]] {
  const [first = '', ...rest] = list
  return [first, ...rest]
}
