import {RelError} from '../system/error.ts'
import {type VariedSetting, variedSettings} from './repro-settings.ts'

export type ReproSpec = {
  readonly gate: string
  /** Program and arguments, run in a copy of the source; no shell reads them. */
  readonly argv: readonly [string, ...string[]]
  /** Folder that is copied for each build. */
  readonly source: string
  /** What is compared, below the source; everything that the build adds or changes when empty. */
  readonly outputs: readonly string[]
  /** SOURCE_DATE_EPOCH of both builds, seconds. */
  readonly epoch: number
  /** What stays the same, because the build cannot bear it; each becomes a caveat. */
  readonly keep: readonly VariedSetting[]
  /** Added to the environment of both builds; nothing of ours is inherited but PATH. */
  readonly env?: Readonly<Record<string, string>>
  /** Of one build. */
  readonly timeoutSecs: number
}

/** How one of the two builds is run. */
export type BuildPlan = {
  readonly name: 'first' | 'second'
  /** Folder below the scratch folder; of another length and depth for the second. */
  readonly folder: string
  readonly home: string
  readonly umask: number
  /** Time of every copied file, seconds. */
  readonly fileTime: number
  /** Modes of copied files are those of a fresh checkout under this umask. */
  readonly fileUmask: number
  readonly env: Readonly<Record<string, string>>
  /** Seconds that faketime adds to the clock; 0 leaves it alone. */
  readonly clockOffset: number
}

/** What this machine can vary. */
export type ReproTools = {
  /** Path of faketime. */
  readonly faketime: string | undefined
  /** A locale that sorts otherwise than C, with LOCPATH when it had to be made. */
  readonly locale: {readonly name: string; readonly locpath?: string} | undefined
}

/** More than a year, and another day of week, month and hour. */
const CLOCK_OFFSET_SECS = 398 * 86_400 + 5 * 3600 + 7 * 60 + 11

/** 20 and 3 days before the epoch of the build: neither is "now". */
const FILE_TIMES = [20 * 86_400, 3 * 86_400 + 12_345] as const

/** What is really varied: everything but what is kept and what this machine cannot vary. */
export function variedOf({keep}: ReproSpec, tools: ReproTools): VariedSetting[] {
  return variedSettings.filter((setting) => {
    if (keep.includes(setting)) return false
    if (setting === 'clock') return tools.faketime !== undefined
    return setting !== 'locale' || tools.locale !== undefined
  })
}

/** What a pass does not prove, for the report. */
export function reproCaveats(spec: ReproSpec, tools: ReproTools): string[] {
  const varied = variedOf(spec, tools)
  const fixed = variedSettings.filter((setting) => !varied.includes(setting))
  const lines = fixed.map((setting) => {
    const reason = spec.keep.includes(setting) ? 'as asked' : 'this machine cannot vary it'
    return `${setting} was the same in both builds: ${reason}`
  })
  if (varied.includes('clock'))
    lines.push('statically linked programs saw the real clock, some seconds later')
  return [...lines, 'host name, kernel, processors and user were the same in both builds']
}

/** The two builds: the first as plain as can be, the second with every varied setting. */
export function planBuilds(spec: ReproSpec, tools: ReproTools): readonly [BuildPlan, BuildPlan] {
  if (!Number.isSafeInteger(spec.epoch) || spec.epoch < 0)
    throw new RelError('usage_invalid', 'SOURCE_DATE_EPOCH is not a count of seconds')
  const varied = new Set(variedOf(spec, tools))
  const pick = <T>(setting: VariedSetting, first: T, second: T) =>
    varied.has(setting) ? second : first
  const [firstAge, secondAge] = FILE_TIMES
  const {locale} = tools
  const first: BuildPlan = {
    name: 'first',
    folder: 'build',
    home: 'home',
    umask: 0o022,
    fileTime: Math.max(0, spec.epoch - firstAge),
    fileUmask: 0o022,
    env: buildEnv(spec, 'UTC0', 'C.UTF-8', undefined),
    clockOffset: 0,
  }
  const second: BuildPlan = {
    name: 'second',
    folder: pick('path', first.folder, 'another/place of the build'),
    home: pick('home', first.home, 'another-home'),
    umask: pick('umask', first.umask, 0o002),
    fileTime: pick('file_times', first.fileTime, Math.max(1, spec.epoch - secondAge)),
    fileUmask: pick('file_modes', first.fileUmask, 0o002),
    env: buildEnv(
      spec,
      pick('timezone', 'UTC0', 'REL-13:45'),
      pick('locale', 'C.UTF-8', locale?.name ?? 'C.UTF-8'),
      pick('locale', undefined, locale?.locpath),
    ),
    clockOffset: pick('clock', 0, CLOCK_OFFSET_SECS),
  }
  return [first, second]
}

function buildEnv(
  {env, epoch}: ReproSpec,
  timezone: string,
  locale: string,
  locpath: string | undefined,
): Record<string, string> {
  const own = {TZ: timezone, LANG: locale, LC_ALL: locale, SOURCE_DATE_EPOCH: String(epoch)}
  return {...own, ...(locpath === undefined ? {} : {LOCPATH: locpath}), ...env}
}

/**
 * The build that must turn the gate red: one file for each setting, with what a careless build
 * would write into its result. Run by /bin/sh under the same plans as the real build.
 */
export const plantedScript = `set -e
mkdir planted
pwd >planted/path
umask >planted/umask
date -d @0 +%H:%M >planted/timezone
printf 'a\\nB\\n' | sort >planted/locale
echo "$HOME" >planted/home
date +%Y >planted/clock
stat -c %Y source-file >planted/file_times
stat -c %a source-file >planted/file_modes
date +%s%N >planted/timestamp
`

/** Where two trees differ first, in the order of their paths. */
export type Difference = {
  readonly path: string
  readonly what: 'only_in_first' | 'only_in_second' | 'type' | 'link' | 'executable' | 'content'
  /** Of the first different byte, for content. */
  readonly offset?: number
}

const words = {
  only_in_first: 'is only in the first build',
  only_in_second: 'is only in the second build',
  type: 'is of another type',
  link: 'links to something else',
  executable: 'is executable in one build only',
  content: 'has other bytes',
} as const

/** One line for people. */
export function describeDifference({path, what, offset}: Difference): string {
  return `${path} ${words[what]}${offset === undefined ? '' : ` from offset ${offset} on`}`
}
