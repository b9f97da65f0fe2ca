import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {debianArm64} from '../support/arm64.ts'
import {longCases, rebootCase, runGuest} from '../support/device/watchdog-cases.ts'

// Every case in one guest, and one that takes its guest down: `npm run test:watchdog`, minutes.

const arm64 = debianArm64()
assert.type(arm64, 'object', String(arm64))

const suites = {
  [longCases.map(({name}) => name).join(', ')]: {cases: longCases, options: {patienceSecs: 900}},
  [rebootCase.name]: {cases: [rebootCase], options: {patienceSecs: 900, reboots: true}},
}
for (const [name, {cases, options}] of Object.entries(suites))
  test(`under a real systemd: ${name}`, async () => {
    if (typeof arm64 === 'string') return
    const {secs, cpuSecs, machine} = await runGuest(arm64, cases, options)
    const figures = `${Math.round(secs)} s, ${Math.round(cpuSecs)} CPU s`
    process.stdout.write(`${cases.length} cases, ${figures}; ${machine}\n`)
  })

test.run()
