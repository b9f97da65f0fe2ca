import {createHash, randomUUID} from 'node:crypto'
import {copyFileSync, createReadStream, mkdirSync, mkdtempSync, realpathSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {basename, dirname, join, relative} from 'node:path'
import {EvidenceLog} from '../gates/evidence-log.ts'
import {endMarked} from '../gates/marked-processes.ts'
import {badEnd} from '../gates/run-logged.ts'
import {findProgram, runProgram} from '../gates/run-program.ts'
import {closedWords, startedBy} from '../gates/sandbox.ts'
import {RelError} from '../system/error.ts'
import {fileError, statIfThere} from '../system/files.ts'
import {trackLeftover} from '../system/leftovers.ts'
import type {VerifiedAsset} from '../upstream/upstream.ts'
import type {LockEntry} from './lock-file.ts'
import type {Playbook} from './playbook.ts'

export type Vendoring = {
  readonly playbook: Playbook
  /** The checkout that the commands run in. */
  readonly folder: string
  readonly version: string
  readonly assets: readonly VerifiedAsset[]
  /** File that takes what the commands print. */
  readonly log: string
}

/** More than a log that anybody reads. */
const MAX_LOG_BYTES = 64 * 1024 * 1024

/**
 * Runs a playbook's vendoring commands in a checkout and gives the digests of what they leave. The
 * commands get REL_ITEM, REL_VERSION and, per verified asset, REL_ASSET_ARCH, or REL_ASSETS for those
 * without an architecture; no token, nothing else of the caller's environment. What they leave
 * running ends with them, or the log says what may not. Refuses with asset_changed, vendor_failed,
 * tool_missing.
 */
export async function vendor(vendoring: Vendoring): Promise<LockEntry['artifacts']> {
  const {playbook, folder, version, assets, log} = vendoring
  if (playbook.vendor === undefined) return []
  for (const asset of assets) await checkUnchanged(asset)
  const {PATH = '/usr/bin:/bin', HOME = '/'} = process.env
  const versions = {REL_ITEM: playbook.item, REL_VERSION: version}
  const staged = stageAssets(assets, dirname(log))
  const run = randomUUID()
  const env = {PATH, HOME, REL_RUN: run, ...versions, ...assetVariables(assets), ...staged.env}
  const said = new EvidenceLog(dirname(log), basename(log), MAX_LOG_BYTES)
  try {
    const {words, caveats} = await closedWords({
      path: PATH,
      scratch: tmpdir(),
      evidence: dirname(log),
    })
    for (const caveat of caveats) said.write(`${caveat}\n`)
    const how = {cwd: folder, env, timeoutSecs: playbook.vendor.timeout_secs, words}
    for (const argv of playbook.vendor.run) await runCommand(argv, how, said)
  } finally {
    endMarked('REL_RUN', run)
    said.close()
    staged.remove()
  }
  return artifactsIn(folder, playbook.vendor.artifacts)
}

/** Between verification and now a bump may have been interrupted for days. */
async function checkUnchanged({name, path, sha256}: VerifiedAsset): Promise<void> {
  const seen = statIfThere(path)?.isFile() === true ? await digestOf(path) : 'no file'
  if (seen === sha256) return
  throw new RelError('asset_changed', `${name} was verified as ${sha256}, and is ${seen} now`)
}

/** The digests of vendored files as they are in a checkout now. Refuses with vendor_failed. */
export async function artifactsIn(
  folder: string,
  paths: readonly string[],
): Promise<LockEntry['artifacts']> {
  const found: {path: string; sha256: string}[] = []
  for (const path of paths) found.push({path, sha256: await digestInside(folder, path)})
  return found
}

type Circumstances = Pick<Parameters<typeof runProgram>[0], 'cwd' | 'env' | 'timeoutSecs'> & {
  /** What the command is started by. */
  readonly words: readonly string[]
}

/** What it leaves running ends with it: nothing may change the files afterwards. */
async function runCommand(
  [file = '', ...args]: readonly string[],
  {words, ...how}: Circumstances,
  log: EvidenceLog,
): Promise<void> {
  const program = findProgram(file, how.env.PATH ?? '', how.cwd)
  if (program === undefined) throw new RelError('tool_missing', `${file} was not found on PATH`)
  log.write(`$ ${[file, ...args].join(' ')}\n`)
  const onOutput = (_: unknown, bytes: Buffer) => (log.write(bytes) ? undefined : 'flood')
  const end = await runProgram({...how, argv: startedBy(words, [program, ...args]), onOutput})
  const bad = badEnd(end, how.timeoutSecs)
  if (bad === undefined) return
  const exit = end.end === 'exited' ? {exit_code: end.exitCode} : {}
  throw new RelError('vendor_failed', `${file}: ${bad.summary}`, {
    hint: `Read ${log.path}.`,
    details: {log: log.path, ...exit},
  })
}

/** REL_ASSET_AMD64 and so on: where the verified files are that have an architecture. */
export function assetVariables(assets: readonly VerifiedAsset[]): Record<string, string> {
  return Object.fromEntries(
    assets.filter(hasArch).map(({arch, path}) => {
      return [`REL_ASSET_${arch.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`, path]
    }),
  )
}

function hasArch({arch}: VerifiedAsset): boolean {
  return arch !== 'any'
}

/** REL_ASSETS: a folder with copies of the files that have none, each under its name. */
function stageAssets(
  assets: readonly VerifiedAsset[],
  scratch: string,
): {readonly env: Readonly<Record<string, string>>; remove(): void} {
  const named = assets.filter((asset) => !hasArch(asset))
  if (named.length === 0) return {env: {}, remove: () => {}}
  mkdirSync(scratch, {recursive: true})
  const folder = mkdtempSync(join(scratch, 'assets-'))
  const forget = trackLeftover(folder)
  for (const {name, path} of named) {
    const copy = join(folder, name)
    try {
      mkdirSync(dirname(copy), {recursive: true})
      copyFileSync(path, copy)
    } catch (error) {
      throw fileError(error, copy, 'write')
    }
  }
  const remove = () => {
    rmSync(folder, {recursive: true, force: true})
    forget()
  }
  return {env: {REL_ASSETS: folder}, remove}
}

/** A link must not make a digest of something outside of the checkout. */
async function digestInside(folder: string, path: string): Promise<string> {
  const full = join(folder, path)
  if (statIfThere(full)?.isFile() !== true)
    throw new RelError('vendor_failed', `vendoring left no file ${path}`)
  if (relative(realpathSync(folder), realpathSync(full)).startsWith('..'))
    throw new RelError('vendor_failed', `${path} is outside of the checkout`)
  return digestOf(full)
}

async function digestOf(path: string): Promise<string> {
  const hasher = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path)) hasher.update(chunk as Buffer)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  return hasher.digest('hex')
}
