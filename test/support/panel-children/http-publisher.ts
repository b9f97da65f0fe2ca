import {once} from 'node:events'
import {clientOf, draft, flip, makeRelease} from '../panel.ts'

/** What one publisher of a race saw over HTTP; printed as JSON. */
export type HttpRaceResult = {
  /** Digests of the manifests that it published, by version. */
  readonly won: Readonly<Record<string, string>>
  /** Versions refused with 409 and a list of what differs. */
  readonly lost: readonly string[]
  /** Everything else, which should be nothing. */
  readonly others: readonly string[]
}

/** `http-publisher.ts URL TOKEN NAME COUNT`: wants to publish 1.0.0 to 1.0.COUNT-1 with its own bytes. */
async function main(url: string, token: string, name: string, count: number): Promise<void> {
  const client = clientOf(url, token)
  const releases = []
  for (let patch = 0; patch < count; patch++)
    releases.push(await makeRelease({version: `1.0.${patch}`, seed: name}))
  process.stdout.write('ready\n')
  await once(process.stdin, 'data')
  const won: Record<string, string> = {}
  const [lost, others]: [string[], string[]] = [[], []]
  for (const release of releases) {
    const {version} = release.file.release
    const path = '/v1/products/agent/releases'
    const drafted = await client.ask('POST', path, {body: release.text})
    const {fields = []} = (drafted.json.details ?? {}) as {fields?: {field: string}[]}
    if (drafted.status === 409) {
      const isTold = drafted.json.code === 'release_conflict' && fields.length > 0
      if (isTold) lost.push(version)
      else others.push(`${version} ${drafted.json.code}`)
      continue
    }
    try {
      await draft(client, release)
      const {status, json} = await flip(client, release)
      if (status === 200) won[version] = release.file.digest
      else others.push(`${version} ${status} ${json.code}`)
    } catch (error) {
      others.push(`${version} ${error}`)
    }
  }
  process.stdout.write(`${JSON.stringify({won, lost, others} satisfies HttpRaceResult)}\n`)
  process.stdin.destroy()
}

const [url = '', token = '', name = '', count = ''] = process.argv.slice(2)
await main(url, token, name, Number(count))
