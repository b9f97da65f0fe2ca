import {appendFileSync} from 'node:fs'
import {RelError} from '../system/error.ts'
import {printMessages} from './output.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** True inside a job of GitHub Actions. */
function isActions({GITHUB_ACTIONS: flag}: Environment): boolean {
  return flag === 'true'
}

/** A failure as Actions shows it beside the job (workflow command `error`). */
export function annotationOf({code, message}: Pick<RelError, 'code' | 'message'>): string {
  return `::error title=${property(code)}::${data(message)}`
}

// docs.github.com: workflow commands; what would end a value is escaped
function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}

/** Runs a command and, in Actions, annotates its failure; the failure stays as it is. */
export async function annotated<T>(env: Environment, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isActions(env) && error instanceof RelError) printMessages([annotationOf(error)])
    throw error
  }
}

/** In Actions, appends to the summary and the outputs of the step. Values are of one line. */
export function tellActions(
  env: Environment,
  summary: readonly string[],
  outputs: Readonly<Record<string, string>>,
): void {
  if (!isActions(env)) return
  const {GITHUB_STEP_SUMMARY: summaryFile, GITHUB_OUTPUT: outputFile} = env
  if (summaryFile) appendFileSync(summaryFile, `${summary.join('\n')}\n`)
  if (outputFile) appendFileSync(outputFile, outputText(outputs))
}

/** `name=value` lines; a value that could begin another line is refused. */
export function outputText(outputs: Readonly<Record<string, string>>): string {
  return Object.entries(outputs)
    .map(([name, value]) => {
      if (/[\r\n]/.test(value)) throw new RelError('internal_error', `the output ${name} has lines`)
      return `${name}=${value}\n`
    })
    .join('')
}
