import {RelError} from '../system/error.ts'
import {nearest} from '../system/nearest.ts'
import {type Request, readRequest, refusesColor, wantsJson} from './argv.ts'
import {type CommandTree, pluginCommands} from './command-tree.ts'
import {failureOf} from './failure.ts'
import {drained, guardStreams, installGuards, markFinished} from './guards.ts'
import {
  beginOutput,
  type Mode,
  printDocument,
  printFailure,
  printLines,
  successDocument,
} from './output.ts'

/** How a command is run: without oclif's discovery, or through all of it (tests compare the two). */
export type Path = 'quick' | 'full'

/**
 * The whole of a run: finds the command, runs it, and leaves the process with its exit code.
 * Every outcome prints once; nothing leaves with 0 that was not finished.
 */
export function main(argv: readonly string[], tree: CommandTree, path: Path = 'quick'): void {
  beginOutput()
  const mode = modeOf(argv)
  const ids = new Set([...tree.ids, ...(tree.completes === false ? [] : pluginCommands)])
  const request = readRequest(argv, ids)
  const command = request.ask === 'command' ? request.id.replaceAll(':', ' ') : null
  const report = (error: unknown, exit?: number) => {
    const failure = failureOf(error, {command, flags: ['help', 'version'], env: process.env})
    const shown = exit === undefined ? failure : {...failure, exit}
    process.exitCode = shown.exit
    printFailure(command, shown, mode)
  }
  applyColorChoice(argv)
  guardStreams(report)
  installGuards({report})
  perform(request, tree, mode, path)
    .catch(report)
    .then(leave)
    .catch(() => process.exit(1))
}

function modeOf(argv: readonly string[]): Mode {
  const quiet = argv.includes('--quiet') || argv.includes('-q')
  return {json: wantsJson(argv), quiet, debug: process.env.REL_DEBUG === '1'}
}

/** Node's styleText and every library read the choice from here; both set would make Node warn. */
function applyColorChoice(argv: readonly string[]): void {
  if (refusesColor(argv)) process.env.NO_COLOR = '1'
  if (process.env.NO_COLOR) delete process.env.FORCE_COLOR
}

async function leave(): Promise<void> {
  await drained(process.stdout)
  await drained(process.stderr)
  markFinished()
  process.exit()
}

async function perform(request: Request, tree: CommandTree, mode: Mode, path: Path): Promise<void> {
  if (request.ask === 'command') return runCommand(request, tree, path)
  if (request.ask === 'version') return showVersion(tree, mode)
  if (request.ask === 'help') return showHelp(request.words, tree, mode)
  if (request.ask === 'unknown-flag')
    throw new RelError('usage_invalid', `unknown flag ${request.flag.split('=', 1)[0]}`, {
      hint: 'rel --help',
    })
  throw commandUnknown(request.words, tree.ids)
}

async function runCommand(
  {id, argv}: {id: string; argv: readonly string[]},
  tree: CommandTree,
  path: Path,
): Promise<void> {
  // bin/run.cjs has checked the version; oclif would load semver to check it again
  process.env.OCLIF_DISABLE_ENGINE_WARNING ??= '1'
  const {fullConfig, isPluginCommand, quickConfig} = await import('./oclif-config.ts')
  if (path === 'full' || isPluginCommand(id)) {
    const config = await fullConfig(tree)
    await config.runCommand(id, [...argv])
    return
  }
  const command = await tree.load(id)
  const config = await quickConfig(tree)
  const Runnable = command as unknown as new (argv: string[], config: object) => Runs
  await new Runnable([...argv], config)._run()
}

/** oclif's own entry of a command: internal, so its version is pinned and tests compare both paths. */
type Runs = {_run(): Promise<unknown>}

async function showVersion(tree: CommandTree, {json}: Mode): Promise<void> {
  const {versionText} = await import('./oclif-config.ts')
  const {version} = tree.facts
  if (!json) return printLines([versionText(version)])
  printDocument(successDocument('version', {result: versionFacts(version)}))
}

function versionFacts(version: string) {
  const {platform, arch, version: node} = process
  return {version, node, platform, arch}
}

async function showHelp(words: readonly string[], tree: CommandTree, {json}: Mode): Promise<void> {
  const {checkHelpWords, helpText} = await import('./help.ts')
  checkHelpWords(tree, words)
  const text = await helpText(tree, words)
  if (json) printDocument(successDocument('help', {result: {text}}))
  else process.stdout.write(`${text}\n`)
}

function commandUnknown(words: readonly string[], ids: ReadonlySet<string>): RelError {
  const names = [...ids].map((id) => id.replaceAll(':', ' '))
  const whole = nearest(words.slice(0, 2).join(' '), names, 2)
  const near = whole.length > 0 ? whole : nearest(words[0] ?? '', names, 2)
  const given = JSON.stringify(words.slice(0, 2).join(' ').slice(0, 80))
  const [first] = near
  if (first === undefined) return new RelError('command_unknown', `${given} is no command of rel`)
  const message = `${given} is no command of rel; did you mean ${first}?`
  return new RelError('command_unknown', message, {
    hint: `rel ${first} --help`,
    details: {suggestions: near},
  })
}
