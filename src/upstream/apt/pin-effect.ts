import {RelError} from '../../system/error.ts'
import {runProcess} from '../../system/processes.ts'

/** Where a pinned build gets its suites from: addresses with the snapshot id in them. */
export type PinnedSuite = {readonly url: string; readonly suite: string}

const TIMEOUT_SECS = 60

/**
 * Asks the apt of this machine which files it would fetch for a sources file, without fetching any,
 * and compares them with what the pin names: apt 2.6 takes `Snapshot:` fields and options, exits 0,
 * and asks for the live archive. Refuses with pin_ineffective, tool_missing, process_failed.
 */
export async function proveAptSources(
  sourcesFile: string,
  options: readonly string[],
  wanted: readonly PinnedSuite[],
): Promise<void> {
  const settings = [
    `Dir::Etc::sourcelist=${sourcesFile}`,
    'Dir::Etc::sourceparts=/dev/null',
    'Dir::State::lists=/nonexistent',
    'Acquire::Languages=none',
    'APT::Sandbox::User=',
    ...options,
  ]
  const args = ['update', '--print-uris', ...settings.flatMap((setting) => ['-o', setting])]
  const env = {LC_ALL: 'C'}
  const ran = await runProcess('apt-get', args, {timeoutSecs: TIMEOUT_SECS, env})
  if (ran.exitCode !== 0)
    throw new RelError('process_failed', `apt-get update --print-uris ended with ${ran.exitCode}`)
  checkAptUris(ran.stdout.toString('utf8'), wanted)
}

/**
 * That the output of `apt-get update --print-uris` names the InRelease file of every pinned suite,
 * and of no other. Refuses with pin_ineffective.
 */
function checkAptUris(output: string, wanted: readonly PinnedSuite[]): void {
  const asked = [...output.matchAll(/^'([^']+)\/InRelease'/gm)].map(([, uri = '']) => uri)
  const pinned = wanted.map(({url, suite}) => `${url}/dists/${suite}`)
  const stray = asked.find((uri) => !pinned.includes(uri))
  if (stray !== undefined)
    throw new RelError('pin_ineffective', `apt asks for ${stray}, which the pin does not name`)
  const missing = pinned.find((uri) => !asked.includes(uri))
  if (missing !== undefined)
    throw new RelError('pin_ineffective', `apt does not ask for ${missing}, which the pin names`)
}
