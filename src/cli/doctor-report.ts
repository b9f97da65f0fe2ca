import {RelError} from '../system/error.ts'
import type {Outcome} from './base-command.ts'
import {judge, reportLines} from './doctor.ts'
import {applyFixes, loadDoctorFacts} from './doctor-facts.ts'

/** `rel doctor`: looks, mends when asked to and looks again. A failed check is doctor_failed. */
export async function examine(
  cwd: string,
  env: Readonly<Record<string, string | undefined>>,
  fix: boolean,
): Promise<Outcome> {
  const before = await loadDoctorFacts(cwd, env)
  const fixed = fix ? applyFixes(cwd, before) : []
  const checks = judge(fixed.length > 0 ? await loadDoctorFacts(cwd, env) : before)
  const errors = checks.filter(({status}) => status === 'error').length
  const warnings = checks.filter(({status}) => status === 'warning').length
  const skipped = checks.filter(({status}) => status === 'skipped').length
  const result = {checks: checks.map((check) => ({...check})), fixed, errors, warnings, skipped}
  const lines = [...fixed.map((step) => `✔ ${step}`), ...reportLines(checks)]
  const outcome = {result, lines}
  if (errors === 0) return outcome
  const message = `${errors} of ${checks.length} checks failed`
  return {...outcome, failure: new RelError('doctor_failed', message, {details: result})}
}
