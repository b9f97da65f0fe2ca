import {spawn} from 'node:child_process'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {parse} from 'yaml'
import {cleanEnv} from '../rel.ts'
import {temporaryFolder} from '../tmp.ts'

/** A composite action as far as ours go: inputs, steps of bash, outputs of steps. */
export type Action = {
  readonly name: string
  readonly description: string
  readonly inputs?: Readonly<Record<string, ActionInput>>
  readonly outputs?: Readonly<
    Record<string, {readonly description: string; readonly value: string}>
  >
  readonly runs: {readonly using: string; readonly steps: readonly ActionStep[]}
}

type ActionInput = {
  readonly description: string
  readonly required?: boolean
  readonly default?: string
}

export type ActionStep = {
  readonly id?: string
  readonly shell?: string
  readonly run?: string
  readonly uses?: string
  readonly env?: Readonly<Record<string, string>>
}

export function readAction(path: string): Action {
  return parse(readFileSync(path, 'utf8'), {strict: true, uniqueKeys: true}) as Action
}

export type ActionRun = {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly outputs: Readonly<Record<string, string>>
  readonly summary: string
  /** What the steps put on the path of later ones. */
  readonly path: string
  /** RUNNER_TEMP of this run. */
  readonly temp: string
}

/**
 * Runs an action as the runner does (docs.github.com: composite actions, workflow commands): inputs
 * with their defaults, `bash --noprofile --norc -eo pipefail` on a file, outputs through GITHUB_OUTPUT.
 * Refuses by throwing what the runner refuses: an unknown input, a required one that is missing.
 */
export async function runAction(
  path: string,
  given: Readonly<Record<string, string>>,
  {
    env = {},
    github = {},
    cwd,
  }: {
    readonly env?: Readonly<Record<string, string>>
    readonly github?: Readonly<Record<string, string>>
    readonly cwd: string
  },
): Promise<ActionRun> {
  const {inputs = {}, outputs = {}, runs} = readAction(path)
  const temp = temporaryFolder('rel runner ')
  const files = ['output', 'summary', 'path'].map((name) => join(temp, name))
  const [outputFile = '', summaryFile = '', pathFile = ''] = files
  for (const file of files) writeFileSync(file, '')
  for (const name of Object.keys(given))
    if (!Object.hasOwn(inputs, name)) throw new Error(`unexpected input ${name}`)
  const values = Object.fromEntries(
    Object.entries(inputs).map(([name, {required, default: value}]) => {
      if (given[name] === undefined && value === undefined && required === true)
        throw new Error(`input ${name} is missing`)
      return [`inputs.${name}`, given[name] ?? expand(value ?? '', githubValues(github))]
    }),
  )
  const known: Record<string, string> = {...values, ...githubValues(github)}
  let last = {code: 0 as number | null, stdout: '', stderr: ''}
  for (const step of runs.steps) {
    const script = join(temp, 'step.sh')
    writeFileSync(script, expand(step.run ?? '', known))
    const stepEnv = Object.fromEntries(
      Object.entries(step.env ?? {}).map(([name, value]) => [name, expand(value, known)]),
    )
    writeFileSync(outputFile, '')
    last = await bash(script, cwd, {
      ...env,
      GITHUB_ACTIONS: 'true',
      GITHUB_OUTPUT: outputFile,
      GITHUB_STEP_SUMMARY: summaryFile,
      GITHUB_PATH: pathFile,
      RUNNER_TEMP: temp,
      ...stepEnv,
    })
    for (const [name, value] of pairsOf(readFileSync(outputFile, 'utf8')))
      known[`steps.${step.id}.outputs.${name}`] = value
    if (last.code !== 0) break
  }
  return {
    ...last,
    temp,
    summary: existsSync(summaryFile) ? readFileSync(summaryFile, 'utf8') : '',
    path: readFileSync(pathFile, 'utf8').trim(),
    outputs: Object.fromEntries(
      Object.entries(outputs).map(([name, {value}]) => [name, expand(value, known, '')]),
    ),
  }
}

function githubValues(github: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(github).map(([name, value]) => [`github.${name}`, value]),
  )
}

/** `${{ name }}` alone is what ours use; what is not known is an error unless it has a stand-in. */
function expand(text: string, known: Readonly<Record<string, string>>, missing?: string): string {
  return text.replace(/\$\{\{ *([A-Za-z0-9_.-]+) *\}\}/g, (_whole, name: string) => {
    const value = known[name] ?? missing
    if (value === undefined) throw new Error(`nothing is known as ${name}`)
    return value
  })
}

function pairsOf(text: string): readonly (readonly [string, string])[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const at = line.indexOf('=')
      if (at <= 0) throw new Error(`no name=value: ${line}`)
      return [line.slice(0, at), line.slice(at + 1)]
    })
}

function bash(
  script: string,
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<{code: number | null; stdout: string; stderr: string}> {
  const child = spawn('bash', ['--noprofile', '--norc', '-eo', 'pipefail', script], {
    cwd,
    env: cleanEnv(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (piece: Buffer) => {
    stdout += piece
  })
  child.stderr.on('data', (piece: Buffer) => {
    stderr += piece
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({code, stdout, stderr}))
  })
}
