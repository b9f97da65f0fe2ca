import {tmpdir} from 'node:os'
import {resolve} from 'node:path'
import type {GateResult, GateWorld} from '../gates/gate.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import type {Outcome} from './base-command.ts'
import type {OnProgress} from './progress.ts'

/** The real world of a gate; `evidence` is the folder for its logs. */
export function gateWorld(evidence: string, report: OnProgress): GateWorld {
  const started = performance.now()
  return {
    path: process.env.PATH ?? '/usr/bin:/bin',
    evidence: resolve(evidence),
    scratch: tmpdir(),
    report: (text) =>
      report({done: Math.round((performance.now() - started) / 1000), text: `s: ${text}`}),
  }
}

/** What a gate decided as the end of a command: anything but a pass is a failure with its code. */
export function gateOutcome(result: GateResult, facts: JsonObject = {}): Outcome {
  const {gate, verdict, code, summary, caveats} = result
  const logs = result.logs.map(({path, sha256}) => ({path, sha256}))
  const document = {gate, verdict, code: code ?? null, summary, caveats, logs, ...facts}
  const mark = verdict === 'passed' ? '✔' : '✖'
  const lines = [
    `${mark} ${gate}: ${summary}`,
    ...logs.map(({path, sha256}) => `  log: ${path} (sha256 ${sha256})`),
    ...caveats.map((caveat) => `  not proved: ${caveat}`),
  ]
  if (verdict === 'passed') return {result: document, lines}
  const failure = new RelError(code ?? 'gate_unavailable', summary, {details: document})
  return {result: document, lines: lines.slice(1), failure}
}
