import type {GateResult} from './gate.ts'

/** What only real hardware executes, by the word of a playbook. */
const untestable = {
  gpu_firmware:
    'the GPU firmware (start4.elf, fixup4.dat) was not executed: QEMU has no VideoCore and starts the kernel by itself',
  boot_loader: 'the boot loader of the board was not executed: QEMU starts the kernel by itself',
} as const

export type Untestable = keyof typeof untestable
export const untestables = Object.keys(untestable) as Untestable[]

/**
 * The gate that no emulator can pass: it asks for a signed evidence item in mode hardware, or for a
 * signed waiver, and puts into the report what was not executed.
 */
export function hardwareEvidence(gate: string, what: Untestable): GateResult {
  return {
    gate,
    verdict: 'needs_evidence',
    code: 'gate_needs_evidence',
    summary: 'want a signed evidence item of a run on the hardware, or a signed waiver',
    caveats: [untestable[what]],
    logs: [],
  }
}
