import {z} from 'zod'
import {type Untestable, untestables} from '../gates/hardware-evidence.ts'
import {digestPattern} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import type {Trust} from '../trust/trust-source.ts'
import {checkStatement, statementIn} from './signed-statement.ts'

const digest = z.string().regex(digestPattern)
const line = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}]*$/u)

const schema = z.strictObject({
  item: line,
  version: line,
  about: z.enum(untestables),
  board: line,
  files: z
    .array(z.strictObject({name: line, sha256: digest}))
    .min(1)
    .max(256),
  log_sha256: digest,
  tested_at: z.int().min(0),
})

/**
 * A run on hardware (docs/formats/hardware-evidence.md): what ran, by SHA-256, on which board, and
 * when, in seconds since the epoch. Who says so is the signer.
 */
export type HardwareItem = z.output<typeof schema>

/** Clocks of a workshop and of a build server differ by less. */
const CLOCK_SKEW_SECS = 300

/** A run on hardware from its envelope, signed by whomever. Refuses with evidence_invalid. */
export function readHardwareItem(envelope: JsonObject): HardwareItem {
  const {data, error} = schema.safeParse(statementIn('evidence', envelope))
  if (data !== undefined) return data
  const {path = [], message = ''} = error.issues[0] ?? {}
  const where = path.map(String).join('.') || 'the file'
  throw new RelError('evidence_invalid', `no evidence of a run on hardware: ${where}: ${message}`)
}

/** What the evidence must be of. */
export type HardwareWish = {
  readonly item: string
  readonly version: string
  readonly about: Untestable
  /** The verified files; undefined where only the lock is at hand. */
  readonly assets?: readonly {readonly name: string; readonly sha256: string}[]
  readonly now: number
}

/**
 * A run on hardware that counts: of this item, version and these files, signed by who may. Returns
 * it with the name of the signer. Refuses with evidence_invalid, evidence_mismatch, and as
 * checkStatement does.
 */
export function checkHardwareItem(
  envelope: JsonObject,
  wish: HardwareWish,
  trust: Trust,
): {readonly found: HardwareItem; readonly by: string} {
  const found = readHardwareItem(envelope)
  // who signed comes before what it says
  const by = checkStatement('evidence', envelope, wish.item, trust, wish.now)
  const said = `${found.item} ${found.version} (${found.about})`
  const wanted = `${wish.item} ${wish.version} (${wish.about})`
  if (said !== wanted)
    throw new RelError('evidence_mismatch', `the evidence is of ${said}, want ${wanted}`)
  if (found.tested_at > wish.now + CLOCK_SKEW_SECS)
    throw new RelError('evidence_mismatch', 'the evidence is of a run in the future')
  if (wish.assets !== undefined) checkFiles(found, wish.assets)
  return {found, by}
}

/** That what ran is what was verified, file by file, and that the GPU's own programs are among it. */
function checkFiles({files, about}: HardwareItem, assets: Required<HardwareWish>['assets']): void {
  const verified = new Map(assets.map(({name, sha256}) => [baseName(name), sha256]))
  for (const {name, sha256} of files)
    if (verified.get(name) !== sha256)
      throw new RelError(
        'evidence_mismatch',
        `${name} on the board had SHA-256 ${sha256}, verified is ${verified.get(name) ?? 'no such file'}`,
      )
  if (about !== 'gpu_firmware') return
  const has = (pattern: RegExp) => files.some(({name}) => pattern.test(name))
  if (has(/^start.*\.elf$/) && has(/^fixup.*\.dat$/)) return
  throw new RelError('evidence_mismatch', 'the evidence names no start*.elf with its fixup*.dat')
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
