import {statSync} from 'node:fs'
import {RelError} from '../system/error.ts'
import {askApt, checkAptUris, type PinnedSuite} from '../upstream/apt/pin-effect.ts'
import {EvidenceLog, logName} from './evidence-log.ts'
import {type GateResult, type GateWorld, passed, refused, unavailable} from './gate.ts'
import {findProgram} from './run-program.ts'

/** Sources that a build hands to apt, and what the pin means by them. */
export type AptSourcesSpec = {
  readonly gate: string
  /** A .sources or .list file. */
  readonly file: string
  /** Settings that the build gives to apt as well, such as APT::Snapshot=ID. */
  readonly options: readonly string[]
  readonly wanted: readonly PinnedSuite[]
}

const MAX_LOG_BYTES = 1 << 20

/**
 * Asks the apt of this machine what it would fetch for the sources of a build, without fetching
 * anything, and compares that with the suites that the pin names (docs/formats/gates.md). Refuses
 * with pin_ineffective, and with process_failed when apt does not take the sources; gate_unavailable
 * when there is no apt-get. Throws file_missing.
 */
export async function aptSourcesGate(
  {gate, file, options, wanted}: AptSourcesSpec,
  world: GateWorld,
): Promise<GateResult> {
  if (statSync(file, {throwIfNoEntry: false})?.isFile() !== true)
    throw new RelError('file_missing', `${file}, the sources for apt, is not a file`)
  const program = findProgram('apt-get', world.path)
  if (program === undefined) return unavailable(gate, 'apt-get was not found')
  world.report?.('asking apt which files it would fetch')
  const {exitCode, stdout, stderr} = await askApt(program, file, options)
  const log = new EvidenceLog(world.evidence, logName(gate, '.log'), MAX_LOG_BYTES)
  log.write(`${stdout}${stderr}`)
  const logs = [log.close()]
  if (exitCode !== 0) {
    const summary = `apt-get update --print-uris ended with ${exitCode}`
    return refused(gate, {code: 'process_failed', summary}, {logs})
  }
  const ineffective = checkAptUris(stdout, wanted)
  if (ineffective !== undefined)
    return refused(gate, {code: 'pin_ineffective', summary: ineffective}, {logs})
  const suites = wanted.map(({suite}) => suite).join(', ')
  return passed(gate, `apt asks for ${suites} of the pin and for nothing else`, {logs})
}
