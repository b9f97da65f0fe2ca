import {mkdirSync, rmdirSync, rmSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {sha256Hex} from '../system/hash.ts'
import {
  CONFIG_FILE,
  type InitAnswers,
  type InitFacts,
  type InitJournal,
  JOURNAL_FILE,
  notIgnoring,
  type PlannedFile,
  SCHEMA_FILE,
} from './init-plan.ts'

/** More than any .gitignore written by people. */
const MAX_BYTES = 1024 * 1024

function textOf(path: string): string | undefined {
  if (statIfThere(path) === undefined) return undefined
  return readFileLimited(path, MAX_BYTES).toString('utf8')
}

/** What is there. Refuses with file_exists when the folder has a configuration. */
export async function loadInitFacts(folder: string): Promise<InitFacts> {
  for (const name of [CONFIG_FILE, 'rel.config.json'])
    if (statIfThere(join(folder, name)) !== undefined)
      throw new RelError('file_exists', `${name} exists already; nothing was changed`, {
        hint: 'rel config show --origin',
      })
  const {configJsonSchema} = await import('./config-schema.ts')
  const schema = configJsonSchema()
  return {
    gitignore: textOf(join(folder, '.gitignore')),
    schema: `${JSON.stringify(schema, null, 2)}\n`,
  }
}

/** Writes the plan; the configuration comes last, so that an interrupted run is simply run again. */
export function applyInit(folder: string, plan: readonly PlannedFile[]): void {
  for (const {path, text} of plan) {
    const target = join(folder, path)
    mkdirSync(dirname(target), {recursive: true, mode: path.startsWith('.rel/') ? 0o700 : 0o755})
    writeFileAtomic(target, text, {exclusive: path === CONFIG_FILE})
  }
}

/** What was or would be taken back, and the answers that would make it again. */
export type Undone = {readonly done: readonly string[]; readonly answers: InitAnswers}

/** Takes back what applyInit did, unless somebody has changed it since. Refuses with undo_refused. */
export function undoInit(folder: string, {dryRun}: {readonly dryRun: boolean}): Undone {
  const journalPath = join(folder, JOURNAL_FILE)
  const journal = readJournal(textOf(journalPath))
  const config = textOf(join(folder, CONFIG_FILE))
  if (config !== undefined && sha256Hex(config) !== journal.config_sha256)
    throw new RelError('undo_refused', `${CONFIG_FILE} was changed since rel init`, {
      hint: `Remove ${CONFIG_FILE} yourself when you no longer need it.`,
    })
  const done = [
    `remove ${CONFIG_FILE}`,
    ...(journal.ignored ? ['remove .rel/ from .gitignore'] : []),
  ]
  if (dryRun) return {done, answers: journal}
  rmSync(join(folder, CONFIG_FILE), {force: true})
  if (journal.ignored) restoreIgnore(join(folder, '.gitignore'))
  rmSync(join(folder, SCHEMA_FILE), {force: true})
  rmSync(journalPath, {force: true})
  removeIfEmpty(dirname(journalPath))
  return {done, answers: journal}
}

function readJournal(text: string | undefined): InitJournal {
  const journal = parsed(text)
  const {config_sha256, ignored, product, channel} = journal
  const named = typeof product === 'string' && typeof channel === 'string'
  if (typeof config_sha256 === 'string' && typeof ignored === 'boolean' && named)
    return {config_sha256, ignored, product, channel}
  throw new RelError('undo_refused', `no record of rel init in ${JOURNAL_FILE}`, {
    hint: 'There is nothing to undo here.',
  })
}

function parsed(text: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '{}')
    return typeof value === 'object' && value !== null ? {...value} : {}
  } catch {
    return {} // refused like a journal that is not there
  }
}

function restoreIgnore(path: string): void {
  const text = textOf(path)
  if (text === undefined) return
  const rest = notIgnoring(text)
  if (rest === undefined) rmSync(path)
  else writeFileAtomic(path, rest)
}

/** .rel/ may hold keys by now: only an empty folder goes. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
  }
}
