import type {BootSign} from './boot-watch.ts'
import type {Refusal} from './gate.ts'

/** How QEMU's run ended; its exit code is no evidence, because a panic ends with 0. */
export type BootEnd = 'stopped' | 'timeout' | 'exited' | 'crashed' | 'flood'

/** Everything that was seen of one boot. */
export type BootEvidence = {
  readonly signs: readonly BootSign[]
  readonly end: BootEnd
  /** What QEMU itself said, for 'crashed'. */
  readonly complaint: string
  readonly heartbeat: boolean
  readonly ssh: boolean
}

/** What a boot must show. */
export type BootWanted = {
  /** `uname -r`; undefined when nobody knows it. */
  readonly release: string | undefined
  /** `uname -m`. */
  readonly machine: string
  readonly probe: boolean
  readonly heartbeat: boolean
  readonly ssh: boolean
  readonly timeoutSecs: number
}

const codeOf = {
  forged: 'boot_sentinel_forged',
  panic: 'boot_panic',
  oops: 'boot_oops',
  no_init: 'boot_no_init',
} as const

/** True as soon as the run can end: everything wanted was seen, or something that refuses it. */
export function isDecided(evidence: BootEvidence, wanted: BootWanted): boolean {
  return (
    badSign(evidence) !== undefined ||
    missing(evidence, wanted) === undefined ||
    wrong(evidence, wanted) !== undefined
  )
}

/** Why the boot is refused; undefined when everything that was wanted was seen, and nothing bad. */
export function judgeBoot(evidence: BootEvidence, wanted: BootWanted): Refusal | undefined {
  const {end, complaint} = evidence
  const bad = badSign(evidence) ?? wrong(evidence, wanted)
  if (bad !== undefined) return bad
  if (end === 'crashed') return {code: 'boot_qemu_failed', summary: `QEMU failed: ${complaint}`}
  if (end === 'flood')
    return {code: 'boot_log_limit', summary: 'the guest printed more than the log may hold'}
  const absent = missing(evidence, wanted)
  if (absent === undefined) return undefined
  if (end === 'exited' && absent.code === 'boot_hang')
    return {code: 'boot_ended_early', summary: 'the guest ended before it proved that it is up'}
  return absent
}

function badSign({signs}: BootEvidence): Refusal | undefined {
  for (const found of signs)
    if (found.sign !== 'probe' && found.sign !== 'banner')
      return {code: codeOf[found.sign], summary: `the console says: ${found.line}`}
  return undefined
}

/** What the guest says of itself, against what was wanted. */
function wrong({signs}: BootEvidence, wanted: BootWanted): Refusal | undefined {
  // said by the kernel before any program of the image runs; the probe is read by the image's shell
  const named = signs.find(({sign}) => sign === 'banner')
  for (const found of signs) {
    if (found.sign === 'banner' && !wanted.probe) {
      const refusal = wrongRelease(found.release, wanted.release)
      if (refusal !== undefined) return refusal
    }
    if (found.sign !== 'probe') continue
    const {release, machine, hasInit} = found.report
    const refusal = wrongRelease(release, wanted.release)
    if (refusal !== undefined) return refusal
    if (named?.sign === 'banner' && named.release !== release)
      return {
        code: 'boot_wrong_kernel',
        summary: `the kernel calls itself ${named.release}, a program of the image says ${release}`,
      }
    if (machine !== wanted.machine)
      return {
        code: 'boot_wrong_machine',
        summary: `the guest runs on ${machine}, want ${wanted.machine}`,
      }
    if (!hasInit)
      return {code: 'boot_no_init', summary: 'the initrd has no executable /init of its own'}
  }
  return undefined
}

function wrongRelease(seen: string, want: string | undefined): Refusal | undefined {
  if (want === undefined || seen === want) return undefined
  return {code: 'boot_wrong_kernel', summary: `kernel ${seen} booted, want ${want}`}
}

/** The first wanted thing that was not seen. */
function missing({signs, heartbeat, ssh}: BootEvidence, wanted: BootWanted): Refusal | undefined {
  const within = `within ${wanted.timeoutSecs} s`
  if (wanted.probe && !signs.some(({sign}) => sign === 'probe'))
    return {code: 'boot_hang', summary: `no probe spoke on the console ${within}`}
  if (!wanted.probe && wanted.release !== undefined && !signs.some(({sign}) => sign === 'banner'))
    return {code: 'boot_hang', summary: `no kernel named itself on the console ${within}`}
  if (wanted.heartbeat && !heartbeat)
    return {code: 'boot_heartbeat_missing', summary: `no heartbeat came ${within}`}
  if (wanted.ssh && !ssh)
    return {code: 'boot_ssh_missing', summary: `no SSH server answered ${within}`}
  return undefined
}
