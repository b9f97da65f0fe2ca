import {addProduct, agentSlot, makeRelease, publish} from '../../support/panel.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {peakMib, startInstalledPanel} from '../panel-process.ts'

/** panel-upload.ts BYTES…: publishes one artifact of each size on a new panel each; prints the peaks in MiB. */
const peaks: number[] = []
for (const size of process.argv.slice(2).map(Number)) {
  const panel = await startInstalledPanel(`${temporaryFolder('rel panel-upload-')}/data`)
  await addProduct(panel, 'agent', [agentSlot])
  await publish(panel, await makeRelease({version: '1.0.0', size}))
  peaks.push(peakMib(panel.pid))
  await panel.stop()
}
process.stdout.write(`${JSON.stringify({peaks})}\n`)
