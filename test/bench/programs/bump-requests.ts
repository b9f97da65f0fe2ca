import {execFile} from 'node:child_process'
import {mkdirSync, readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {gitEnv, sampleRepository} from '../../support/bump/repository.ts'
import {startFakeGitHub} from '../../support/github/fake-github.ts'
import {syntheticTraefik, traefikChangelog} from '../../support/github/upstream-releases.ts'

/**
 * Plans a bump of Traefik twice, by the playbook of this project and the installed rel, against an
 * imitation of GitHub with Traefik's real names, and prints what it was asked for.
 */
const root = join(import.meta.dirname, '../../..')
const versions = ['v3.3.4', 'v3.3.5']
const upstream = 'traefik/traefik'
const github = await startFakeGitHub({
  repositories: [
    {
      name: upstream,
      files: {'CHANGELOG.md': traefikChangelog},
      tags: versions,
      releases: await Promise.all(versions.map((version) => syntheticTraefik(version))),
    },
  ],
})
const {url, webUrl} = github
const playbook = readFileSync(join(root, 'playbooks/traefik.yaml'), 'utf8').replace(
  `  repository: ${upstream}\n`,
  (line) => `${line}  api_url: ${url}\n  web_url: ${webUrl}\n`,
)
rmSync('bump', {recursive: true, force: true})
mkdirSync('bump')
const repository = sampleRepository(
  {'agent/Makefile': 'TRAEFIK_VERSION := v3.3.4\n', 'playbooks/traefik.yaml': playbook},
  join(process.cwd(), 'bump'),
)

async function plan(): Promise<{apiCalls: number; assetBytes: number}> {
  const before = github.requests.length
  await promisify(execFile)(
    join(process.cwd(), 'installed/rel'),
    ['bump', 'plan', 'traefik', 'NEW=v3.3.5'],
    {
      cwd: repository.root,
      env: {
        ...gitEnv,
        REL_NODE: process.execPath,
        XDG_CACHE_HOME: join(process.cwd(), 'bump/cache'),
      },
    },
  )
  const seen = github.requests.slice(before)
  return {
    apiCalls: seen.filter(({kind}) => kind === 'api').length,
    assetBytes: seen.filter(({kind}) => kind === 'asset').reduce((sum, {bytes}) => sum + bytes, 0),
  }
}

const cold = await plan()
const warm = await plan()
await github.close()
if (cold.assetBytes === 0) throw new Error('the first plan downloaded nothing')
process.stdout.write(`${JSON.stringify({cold, warm})}\n`)
process.exit(0)
