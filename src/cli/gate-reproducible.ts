import type {VariedSetting} from '../gates/repro-settings.ts'
import {reproducible} from '../gates/reproducible.ts'
import {buildTime} from '../system/clock.ts'
import {RelError} from '../system/error.ts'
import type {Outcome} from './base-command.ts'
import {gateOutcome, gateWorld} from './gate-outcome.ts'
import {withProgress} from './progress.ts'

type Flags = {
  readonly source: string
  readonly output?: readonly string[] | undefined
  readonly keep?: readonly VariedSetting[] | undefined
  readonly timeout: number
  readonly log: string
  readonly json?: boolean | undefined
  readonly quiet: boolean
}

/** `rel gate reproducible`: two builds of a command, and what differs. */
export async function reproducibleFromFlags(
  argv: readonly string[],
  flags: Flags,
): Promise<Outcome> {
  const [program, ...words] = argv
  if (program === undefined) throw new RelError('usage_invalid', 'want a command to build with')
  const epoch = buildTime(process.env)
  const {source, output = [], keep = [], timeout} = flags
  const result = await withProgress('building twice', flags, (report) =>
    reproducible(
      {
        gate: 'reproducible',
        argv: [program, ...words],
        source,
        outputs: output,
        epoch,
        keep,
        timeoutSecs: timeout,
      },
      gateWorld(flags.log, report),
    ),
  )
  return gateOutcome(result, {source_date_epoch: epoch})
}
