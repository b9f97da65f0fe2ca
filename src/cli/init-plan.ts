import {sha256Hex} from '../system/hash.ts'

/** What `rel init` finds in a folder; the text is undefined when there is no file. */
export type InitFacts = {
  readonly gitignore: string | undefined
  /** The JSON Schema of the configuration, for editors. */
  readonly schema: string
}

export type InitAnswers = {readonly product: string; readonly channel: string}

/** What --undo needs to know of a run. */
export type InitJournal = InitAnswers & {
  readonly config_sha256: string
  /** Whether the line in .gitignore is ours. */
  readonly ignored: boolean
}

/** One file to write, as a whole. */
export type PlannedFile = {readonly path: string; readonly text: string; readonly note: string}

export const CONFIG_FILE = 'rel.config.yaml'
export const JOURNAL_FILE = '.rel/init.json'
export const SCHEMA_FILE = '.rel/rel.config.schema.json'
/** Keys, journals and reports of a project stay on the machine. */
const IGNORED = '.rel/'

/** The files that make a folder a project of rel; never one that is there already. */
export function planInit(facts: InitFacts, answers: InitAnswers): PlannedFile[] {
  const config = configText(answers)
  const ignored = ignoring(facts.gitignore)
  const ignore = {path: '.gitignore', text: ignored ?? '', note: '+1 line'}
  const journal: InitJournal = {
    config_sha256: sha256Hex(config),
    ignored: ignored !== undefined,
    ...answers,
  }
  return [
    ...(ignored === undefined ? [] : [ignore]),
    {path: JOURNAL_FILE, text: `${JSON.stringify(journal)}\n`, note: 'for rel init --undo'},
    {path: SCHEMA_FILE, text: facts.schema, note: 'for editors'},
    {path: CONFIG_FILE, text: config, note: `product ${answers.product}`},
  ]
}

function configText({product, channel}: InitAnswers): string {
  return `# yaml-language-server: $schema=${SCHEMA_FILE}
# Defaults of rel for this project; rel config schema prints what is allowed here.
product: ${JSON.stringify(product)}
channel: ${JSON.stringify(channel)}
`
}

/** The text of .gitignore with our line, or undefined when it is there already. */
export function ignoring(text: string | undefined): string | undefined {
  if (text === undefined) return `${IGNORED}\n`
  if (lines(text).some((line) => line === IGNORED || line === '.rel' || line === '/.rel/'))
    return undefined
  return text === '' || text.endsWith('\n') ? `${text}${IGNORED}\n` : `${text}\n${IGNORED}\n`
}

/** The text of .gitignore without our line; undefined when nothing else is in it. */
export function notIgnoring(text: string): string | undefined {
  const kept = lines(text).filter((line) => line !== IGNORED)
  const rest = kept.join('\n')
  return rest === '' ? undefined : rest
}

function lines(text: string): string[] {
  return text.split('\n')
}

/** A product's name from a folder's: what is not allowed in one becomes a dash. */
export function productName(folder: string): string {
  const name = folder
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 64)
  return name === '' ? 'app' : name
}
