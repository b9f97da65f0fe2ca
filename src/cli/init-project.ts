import {basename} from 'node:path'
import {isName} from '../bundle/parse-manifest.ts'
import {RelError} from '../system/error.ts'
import type {Outcome} from './base-command.ts'
import {applyInit, loadInitFacts, undoInit} from './init.ts'
import {type InitAnswers, planInit, productName} from './init-plan.ts'
import {ask} from './prompt.ts'

type InitChoices = {
  readonly product?: string | undefined
  readonly channel: string
  readonly yes: boolean
  readonly dryRun: boolean
  readonly input: boolean
}

/** `rel init`: answers, plan, and, unless it is a dry run, the plan's files. */
export async function initProject(folder: string, choices: InitChoices): Promise<Outcome> {
  const facts = await loadInitFacts(folder)
  const answers = await answersOf(folder, choices)
  const plan = planInit(facts, answers)
  if (!choices.dryRun) applyInit(folder, plan)
  const files = plan.map(({path, note}) => ({path, note}))
  const verb = choices.dryRun ? 'Would write' : 'Wrote'
  const outcome = {
    result: {dry_run: choices.dryRun, ...answers, files},
    lines: files.map(({path, note}) => `${verb} ${path} (${note})`),
  }
  if (choices.dryRun) return outcome
  return {...outcome, undo: 'rel init --undo', next: 'rel keys new dev'}
}

async function answersOf(folder: string, choices: InitChoices): Promise<InitAnswers> {
  const {product: given, yes, input: allowed} = choices
  const guess = productName(basename(folder))
  const flag = '--product NAME or --yes'
  const product = given ?? (yes ? guess : await ask('Product name', guess, {allowed, flag}))
  return {
    product: checkName(product, '--product'),
    channel: checkName(choices.channel, '--channel'),
  }
}

function checkName(name: string, flag: string): string {
  if (isName(name)) return name
  throw new RelError(
    'usage_invalid',
    `${flag}: not a name of letters, digits, dot, dash, underscore`,
  )
}

/** `rel init --undo`. */
export function undoProject(folder: string, dryRun: boolean): Outcome {
  const {done, answers} = undoInit(folder, {dryRun})
  const lines = done.map((step) => (dryRun ? `Would ${step}` : `Done: ${step}`))
  return {
    result: {dry_run: dryRun, undone: done},
    lines,
    ...(dryRun ? {} : {undo: `rel init --product ${answers.product} --channel ${answers.channel}`}),
  }
}
