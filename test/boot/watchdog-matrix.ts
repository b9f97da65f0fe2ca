import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {debianArm64} from '../support/arm64.ts'
import {
  limitCases,
  longCases,
  rebootCases,
  runGuest,
  type WatchdogCase,
} from '../support/device/watchdog-cases.ts'

// Every case with three attempts in one guest, with one in another, with two in a third, and those that
// take their guest down in guests of their own: `npm run test:watchdog`, minutes.
// REL_WATCHDOG_ONLY=NAME for one.

const arm64 = debianArm64()
assert.type(arm64, 'object', String(arm64))

const only = process.env.REL_WATCHDOG_ONLY
const byAttempts = [1, 2].map((most) => limitCases.filter((it) => it.maxAttempts === most))
const guests: readonly (readonly WatchdogCase[])[] =
  only === undefined
    ? [longCases, ...byAttempts, ...rebootCases.map((it) => [it])]
    : [[...longCases, ...limitCases, ...rebootCases].filter(({name}) => name === only)]

for (const cases of guests)
  test(`under a real systemd: ${cases.map(({name}) => name).join(', ')}`, async () => {
    if (typeof arm64 === 'string') return
    const reboots = cases.some((it) => rebootCases.includes(it))
    const {secs, cpuSecs, machine} = await runGuest(arm64, cases, {patienceSecs: 1200, reboots})
    const figures = `${Math.round(secs)} s, ${Math.round(cpuSecs)} CPU s`
    process.stdout.write(`${cases.length} cases, ${figures}; ${machine}\n`)
  })

test.run()
