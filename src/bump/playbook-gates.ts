import {z} from 'zod'
import {repositoryPath} from './playbook-pins.ts'

const command = z.array(z.string().min(1).max(4096)).min(1).max(64)
const arch = z.enum(['amd64', 'arm64', 'armhf', 'riscv64'])
const timeout = z.int().min(1).max(86_400)

/** What must pass before a bump is committed; `uses` names the gate (docs/formats/playbook.md). */
export const gateSchema = z.discriminatedUnion('uses', [
  z.strictObject({
    uses: z.literal('command'),
    name: z.string().min(1).max(100).describe('What the gate is called in the report.'),
    run: command,
    timeout_secs: timeout.default(900),
  }),
  z.strictObject({
    uses: z.literal('elf'),
    path: repositoryPath,
    arch,
    static: z.boolean().default(false).describe('Refuse a dynamically linked binary.'),
  }),
  z.strictObject({
    uses: z.literal('run'),
    path: repositoryPath,
    arch,
    args: z.array(z.string().max(1000)).max(32).default([]),
    prints: z.string().min(1).max(500).describe('Text that must be printed; {new} is replaced.'),
    timeout_secs: timeout.default(60),
  }),
  z.strictObject({
    uses: z.literal('boot_smoke'),
    arch: z.enum(['arm64', 'amd64']).default('arm64'),
    machine: z.string().min(1).max(40).default('virt'),
    kernel: repositoryPath.optional(),
    initrd: repositoryPath.optional(),
    disk: repositoryPath.optional(),
    timeout_secs: timeout.default(120),
  }),
  z.strictObject({
    uses: z.literal('reproducible'),
    run: command.describe('The build; it finds its output folder in REL_OUTPUT.'),
    output: repositoryPath.describe('What both builds must write byte by byte the same.'),
    timeout_secs: timeout.default(3600),
  }),
  z.strictObject({
    uses: z.literal('sign_off'),
    role: z.literal('release-manager').default('release-manager'),
  }),
  z.strictObject({
    uses: z.literal('hardware_evidence'),
    about: z.string().min(1).max(500).describe('What only hardware can prove.'),
  }),
])

export type GateSpec = z.output<typeof gateSchema>
