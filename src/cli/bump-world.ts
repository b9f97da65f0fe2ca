import {homedir} from 'node:os'
import {join} from 'node:path'
import {openForge} from '../bump/forge/forge.ts'
import {githubTokenFor} from '../bump/github-token.ts'
import {loadPlaybooks, playbookOf} from '../bump/load-playbooks.ts'
import {openUpstream, type UpstreamWorld} from '../bump/open-upstream.ts'
import {recordingTape, replayTape, type Tape} from '../bump/recording.ts'
import {gateRunner} from '../bump/run-gate.ts'
import {signOffBy, waiveBy} from '../bump/sign-off.ts'
import type {StepContext} from '../bump/step-context.ts'
import {lockedEntry} from '../bump/survey.ts'
import type {BumpWorld} from '../bump/world.ts'
import {systemTime} from '../system/clock.ts'
import {ContentCache} from '../system/content-cache.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited} from '../system/files.ts'
import {openGit} from '../system/git.ts'
import {makeHttp} from '../system/http-client.ts'
import type {JsonObject} from '../system/json.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import type {WorldFlagValues} from './bump-flags.ts'
import {openSignerFromFlags} from './key-flags.ts'
import {type ProgressMode, withProgress} from './progress.ts'
import {trustSourceFromFlags} from './trust-flags.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** The real world of a bump, and what to do with it in the end. */
export type OpenWorld = {
  readonly context: StepContext
  /** Saves a recording, forgets the key. Call it whatever happened. */
  close(): void
}

/** What upstreams and forge are asked through: one client, one cache, the time of now. */
export function upstreamWorld(env: Environment): UpstreamWorld {
  const caches = env.XDG_CACHE_HOME || join(homedir(), '.cache')
  // not beside the cache: a CI system restores what an untrusted run has saved there
  const states = env.XDG_STATE_HOME || join(homedir(), '.local', 'state')
  const cache = new ContentCache(join(caches, 'rel'), join(states, 'rel', 'cache.key'))
  const http = makeHttp({cache, userAgent: 'rel', proxyEnv: env})
  return {http, cache, now: systemTime(), tokenFor: (apiUrl) => githubTokenFor(apiUrl, env)}
}

/** Everything that a bump of an item touches. Refuses as loadPlaybooks and openUpstream do. */
export async function openBumpWorld(
  item: string,
  flags: WorldFlagValues,
  env: Environment,
): Promise<OpenWorld> {
  const git = await openGit(process.cwd(), env)
  const playbooks = await loadPlaybooks(git)
  const playbook = playbookOf(playbooks, item)
  const ours = upstreamWorld(env)
  const tape = tapeOf(flags, ours)
  const {'hardware-evidence': evidence} = flags
  const signing = await signingOf(flags, env, tape.now)
  const run = gateRunner({
    path: env.PATH ?? '/usr/bin:/bin',
    ...(signing === undefined ? {} : {trust: signing.trust}),
  })
  const real = {...ours, http: tape.http(), now: tape.now}
  const upstream = await openUpstream(playbook, real, await lockedEntry(git, item))
  const {forge} = playbook.change
  const steps = shownSteps(flags)
  const isReplay = flags.replay !== undefined
  const world: BumpWorld = {
    git,
    upstream,
    runGate: tape.gates(run),
    now: tape.now,
    isReplay,
    ...(forge === undefined
      ? {}
      : {pullRequests: openForge(forge, playbook.change, {http: real.http, env, isReplay})}),
    ...(signing === undefined ? {} : {signOff: signing.signOff, signWaiver: signing.signWaiver}),
    ...(evidence === undefined ? {} : {hardwareEvidence: readEvidenceFile(evidence)}),
    onStep: steps.onStep,
  }
  return {
    context: {playbook, others: playbooks.filter((other) => other !== playbook), world},
    close: () => {
      steps.close()
      tape.save?.()
      signing?.close()
    },
  }
}

/** Shows the step that is running, and ends what is shown when the bump does. */
function shownSteps(mode: ProgressMode): {onStep: Required<BumpWorld>['onStep']; close(): void} {
  let end = () => {}
  return {
    onStep: (phase, _name, text) => {
      end()
      if (phase === 'end' || text === undefined) return
      const {promise, resolve} = Promise.withResolvers<void>()
      end = resolve
      withProgress(text, mode, () => promise)
    },
    close: () => end(),
  }
}

function tapeOf(flags: WorldFlagValues, {http, now}: UpstreamWorld): Tape & {save?(): void} {
  if (flags.replay !== undefined) return replayTape(flags.replay)
  if (flags.record !== undefined) return recordingTape(flags.record, http, now)
  return {now, http: () => http, gates: (run) => run}
}

/** Whoever signs off, checked against whom --public-key or the trust anchor lets do it. */
async function signingOf(flags: WorldFlagValues, env: Environment, now: number) {
  const {'sign-off': key} = flags
  if (key === undefined) return undefined
  const trust = await trustSourceFromFlags(flags, env, 'release-manager')
  const named = /^[a-z][a-z0-9-]+:/.test(key) ? {signer: key} : {key}
  const signer = await openSignerFromFlags({...flags, 'public-key': undefined, ...named})
  return {
    trust,
    signOff: signOffBy(signer, trust, now),
    signWaiver: waiveBy(signer, trust, now),
    close: () => signer.close?.(),
  }
}

/** Evidence is a page of JSON; strict, as everything that is signed. */
const EVIDENCE_LIMITS = {bytes: 1024 * 1024, depth: 16}

/** A file of rel smoke hardware. Refuses as readFileLimited does, and with evidence_invalid. */
function readEvidenceFile(path: string): JsonObject {
  const json = parseStrictJson(readFileLimited(path, EVIDENCE_LIMITS.bytes), EVIDENCE_LIMITS)
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject
  throw new RelError('evidence_invalid', `${path} is no evidence of a run on hardware`)
}
