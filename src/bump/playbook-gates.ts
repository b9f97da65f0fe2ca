import {z} from 'zod'
import {bootMachines} from '../gates/boot-plan.ts'
import {untestables} from '../gates/hardware-evidence.ts'
import {variedSettings} from '../gates/repro-settings.ts'
import {repositoryPath} from './playbook-pins.ts'

const command = z.array(z.string().min(1).max(4096)).min(1).max(64)
const arch = z.enum(['amd64', 'arm64', 'armhf', 'riscv64'])
export type GateArch = z.output<typeof arch>
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
    arch: z.literal('arm64').default('arm64'),
    machine: z.enum(bootMachines).default('virt'),
    kernel: repositoryPath.optional(),
    initrd: repositoryPath.optional(),
    disk: repositoryPath.optional(),
    release: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .describe('What uname -r must say; {new} is replaced.'),
    heartbeat: z.boolean().default(false).describe('The guest must call http://10.0.2.100.'),
    ssh: z.boolean().default(false).describe('The guest must answer on port 22.'),
    timeout_secs: timeout.default(120),
  }),
  z.strictObject({
    uses: z.literal('reproducible'),
    run: command.describe('The build, run in two copies of the checkout.'),
    outputs: z
      .array(repositoryPath)
      .max(64)
      .default([])
      .describe('What is compared; everything that the build adds or changes when empty.'),
    keep: z
      .array(z.enum(variedSettings))
      .max(8)
      .default([])
      .describe('What stays the same because the build cannot bear it; each becomes a caveat.'),
    timeout_secs: timeout.default(3600),
  }),
  z.strictObject({
    uses: z.literal('apt_sources'),
    file: repositoryPath.describe('Sources that the build hands to apt: .sources or .list.'),
    options: z
      .array(z.string().regex(/^[A-Za-z][A-Za-z0-9:_-]{0,199}=[^\p{Cc}]{0,500}$/u))
      .max(32)
      .default([])
      .describe('Settings that it gives to apt as well, NAME=VALUE.'),
  }),
  z.strictObject({
    uses: z.literal('verified_files'),
    folder: repositoryPath.describe('Where the build has put them.'),
    from: repositoryPath
      .optional()
      .describe('Folder of upstream that it stands for, such as boot; the top when not given.'),
  }),
  z.strictObject({
    uses: z.literal('sign_off'),
    role: z.literal('release-manager').default('release-manager'),
  }),
  z.strictObject({
    uses: z.literal('hardware_evidence'),
    about: z.enum(untestables).describe('What only hardware executes.'),
  }),
])

export type GateSpec = z.output<typeof gateSchema>
