import {bootSecs} from '../device/boot-clock.ts'
import {availability} from '../device/candidate.ts'
import type {Device} from '../device/device.ts'
import {ifNotBusy, recordsOf, tell, whileLocked} from '../device/device.ts'
import {openSource} from '../device/open-source.ts'
import {flushResults, queueResults, waitingResults} from '../device/outbox.ts'
import {runLoop} from '../device/poll.ts'
import {rememberTimes} from '../device/staged-time.ts'
import {statusJson, statusOf} from '../device/status.ts'
import {checkFound, type Found, type LookOptions, look, stageOffer} from '../device/update.ts'
import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {shellWord} from '../system/shell-word.ts'
import {timeText} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import {openDevice, stagedOutcome} from './device.ts'
import {onStop} from './guards.ts'
import {type ProgressMode, withProgress} from './progress.ts'

/** Something newer may be taken: only with --exit-code. */
const EXIT_CHANGED = 10

/** `rel device check`: what the source has, and why it is not taken; remembers what was verified. */
export async function deviceCheck(
  path: string,
  flags: {readonly 'exit-code': boolean},
): Promise<Outcome> {
  const device = openDevice(path)
  const source = await openSource(device)
  const found = await look(device, source, {isRetry: false})
  const mayTake = found.answer.offer !== undefined && found.closed.length === 0
  return {
    result: foundJson(device, found),
    lines: foundLines(found),
    ...(mayTake && !found.isStaged ? {next: `rel device stage ${shellWord(path)}`} : {}),
    ...(mayTake && flags['exit-code'] ? {exit: EXIT_CHANGED} : {}),
  }
}

function foundJson(device: Device, {answer, running, closed, isStaged}: Found): JsonObject {
  const {offer, staleSince, withdrawn, pollAfterSecs} = answer
  return {
    running,
    ...availability(running, offer?.version),
    ...(offer === undefined
      ? {}
      : {
          offer: {
            version: offer.version,
            ...(offer.channel === undefined ? {} : {channel: offer.channel}),
            ...(offer.size === undefined ? {} : {size: offer.size}),
            ...(offer.sha256 === undefined ? {} : {sha256: offer.sha256}),
            deltas: offer.deltas.map(({from, size}) => ({from, size})),
          },
        }),
    staged: isStaged,
    closed: closed.map(({code, message}) => ({code, message})),
    policy: device.config.policy,
    ...(staleSince === undefined ? {} : {stale_since: staleSince}),
    ...(withdrawn === undefined ? {} : {withdrawn}),
    ...(pollAfterSecs === undefined ? {} : {poll_after_secs: pollAfterSecs}),
    reports_waiting: waitingResults(device.root),
  }
}

function foundLines({answer, running, closed, isStaged}: Found): readonly string[] {
  const {offer, staleSince, withdrawn} = answer
  const stale = [
    ...(staleSince === undefined ? [] : [`! the source is stale since ${timeText(staleSince)}`]),
    ...(withdrawn === undefined ? [] : [`! ${withdrawn} was offered before, and is no more`]),
  ]
  if (offer === undefined) return [`✔ ${running} runs, the source has nothing newer`, ...stale]
  const staged = isStaged ? ', staged already' : ''
  return [
    `${running} runs, ${offer.version} is offered${staged}`,
    ...closed.map(({code, message}) => `! not taken: ${message} (${code})`),
    ...stale,
  ]
}

/** `rel device stage` without a bundle: the newest that the source has and the gates let in. */
export async function stageFromSource(
  path: string,
  device: Device,
  options: LookOptions & {readonly isUnattended: boolean; readonly isDryRun: boolean},
  mode: ProgressMode,
): Promise<Outcome> {
  const source = await openSource(device)
  const offer = checkFound(await look(device, source, options))
  if (!options.isDryRun) {
    await withProgress(`Fetching ${offer.version}`, mode, (show) =>
      stageOffer(device, offer, options, (done, total) =>
        show({done, ...(total === undefined ? {} : {total}), text: 'bytes'}),
      ),
    )
    await ifNotBusy(device.root, () => rememberTimes(device))
  }
  if (!options.isDryRun) return stagedOutcome(path, device, offer.version, options.isRetry)
  return {
    result: {dry_run: true, candidate: {version: offer.version}},
    lines: [`✔ would fetch and stage ${offer.version}`],
  }
}

/** `rel device run`: polls until SIGTERM or SIGINT, and does what upgrade.policy allows. */
export async function deviceRun(path: string, flags: {readonly once: boolean}): Promise<Outcome> {
  const stopping = new AbortController()
  const device = openDevice(path, {'dry-run': false, events: true}, stopping.signal)
  const source = await openSource(device)
  let signal: string | undefined
  let wake = () => {}
  void onStop().then((name) => {
    signal = name
    wake()
    stopping.abort()
  })
  const sleep = (secs: number) =>
    new Promise<void>((resolve) => {
      const until = bootSecs() + secs
      let timer: NodeJS.Timeout | undefined
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
      const wait = () => {
        const leftMs = (until - bootSecs()) * 1000
        if (leftMs <= 0 || signal !== undefined) wake()
        else timer = setTimeout(wait, Math.min(leftMs, MAX_TIMER_MS))
      }
      wait()
    })
  const world = {random: Math.random, sleep, isStopping: () => signal !== undefined}
  const end = await runLoop(device, source, world, {
    isOnce: flags.once,
    report: () => report(device),
  })
  const {polls, failed} = end
  return {
    result: {
      ...statusJson(statusOf(device)),
      polls,
      failed_polls: failed,
      ...(signal === undefined ? {} : {signal}),
    },
    lines: [
      `✔ ${recordsOf(device).record.running.version} runs, ${counted(polls, 'poll')}, ${failed} failed`,
    ],
  }
}

/** Timers stand still while the machine is suspended: a minute after it has woken, the poll is due. */
const MAX_TIMER_MS = 60_000

/** What happened goes into the outbox, and from there to the source; trouble with it is only told. */
async function report(device: Device): Promise<void> {
  try {
    await whileLocked(device.root, async () => {
      rememberTimes(device)
      queueResults(device)
    })
    await flushResults(device)
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    tell(device, 'upgrade_report_failed', {error_code: error.code})
  }
}
