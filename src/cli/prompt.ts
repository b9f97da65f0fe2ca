import {RelError} from '../system/error.ts'

/** Whether somebody can be asked, and what to say when nobody can. */
export type Asking = {
  /** The value of --input: false when --no-input was given. */
  readonly allowed: boolean
  /** Flags that answer the question, as in `--product`. */
  readonly flag: string
}

/** True when questions reach a person: both ends of the dialogue are a terminal. */
function canAsk(allowed: boolean): boolean {
  return allowed && process.stdin.isTTY === true && process.stderr.isTTY === true
}

/** Asks at the terminal, on stderr; an empty answer is the default. Refuses with input_required. */
export async function ask(question: string, fallback: string, asking: Asking): Promise<string> {
  if (!canAsk(asking.allowed))
    throw new RelError('input_required', `${asking.flag} is needed: nobody can be asked here`, {
      hint: `Give ${asking.flag}.`,
    })
  const {createInterface} = await import('node:readline/promises')
  const terminal = createInterface({input: process.stdin, output: process.stderr})
  const gone = new Promise<never>((_resolve, reject) => {
    terminal.once('SIGINT', () => reject(new RelError('interrupted', 'stopped at a question')))
    terminal.once('close', () =>
      reject(new RelError('input_required', `no answer for ${asking.flag}`)),
    )
  })
  try {
    const answer = await Promise.race([terminal.question(`${question} [${fallback}] `), gone])
    return answer.trim() || fallback
  } finally {
    gone.catch(() => {})
    terminal.close()
  }
}
