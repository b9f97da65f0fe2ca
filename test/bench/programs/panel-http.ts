import {cpSync, mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {startNginx} from '../../support/nginx.ts'
import {addProduct, agentSlot, makeRelease, publish} from '../../support/panel.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {median} from '../measure.ts'
import {cpuSecs, type Load, type PanelProcess, startPanelProcess, wrk} from '../panel-process.ts'

/** panel-http.ts manifest|downloads ROUNDS: a panel beside nginx with the same bytes, in turns. */
const [what = '', rounds = '5'] = process.argv.slice(2)
process.env.PATH = `${process.env.PATH}:/usr/sbin`
const folder = temporaryFolder('rel panel-http-')

/** CPU seconds per unit of work of some processes while they are asked. */
function cost(pids: readonly number[], of: (load: Load) => number, ask: () => Load): number {
  const sum = (): number => pids.reduce((total, pid) => total + cpuSecs(pid), 0)
  const before = sum()
  const load = ask()
  return (sum() - before) / of(load)
}

/** The median of each column over the rounds, after one that does not count. */
function medians(measure: () => Record<string, number>): Record<string, number> {
  measure()
  const all = Array.from({length: Number(rounds)}, measure)
  const names = Object.keys(all[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, median(all.map((each) => each[name] ?? 0))]))
}

async function startWith(data: string, sizes: Record<string, number>, accel?: string) {
  const options = {data, isUnlimited: true, licenses: 1}
  const panel = await startPanelProcess(accel === undefined ? options : {...options, accel})
  await addProduct(panel, 'agent', [agentSlot])
  for (const [version, size] of Object.entries(sizes))
    await publish(panel, await makeRelease({version, size}))
  return panel
}

const auth = ({licenses}: PanelProcess) => ({authorization: `Bearer ${licenses[0]}`})
const onceARequest = ({requests}: Load): number => requests
const perByte = ({bytes}: Load): number => bytes
const forEver = 'keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on; tcp_nopush on;'

async function manifest(): Promise<Record<string, number>> {
  const panel = await startWith(join(folder, 'data'), {'1.4.2': 1000})
  const url = `${panel.url}/update/manifest.json`
  const answer = await fetch(url, {headers: auth(panel)})
  const etag = answer.headers.get('etag') ?? ''
  mkdirSync(join(folder, 'static'))
  writeFileSync(join(folder, 'static', 'manifest.json'), Buffer.from(await answer.arrayBuffer()))
  const nginx = await startNginx(forEver, `root "${folder}/static";`)
  const file = `${nginx.url}/manifest.json`
  const fileTag = (await fetch(file)).headers.get('etag') ?? ''
  const ask = (pid: number, address: string, headers: Record<string, string>): number =>
    cost([pid], onceARequest, () => wrk(folder, address, {connections: 32, secs: 2, headers}))
  try {
    return medians(() => {
      const ours200 = ask(panel.pid, url, auth(panel))
      const theirs200 = ask(nginx.pid, file, {})
      const ours304 = ask(panel.pid, url, {...auth(panel), 'if-none-match': etag})
      const theirs304 = ask(nginx.pid, file, {'if-none-match': fileTag})
      return {
        ok: ours200 / theirs200,
        notModified: ours304 / theirs304,
        okMicros: ours200 * 1e6,
        notModifiedMicros: ours304 * 1e6,
        nginxOkMicros: theirs200 * 1e6,
        nginxNotModifiedMicros: theirs304 * 1e6,
      }
    })
  } finally {
    await nginx.stop()
    await panel.stop()
  }
}

async function downloads(): Promise<Record<string, number>> {
  const data = join(folder, 'data')
  const size = 50_000_000
  const embedded = await startWith(data, {'1.4.2': size})
  const copy = join(folder, 'copy')
  cpSync(data, copy, {recursive: true})
  const behind = await startPanelProcess({
    data: copy,
    isUnlimited: true,
    accel: '/blobs',
    licenses: 1,
  })
  const [artifact] = (
    (await (
      await fetch(`${embedded.url}/update/manifest.json`, {headers: auth(embedded)})
    ).json()) as {
      artifacts: {url: string; sha256: string}[]
    }
  ).artifacts
  const {url = '', sha256 = ''} = artifact ?? {}
  const upstream = `upstream panel { server ${new URL(behind.url).host}; keepalive 32; }`
  const nginx = await startNginx(
    `${forEver} ${upstream}`,
    `location /blobs/ { internal; alias "${copy}/blobs/"; }
     location /static/ { alias "${copy}/blobs/"; }
     location /download/ { proxy_pass http://panel; proxy_http_version 1.1; proxy_set_header Connection ""; }`,
  )
  const plain = `${nginx.url}/static/sha256/${sha256.slice(0, 2)}/${sha256}`
  const ask = (pids: readonly number[], address: string, headers: Record<string, string>): number =>
    cost(pids, perByte, () => wrk(folder, address, {connections: 8, secs: 3, headers}))
  // thousands of requests for one byte: a panel that serves a fleet is warm
  for (const [address, headers] of [
    [plain, {}],
    [nginx.url + url, auth(behind)],
    [embedded.url + url, auth(embedded)],
  ] as const)
    wrk(folder, address, {connections: 8, secs: 3, headers: {...headers, range: 'bytes=0-0'}})
  try {
    return medians(() => {
      const theirs = ask([nginx.pid], plain, {})
      const accel = ask([nginx.pid, behind.pid], nginx.url + url, auth(behind))
      const own = ask([embedded.pid], embedded.url + url, auth(embedded))
      return {accel: theirs / accel, embedded: theirs / own, nginxMbPerCpuSec: 1 / theirs / 1e6}
    })
  } finally {
    await nginx.stop()
    await behind.stop()
    await embedded.stop()
  }
}

const figures = what === 'manifest' ? await manifest() : await downloads()
process.stdout.write(`${JSON.stringify(figures)}\n`)
