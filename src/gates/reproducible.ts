import {existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, isAbsolute, join, normalize} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {RelError} from '../system/error.ts'
import {trackLeftover} from '../system/leftovers.ts'
import {compareTrees, hasNewFiles} from './compare-trees.ts'
import {copyTree} from './copy-tree.ts'
import {EvidenceLog, logName} from './evidence-log.ts'
import {
  type GateLog,
  type GateResult,
  type GateWorld,
  passed,
  type Refusal,
  refused,
  unavailable,
} from './gate.ts'
import {
  type BuildPlan,
  type Difference,
  describeDifference,
  planBuilds,
  plantedScript,
  type ReproSpec,
  type ReproTools,
  reproCaveats,
  variedOf,
} from './repro-plan.ts'
import {badEnd, type LoggedEnd, runLogged} from './run-logged.ts'
import {findProgram} from './run-program.ts'

/** Sets the umask and becomes the build; the words of the build are its arguments, not its text. */
const withUmask = ['/bin/sh', '-c', 'umask "$1" && shift && exec "$@"', 'rel'] as const

/** A locale that sorts a before B; made from its source where it is not installed. */
const LOCALE = {source: 'en_US', name: 'en_US.UTF-8'} as const

const SELF_TEST_SECS = 60
const DIFFOSCOPE_SECS = 300

/**
 * Builds twice under different circumstances and compares the results byte by byte
 * (docs/formats/gates.md). A planted difference for every varied setting must be found first, else
 * repro_gate_blind. Refuses with repro_differs, repro_build_failed, repro_output_missing;
 * gate_unavailable when the command is not there. Throws usage_invalid, file_missing, repro_limit.
 * `given` spares the search for tools when several builds are judged.
 */
export async function reproducible(
  spec: ReproSpec,
  world: GateWorld,
  given?: ReproTools,
): Promise<GateResult> {
  spec.outputs.forEach(checkOutput)
  const source = realpathOf(spec.source)
  const program = findProgram(spec.argv[0], world.path, source)
  if (program === undefined) return unavailable(spec.gate, `${spec.argv[0]} was not found`)
  const folder = realpathSync(mkdtempSync(join(world.scratch, 'rel-repro-')))
  const forget = trackLeftover(folder)
  try {
    const tools = given ?? (await findReproTools(world, folder))
    const run: Run = {spec: {...spec, source}, world, folder, tools}
    const blind = await selfTest(run)
    if (blind.refusal !== undefined)
      return refused(spec.gate, blind.refusal, {
        logs: blind.logs,
        caveats: reproCaveats(spec, tools),
      })
    return await buildAndCompare(run)
  } finally {
    rmSync(folder, {recursive: true, force: true})
    forget()
  }
}

type Run = {
  readonly spec: ReproSpec
  readonly world: GateWorld
  readonly folder: string
  readonly tools: ReproTools
}

/** What a check came to, with the logs it left. */
type Checked = {readonly refusal: Refusal | undefined; readonly logs: readonly GateLog[]}

/** Two builds that cannot be the same: every difference between them must be seen. */
async function selfTest(run: Run): Promise<Checked> {
  const {spec, world, folder, tools} = run
  world.report?.('checking that the gate sees planted differences')
  const source = join(folder, 'planted-source')
  mkdirSync(source)
  writeFileSync(join(source, 'source-file'), 'source\n')
  const planted: ReproSpec = {
    ...spec,
    gate: `${spec.gate} self-test`,
    argv: ['/bin/sh', '-c', plantedScript],
    source,
    timeoutSecs: SELF_TEST_SECS,
  }
  const {roots, failure, logs} = await buildTwice({...run, spec: planted}, 'planted')
  if (failure !== undefined) {
    const summary = `the planted build could not be run: ${failure.summary}`
    return {refusal: {code: 'repro_gate_blind', summary}, logs}
  }
  const seen = new Set(compareTrees(...roots).map(({path}) => path))
  const unseen = [...variedOf(spec, tools), 'timestamp'].filter(
    (name) => !seen.has(`planted/${name}`),
  )
  if (unseen.length === 0) return {refusal: undefined, logs}
  const summary = `planted differences were not seen: ${unseen.join(', ')}`
  return {refusal: {code: 'repro_gate_blind', summary}, logs}
}

async function buildAndCompare(run: Run): Promise<GateResult> {
  const {spec, world, tools} = run
  const caveats = reproCaveats(spec, tools)
  const built = await buildTwice(run, 'real')
  if (built.failure !== undefined)
    return refused(spec.gate, built.failure, {caveats, logs: built.logs})
  const missing = missingOutput(run, built.roots)
  if (missing !== undefined) return refused(spec.gate, missing, {caveats, logs: built.logs})
  world.report?.('comparing the two results')
  const differences = compareTrees(...built.roots, spec.outputs)
  const [first] = differences
  if (first === undefined) {
    const varied = variedOf(spec, tools).join(', ')
    return passed(spec.gate, `two builds gave the same bytes; varied: ${varied}`, {
      caveats,
      logs: built.logs,
    })
  }
  const logs = [
    ...built.logs,
    differencesLog(run, differences),
    ...(await diffoscope(run, built.roots, first)),
  ]
  const others = differences.length === 1 ? '' : ` (and ${differences.length - 1} more)`
  const summary = `${describeDifference(first)}${others}`
  return refused(spec.gate, {code: 'repro_differs', summary}, {caveats, logs})
}

type Built = {
  readonly roots: readonly [string, string]
  readonly failure: Refusal | undefined
  readonly logs: readonly GateLog[]
}

/** Copies first, then builds: what the first build leaves elsewhere is not copied for the second. */
async function buildTwice(run: Run, kind: 'planted' | 'real'): Promise<Built> {
  const {spec, world, tools} = run
  const folder = join(run.folder, kind)
  const plans = planBuilds(spec, tools)
  const rootOf = (plan: BuildPlan) => join(folder, plan.name, plan.folder)
  const roots = [rootOf(plans[0]), rootOf(plans[1])] as const
  const without = [world.evidence, run.folder]
  for (const [index, plan] of plans.entries())
    copyTree(spec.source, roots[index] as string, plan, without)
  const logs: GateLog[] = []
  for (const [index, plan] of plans.entries()) {
    world.report?.(`${spec.gate}: ${plan.name} build, at most ${spec.timeoutSecs} s`)
    if (index > 0 && kind === 'real') await nextSecond()
    const home = join(folder, plan.name, plan.home)
    mkdirSync(home)
    const {end, log} = await runBuild(spec, plan, {
      root: roots[index] as string,
      home,
      world,
      tools,
    })
    logs.push(log)
    const bad = badEnd(end, spec.timeoutSecs)
    if (bad === undefined) continue
    const summary = `the ${plan.name} build: ${bad.summary}`
    return {roots, failure: {code: 'repro_build_failed', summary}, logs}
  }
  return {roots, failure: undefined, logs}
}

type Place = {
  readonly root: string
  readonly home: string
  readonly world: GateWorld
  readonly tools: ReproTools
}

function runBuild(spec: ReproSpec, plan: BuildPlan, place: Place): Promise<LoggedEnd> {
  const {root, home, world, tools} = place
  const {faketime} = tools
  const isFaked = plan.clockOffset !== 0 && faketime !== undefined
  const clock = isFaked ? [faketime, '-f', `+${plan.clockOffset}s`] : []
  return runLogged(
    {
      gate: `${spec.gate} ${plan.name}`,
      argv: [...withUmask, plan.umask.toString(8).padStart(4, '0'), ...clock, ...spec.argv],
      cwd: root,
      // NO_FAKE_STAT: make must see file times and clock as they are to each other
      env: {PATH: world.path, HOME: home, NO_FAKE_STAT: '1', ...plan.env},
      timeoutSecs: spec.timeoutSecs,
    },
    world,
  )
}

/** Times with a resolution of seconds differ between the builds even where the clock is not faked. */
async function nextSecond(): Promise<void> {
  await sleep(1000 - (Date.now() % 1000))
}

/** A stale result that was copied with the source is none of the build's, however equal. */
function missingOutput({spec, tools}: Run, roots: readonly [string, string]): Refusal | undefined {
  const plans = planBuilds(spec, tools)
  const isMade = (outputs: readonly string[]) =>
    plans.some((plan, index) => hasNewFiles(roots[index] as string, outputs, plan.fileTime))
  const code = 'repro_output_missing'
  for (const output of spec.outputs)
    if (!isMade([output])) return {code, summary: `the builds made no ${output}`}
  if (isMade(spec.outputs)) return undefined
  return {code, summary: 'the builds made nothing below their source'}
}

function differencesLog({spec, world}: Run, differences: readonly Difference[]): GateLog {
  const log = new EvidenceLog(world.evidence, logName(spec.gate, '-differences.log'), 1 << 20)
  for (const difference of differences) log.write(`${describeDifference(difference)}\n`)
  return log.close()
}

/** A report for people, where diffoscope is installed; it decides nothing. */
async function diffoscope(
  {spec, world}: Run,
  [first, second]: readonly [string, string],
  {path, what}: Difference,
): Promise<GateLog[]> {
  const program = findProgram('diffoscope', world.path)
  if (program === undefined || what !== 'content') return []
  world.report?.(`diffoscope looks at ${path}`)
  const {log} = await runLogged(
    {
      gate: `${spec.gate} diffoscope`,
      argv: [program, '--text', '-', '--', join(first, path), join(second, path)],
      cwd: dirname(first),
      env: {PATH: world.path, HOME: dirname(first), LC_ALL: 'C.UTF-8'},
      timeoutSecs: DIFFOSCOPE_SECS,
    },
    world,
  )
  return [log]
}

/** What this machine can vary; a locale is made in `folder`, which must stay while it is used. */
export async function findReproTools(world: GateWorld, folder: string): Promise<ReproTools> {
  return {faketime: findProgram('faketime', world.path), locale: await findLocale(world, folder)}
}

async function findLocale(world: GateWorld, folder: string): Promise<ReproTools['locale']> {
  const path = join(folder, 'locales')
  const made = join(path, LOCALE.name)
  const localedef = findProgram('localedef', world.path)
  if (localedef === undefined) return undefined
  mkdirSync(path)
  const scratchWorld = {...world, evidence: join(folder, 'tools')}
  await runLogged(
    {
      gate: 'localedef',
      argv: [localedef, '-i', LOCALE.source, '-f', 'UTF-8', '--no-archive', made],
      cwd: folder,
      env: {PATH: world.path},
      timeoutSecs: SELF_TEST_SECS,
    },
    scratchWorld,
  )
  return existsSync(made) ? {name: LOCALE.name, locpath: path} : undefined
}

function realpathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (cause) {
    throw new RelError('file_missing', `${path} does not exist`, {cause})
  }
}

/** A path below the build, which cannot lead out of it. */
function checkOutput(path: string): void {
  const isInside =
    !isAbsolute(path) && !normalize(path).startsWith('..') && normalize(path) === path
  if (!isInside || path === '.' || path.endsWith('/'))
    throw new RelError('usage_invalid', `${path} is no plain path below the source`)
}
