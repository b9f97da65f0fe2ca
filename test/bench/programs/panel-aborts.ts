import {Agent, type IncomingMessage, request} from 'node:http'
import {setTimeout as wait} from 'node:timers/promises'
import {addProduct, agentSlot, makeRelease, publish} from '../../support/panel.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {openBlobs, startPanelProcess} from '../panel-process.ts'

/** panel-aborts.ts COUNT: gives up that many downloads; prints how many blobs stay open after 10 s. */
const count = Number(process.argv[2])
const data = `${temporaryFolder('rel panel-aborts-')}/data`
const panel = await startPanelProcess({data, isUnlimited: true, licenses: 1})
await addProduct(panel, 'agent', [agentSlot])
const release = await makeRelease({version: '1.0.0', size: 8_000_000})
await publish(panel, release)
const url = `${panel.url}/download/agent/1.0.0/${[...release.bytes.keys()][0]}`
const headers = {authorization: `Bearer ${panel.licenses[0]}`}
const agent = new Agent({maxSockets: 16})

function answer(): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(url, {agent, headers}).once('response', resolve).once('error', reject).end()
  })
}

let started = 0
async function lane(): Promise<void> {
  while (started++ < count) {
    const download = await answer()
    if (download.statusCode !== 200) throw new Error(`download ${download.statusCode}`)
    if (started % 2 === 0) await new Promise((resolve) => download.once('data', resolve))
    download.destroy()
  }
}
await Promise.all(Array.from({length: 16}, lane))
agent.destroy()
for (let tries = 0; tries < 500 && openBlobs(panel.pid) > 0; tries++) await wait(20)
const left = openBlobs(panel.pid)
const alive = (await fetch(url, {headers})).status
if (alive !== 200) throw new Error(`${alive} after the aborts`)
await panel.stop()
process.stdout.write(`${JSON.stringify({left})}\n`)
process.exit(0)
