import {createHash, type KeyObject, verify} from 'node:crypto'
import {existsSync, readFileSync, renameSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import semver from 'semver'

/**
 * An agent as D0 describes it, written for the tests of the panel from that document alone: it polls
 * the manifest, compares by semantic version, downloads its component for its architecture, checks
 * SHA-256 and the detached signature with a key that it was built with, renames, and raises its
 * floor. It imports nothing of rel.
 */
export type D0Agent = {
  readonly server: string
  readonly license: string
  /** Publisher keys by key id, compiled in. */
  readonly keys: ReadonlyMap<string, KeyObject>
  readonly component: string
  readonly arch: string
  /** Holds `agent`, `version` (the floor) and the last entity tag. */
  readonly folder: string
}

export type D0Outcome =
  | {readonly did: 'updated'; readonly version: string}
  | {readonly did: 'nothing'; readonly why: 'not_modified' | 'not_newer' | 'not_for_us'}
  | {readonly did: 'refused'; readonly status: number; readonly code: string}

type Advertised = {
  readonly artifacts: readonly {
    readonly component: string
    readonly arch: string
    readonly version: string
    readonly url: string
    readonly sha256: string
    readonly signature: string
    readonly key_id: string
  }[]
}

/** One tick of the poll loop; throws when what was downloaded is not what was advertised. */
export async function tick(agent: D0Agent): Promise<D0Outcome> {
  const {server, license, keys, component, arch, folder} = agent
  const authorization = `Bearer ${license}`
  const [tagFile, floorFile] = [join(folder, 'etag'), join(folder, 'version')]
  const tag = existsSync(tagFile) ? {'if-none-match': readFileSync(tagFile, 'utf8')} : {}
  const polled = await fetch(`${server}/update/manifest.json`, {headers: {authorization, ...tag}})
  if (polled.status === 304) return {did: 'nothing', why: 'not_modified'}
  if (polled.status !== 200) return refusal(polled)
  const {artifacts} = (await polled.json()) as Advertised
  const ours = artifacts.find((each) => each.component === component && each.arch === arch)
  if (ours === undefined) return {did: 'nothing', why: 'not_for_us'}
  const floor = existsSync(floorFile) ? readFileSync(floorFile, 'utf8') : '0.0.0'
  if (!semver.gt(ours.version, floor)) return {did: 'nothing', why: 'not_newer'}
  const got = await fetch(new URL(ours.url, server), {headers: {authorization}})
  if (got.status !== 200) return refusal(got)
  const bytes = Buffer.from(await got.arrayBuffer())
  if (createHash('sha256').update(bytes).digest('hex') !== ours.sha256)
    throw new Error('the download is not what the manifest says')
  const key = keys.get(ours.key_id)
  if (key === undefined || !verify(null, bytes, key, Buffer.from(ours.signature, 'base64')))
    throw new Error('the download is not signed by a publisher')
  writeFileSync(join(folder, 'agent.new'), bytes, {mode: 0o755})
  renameSync(join(folder, 'agent.new'), join(folder, 'agent'))
  writeFileSync(floorFile, ours.version)
  writeFileSync(tagFile, polled.headers.get('etag') ?? '')
  return {did: 'updated', version: ours.version}
}

async function refusal(answer: Response): Promise<D0Outcome> {
  const {code = ''} = (await answer.json()) as {code?: string}
  return {did: 'refused', status: answer.status, code}
}
