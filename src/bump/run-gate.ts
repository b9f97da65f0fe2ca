import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {ElfMachine} from '../gates/elf.ts'
import {type GateResult, type GateWorld, passed, unavailable} from '../gates/gate.ts'
import {RelError} from '../system/error.ts'
import {writeFileAtomic} from '../system/files.ts'
import {sha256Hex} from '../system/hash.ts'
import type {Trust} from '../trust/trust-source.ts'
import {filled} from './change-text.ts'
import {checkHardwareItem} from './hardware-item.ts'
import {pinnedSuites} from './pinned-suites.ts'
import type {GateArch, GateSpec} from './playbook-gates.ts'
import {assetVariables} from './vendor.ts'
import type {BumpWorld, GateContext} from './world.ts'

/** What people hand in beside the playbook. */
export type GateHelp = {
  /** Folders to look programs up in, as in $PATH. */
  readonly path: string
  /** Whose word counts for a run on hardware. */
  readonly trust?: Trust
  readonly report?: (text: string) => void
}

const machines: Readonly<Record<GateArch, ElfMachine>> = {
  amd64: 'x86_64',
  arm64: 'aarch64',
  armhf: 'arm',
  riscv64: 'riscv64',
}

/** Runs a playbook's gates with the programs of this machine. */
export function gateRunner({path, trust, report}: GateHelp): BumpWorld['runGate'] {
  return async (spec, context) => {
    const evidence = context.evidenceFolder
    const world = {path, evidence, scratch: tmpdir(), ...(report === undefined ? {} : {report})}
    switch (spec.uses) {
      case 'command':
        return commandOf(spec, context, world)
      case 'elf':
        return elfOf(spec, context)
      case 'run':
        return runOf(spec, context, world)
      case 'boot_smoke':
        return bootGateOf(spec, context, world)
      case 'reproducible':
        return reproducibleOf(spec, context, world)
      case 'apt_sources':
        return aptSourcesOf(spec, context, world)
      case 'verified_files':
        return filesOf(spec, context)
      case 'hardware_evidence':
        return hardwareOf(spec, context, trust)
      case 'sign_off':
        throw new RelError('internal_error', 'a sign-off is no gate that a machine runs')
    }
  }
}

type Spec<Uses extends GateSpec['uses']> = Extract<GateSpec, {uses: Uses}>

async function commandOf(
  {name, run, timeout_secs: timeoutSecs}: Spec<'command'>,
  context: GateContext,
  world: GateWorld,
): Promise<GateResult> {
  const {commandGate} = await import('../gates/command-gate.ts')
  const [file = '', ...args] = run.map((word) => withVersions(word, context))
  const {playbook, old, new: next, assets} = context
  const env = {REL_ITEM: playbook.item, REL_OLD: old, REL_NEW: next, ...assetVariables(assets)}
  return commandGate(
    {gate: name, argv: [file, ...args], cwd: context.folder, env, timeoutSecs},
    world,
  )
}

async function elfOf(spec: Spec<'elf'>, {folder}: GateContext): Promise<GateResult> {
  const {elfCheck} = await import('../gates/elf-check.ts')
  const {path, arch, static: isStatic} = spec
  const gate = `elf ${arch}`
  return elfCheck({gate, file: join(folder, path), machine: machines[arch], isStatic})
}

async function runOf(
  spec: Spec<'run'>,
  context: GateContext,
  world: GateWorld,
): Promise<GateResult> {
  const {runCheck} = await import('../gates/run-check.ts')
  const {path, arch, args, prints, timeout_secs: timeoutSecs} = spec
  const program = {gate: `run ${arch}`, file: join(context.folder, path), machine: machines[arch]}
  return runCheck({...program, args, expect: withVersions(prints, context), timeoutSecs}, world)
}

async function bootGateOf(
  spec: Spec<'boot_smoke'>,
  context: GateContext,
  world: GateWorld,
): Promise<GateResult> {
  const {bootSmoke} = await import('../gates/boot-smoke.ts')
  const {machine, heartbeat, ssh, timeout_secs: timeoutSecs, release} = spec
  const gate = `boot_smoke ${machine}`
  const boot = bootOf(spec, context)
  if (boot === undefined)
    return unavailable(gate, 'there is neither a disk, nor a kernel with its initrd, to boot')
  const wanted =
    release ?? (spec.kernel === undefined && spec.disk === undefined ? '{kernel}' : undefined)
  const says = wanted === undefined ? {} : {release: withKernel(wanted, context)}
  return bootSmoke({gate, machine, boot, heartbeat, ssh, timeoutSecs, ...says}, world)
}

/** With the release of the verified kernel, which its file is named after; else the new version. */
export function withKernel(text: string, context: GateContext): string {
  const file = context.assets.find(({arch}) => arch.endsWith('-vmlinuz'))?.name
  const release = file?.replace(/^vmlinuz-/, '') ?? context.new
  return withVersions(text, context).replaceAll('{kernel}', release)
}

async function reproducibleOf(
  spec: Spec<'reproducible'>,
  context: GateContext,
  world: GateWorld,
): Promise<GateResult> {
  const {reproducible} = await import('../gates/reproducible.ts')
  const [file = '', ...args] = spec.run.map((word) => withVersions(word, context))
  const {outputs, keep, timeout_secs: timeoutSecs} = spec
  const {folder: source, now: epoch} = context
  const build = {argv: [file, ...args] as const, source, outputs, keep, epoch, timeoutSecs}
  return reproducible({gate: 'reproducible', ...build}, world)
}

async function aptSourcesOf(
  {file, options}: Spec<'apt_sources'>,
  context: GateContext,
  world: GateWorld,
): Promise<GateResult> {
  const {aptSourcesGate} = await import('../gates/apt-sources.ts')
  const words = options.map((option) => withVersions(option, context))
  const wanted = pinnedSuites(context.playbook, context.new)
  const path = join(context.folder, file)
  return aptSourcesGate({gate: 'apt_sources', file: path, options: words, wanted}, world)
}

/** The kernel is the one of the playbook, or the one that the upstream took out of its package. */
function bootOf({disk, kernel, initrd}: Spec<'boot_smoke'>, {folder, assets}: GateContext) {
  if (disk !== undefined) return {kind: 'disk' as const, image: join(folder, disk)}
  const verified = assets.find(({arch}) => arch.endsWith('-vmlinuz'))?.path
  const image = kernel === undefined ? verified : join(folder, kernel)
  if (image === undefined || initrd === undefined) return undefined
  return {kind: 'kernel' as const, kernel: image, initrd: join(folder, initrd)}
}

async function filesOf(
  {folder, from}: Spec<'verified_files'>,
  {folder: root, assets}: GateContext,
): Promise<GateResult> {
  const {verifiedFiles} = await import('../gates/verified-files.ts')
  const prefix = from === undefined ? '' : `${from}/`
  const files = assets
    .filter(({name}) => name.startsWith(prefix))
    .map(({name, sha256, size}) => ({path: name.slice(prefix.length), sha256, size}))
  return verifiedFiles({gate: 'verified_files', folder: join(root, folder), files})
}

/** A run on hardware counts when it is of these very files, and signed by who may sign off. */
async function hardwareOf(
  {about}: Spec<'hardware_evidence'>,
  {playbook, new: version, assets, now, evidenceFolder, hardwareEvidence: envelope}: GateContext,
  trust: Trust | undefined,
): Promise<GateResult> {
  const {hardwareEvidence} = await import('../gates/hardware-evidence.ts')
  const gate = 'hardware_evidence'
  const asked = hardwareEvidence(gate, about)
  if (envelope === undefined || trust === undefined) return asked
  const wish = {item: playbook.item, version, about, assets, now}
  try {
    const {found, by} = checkHardwareItem(envelope, wish, trust)
    const kept = join(evidenceFolder, 'hardware-evidence.json')
    const text = `${JSON.stringify(envelope, null, 2)}\n`
    writeFileAtomic(kept, text)
    const day = new Date(found.tested_at * 1000).toISOString().slice(0, 10)
    return passed(gate, `${by} ran it on ${found.board} on ${day}`, {
      caveats: asked.caveats,
      logs: [{path: kept, sha256: sha256Hex(text)}],
    })
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    return {...asked, verdict: 'refused', code: error.code, summary: error.message}
  }
}

function withVersions(text: string, {playbook, old, new: next, inputs}: GateContext): string {
  const versions = filled(text, {item: playbook.item, old, new: next})
  return versions.replaceAll(/(?<!\$)\{([A-Z][A-Z0-9_]*)\}/g, (word, key: string) => {
    return Object.hasOwn(inputs, key) ? (inputs[key] ?? word) : word
  })
}
