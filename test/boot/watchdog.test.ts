import {test} from 'uvu'
import {debianArm64} from '../support/arm64.ts'
import {runGuest, shortCases} from '../support/device/watchdog-cases.ts'
import {needs, needsThat} from '../support/needs.ts'

// The cases that need no waiting; all of them are in watchdog-matrix.ts, `npm run test:watchdog`.

const arm64 = debianArm64()
const canBoot =
  needs('qemu-system-aarch64') &&
  needsThat('arm64 packages', typeof arm64 !== 'string', String(arm64))

if (canBoot && typeof arm64 !== 'string')
  test(`under a real systemd: ${shortCases.map(({name}) => name).join(', ')}`, async () => {
    await runGuest(arm64, shortCases)
  })

test.run()
