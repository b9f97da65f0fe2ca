import {Agent, request} from 'node:http'
import {addProduct, agentSlot, makeRelease, publish} from '../../support/panel.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {median} from '../measure.ts'
import {startPanelProcess} from '../panel-process.ts'

/**
 * panel-hidden.ts CALLS: how long the 404 for a release takes that a licence may not see, beside the
 * one for a release that does not exist, in turns on one connection. Prints the larger difference of
 * the medians over two routes, in per cent.
 */
const calls = Number(process.argv[2])
const agent = new Agent({keepAlive: true, maxSockets: 1})

function micros(url: string, authorization: string): Promise<number> {
  const started = process.hrtime.bigint()
  return new Promise((resolve, reject) => {
    const asked = request(url, {agent, headers: {authorization}}, (answer) => {
      if (answer.statusCode !== 404) reject(new Error(`${answer.statusCode} instead of 404`))
      answer.resume()
      answer.once('end', () => resolve(Number(process.hrtime.bigint() - started) / 1000))
    })
    asked.once('error', reject).end()
  })
}

/** Which comes first in a pair is drawn, so that neither has the warmer place. */
async function difference(hidden: string, absent: string, authorization: string): Promise<number> {
  const times: Record<string, number[]> = {[hidden]: [], [absent]: []}
  for (let call = -200; call < calls; call++) {
    for (const url of Math.random() < 0.5 ? [hidden, absent] : [absent, hidden]) {
      const took = await micros(url, authorization)
      if (call >= 0) times[url]?.push(took)
    }
  }
  const [one, other] = [median(times[hidden] ?? []), median(times[absent] ?? [])]
  return (Math.abs(one - other) / other) * 100
}

const data = `${temporaryFolder('rel panel-hidden-')}/data`
const panel = await startPanelProcess({data, isUnlimited: true, licenses: 1})
await addProduct(panel, 'agent', [agentSlot])
for (const version of ['1.0.0', '2.0.0-beta.1']) await publish(panel, await makeRelease({version}))
const authorization = `Bearer ${panel.licenses[0]}`
const file = 'agent_2.0.0-beta.1_linux_amd64.tar.gz'
const routes = (version: string) => [
  `${panel.url}/download/agent/${version}/${file}`,
  `${panel.url}/bundles/${version}.tar.gz`,
]
const [hidden, absent] = [routes('2.0.0-beta.1'), routes('2.0.0-beta.2')]
const found: number[] = []
for (const [at, url] of hidden.entries())
  found.push(await difference(url, absent[at] ?? '', authorization))
agent.destroy()
await panel.stop()
process.stdout.write(`${JSON.stringify({percent: Math.max(...found), found})}\n`)
