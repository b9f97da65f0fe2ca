import {runProcess} from '../../system/processes.ts'

/** Where a pinned build gets its suites from: addresses with the snapshot id in them. */
export type PinnedSuite = {readonly url: string; readonly suite: string}

export type AptAnswer = {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

const TIMEOUT_SECS = 60

/**
 * Asks an apt-get which files it would fetch for a sources file, without fetching any and without
 * the sources and lists of this machine. Refuses with tool_missing, process_failed.
 */
export async function askApt(
  program: string,
  sourcesFile: string,
  options: readonly string[],
): Promise<AptAnswer> {
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
  const {exitCode, stdout, stderr} = await runProcess(program, args, {
    timeoutSecs: TIMEOUT_SECS,
    env,
  })
  return {exitCode, stdout: stdout.toString('utf8'), stderr}
}

/**
 * Why the output of `apt-get update --print-uris` is not what a pin means: it has to name the
 * InRelease file of every pinned suite, and no other. apt 2.6 takes `Snapshot:` fields and options,
 * exits 0, and asks for the live archive.
 */
export function checkAptUris(output: string, wanted: readonly PinnedSuite[]): string | undefined {
  const asked = [...output.matchAll(/^'([^']+)\/InRelease'/gm)].map(([, uri = '']) => uri)
  const pinned = wanted.map(({url, suite}) => `${url}/dists/${suite}`)
  const stray = asked.find((uri) => !pinned.includes(uri))
  if (stray !== undefined) return `apt asks for ${stray}, which the pin does not name`
  const missing = pinned.find((uri) => !asked.includes(uri))
  return missing === undefined ? undefined : `apt does not ask for ${missing}, which the pin names`
}
