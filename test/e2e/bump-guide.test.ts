import {chmodSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {builtPackage, checkout} from '../support/built.ts'
import {gitEnv, sampleRepository} from '../support/bump/repository.ts'
import {printingProgram} from '../support/elf-program.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import {
  sums,
  syntheticTraefik,
  tarGz,
  traefikChangelog,
} from '../support/github/upstream-releases.ts'
import {run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// docs/guides/bump.md, typed as it stands. GitHub is an imitation, and the program of Traefik a
// small one of the same form.

const guide = readFileSync(join(checkout, 'docs/guides/bump.md'), 'utf8')
const [, section = ''] = guide.split(/^## /m)
const blocks = [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text)

async function withReleases(use: (fake: FakeGitHub) => Promise<void>): Promise<void> {
  const versions = ['v3.3.4', 'v3.3.5']
  const fake = await startFakeGitHub({
    repositories: [
      {
        name: 'traefik/traefik',
        files: {'CHANGELOG.md': traefikChangelog},
        tags: versions,
        releases: await Promise.all(versions.map((version) => syntheticTraefik(version))),
      },
    ],
  })
  try {
    for (const version of versions) {
      const bytes = await tarGz([['traefik', printingProgram('amd64', `${version}\n`)]])
      const name = `traefik_${version}_linux_amd64.tar.gz`
      fake.releases.replaceAsset('traefik/traefik', version, {name, bytes, digest: null})
      const file = `traefik_${version}_checksums.txt`
      fake.releases.replaceAsset('traefik/traefik', version, {
        name: file,
        bytes: sums({[name]: bytes}),
        digest: null,
      })
    }
    await use(fake)
  } finally {
    await fake.close()
  }
}

/** A folder with `rel`, whose new playbooks name the imitation in place of GitHub. */
async function commandFolder({url, webUrl}: FakeGitHub): Promise<string> {
  const folder = temporaryFolder()
  const program = join(await builtPackage(), 'bin', 'rel')
  const lines = [
    '#!/bin/sh',
    `[ "$1 $2" = 'bump new' ] && set -- "$@" --upstream api_url=${url} --upstream web_url=${webUrl}`,
    `exec '${program}' "$@"`,
  ]
  writeFileSync(join(folder, 'rel'), `${lines.join('\n')}\n`)
  chmodSync(join(folder, 'rel'), 0o755)
  return folder
}

test('the guide leads from a pin to a rollback, as it stands', () =>
  withReleases(async (fake) => {
    assert.ok(blocks.length >= 6, 'docs/guides/bump.md has its blocks')
    const repository = sampleRepository({'README.md': 'a fleet\n'})
    const {PATH, HOME: _, ...identity} = gitEnv
    const env = {
      ...identity,
      PATH: `${await commandFolder(fake)}:${PATH}`,
      XDG_CACHE_HOME: temporaryFolder(),
    }
    for (const block of blocks) {
      const ran = await run('sh', ['-euc', block], {cwd: repository.root, env, patienceSecs: 300})
      assert.is(ran.code, 0, `${block}\n${ran.stdout}${ran.stderr}`)
    }
    const {git} = repository
    assert.is(git('status', '--porcelain'), '')
    assert.match(repository.read('agent/Makefile'), /^TRAEFIK_VERSION := v3\.3\.5$/m)
    assert.match(readFileSync(join(repository.root, 'agent/dist/traefik')).toString(), 'v3.3.5\n')
    const back = git('show', 'origin/bump/traefik-v3.3.4:agent/Makefile')
    assert.match(back, /^TRAEFIK_VERSION := v3\.3\.4$/m)
    assert.ok(git('ls-files', 'playbooks').includes('playbook.schema.json'), 'editors have it')
  }))

test.run()
