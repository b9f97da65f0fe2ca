import {RelError} from '../../system/error.ts'
import type {Http} from '../../system/http.ts'
import type {JsonObject} from '../../system/json.ts'
import {checksumLimits, parseChecksums} from '../checksums.ts'
import {fillVersion} from '../orders.ts'
import type {GitHubReleaseConfig} from './config.ts'
import {readLock} from './lock.ts'
import type {SecondOpinion} from './verify-asset.ts'
import {orderOf} from './wanted.ts'

/**
 * What another origin knows of a file: an earlier audit, or the checksums of another host.
 * Undefined when it knows nothing. Refuses with usage_invalid when the host is the first one.
 */
export async function secondOpinion(
  config: GitHubReleaseConfig,
  http: Http,
  earlier: JsonObject | undefined,
  version: string,
  name: string,
): Promise<SecondOpinion | undefined> {
  const known = readLock(earlier)?.assets.find((asset) => asset.name === name)
  if (known !== undefined) return {by: 'an earlier audit', sha256: known.sha256}
  if (config.second_origin === undefined) return undefined
  const filled = fillVersion(config.second_origin.url, orderOf(config), version)
  const url = new URL(filled.replace('{name}', name).replaceAll('+', '%2B'))
  const first = [config.web_url, config.api_url].map((base) => new URL(base).host)
  if (first.includes(url.host))
    throw new RelError('usage_invalid', `second_origin is on ${url.host}, which is the first`)
  const answer = await http.send({url: url.href, maxBytes: checksumLimits.bytes})
  if (answer.status !== 200) return undefined
  const line = parseChecksums(answer.body, name).find((one) => one.name === name)
  return line === undefined ? undefined : {by: url.host, sha256: line.sha256}
}
