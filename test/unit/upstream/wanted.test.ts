import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {githubReleaseSchema} from '../../../src/upstream/github-release/config.ts'
import type {Release} from '../../../src/upstream/github-release/release.ts'
import {pickAssets} from '../../../src/upstream/github-release/wanted.ts'
import {rejectsCode} from '../../support/rejects.ts'

function releaseOf(names: readonly string[]): Release {
  const assets = names.map((name, index) => ({
    id: index + 1,
    name,
    size: 1,
    state: 'uploaded',
    digest: null,
    updated_at: '2025-03-31T12:00:00Z',
  }))
  const facts = {tag_name: 'v1.2.3', published_at: '2025-03-31T12:00:00Z', assets}
  return facts as unknown as Release
}

const systems = ['amd64', 'arm64', 'armv7', '386', 'riscv64'].map(
  (arch) => `tool_linux_${arch}.tgz`,
)

/** The name that is wanted, what the release has, and the names that are shown, nearest first. */
const cases: readonly (readonly [wanted: string, there: readonly string[], shown: string[]])[] = [
  ['tool_linux_aarch64.tgz', systems, ['tool_linux_arm64.tgz']],
  ['tool_linux_x86_64.tgz', systems, ['tool_linux_amd64.tgz']],
  ['tool-linux-x86-64.tgz', systems, ['tool_linux_amd64.tgz']],
  ['tool_linux_i686.tgz', systems, ['tool_linux_386.tgz']],
  ['tool_linux_armhf.tgz', systems, ['tool_linux_armv7.tgz']],
  [
    'tool_linux_arm64.tgz',
    ['tool-Linux-aarch64.tgz', 'tool-Linux-x64.tgz'],
    ['tool-Linux-aarch64.tgz'],
  ],
  ['tool_linux_arm64.tgz', ['tool_linux_arm64.tar.gz'], ['tool_linux_arm64.tar.gz']],
  ['tool_linux_arm64.tgz', ['something.else'], []],
]

for (const [wanted, there, shown] of cases)
  test(`${wanted} is missing from ${there.length} files: ${shown.join(', ') || 'none'} is near`, async () => {
    const config = githubReleaseSchema.parse({
      kind: 'github_release',
      repository: 'acme/tool',
      assets: [{arch: 'arm64', name: wanted}],
    })
    const later = Date.UTC(2026, 0, 1) / 1000
    const refusal = await rejectsCode(
      async () => pickAssets(config, 'v1.2.3', releaseOf(there), later),
      'asset_missing',
    )
    assert.equal(refusal.details, {missing: [wanted], nearest: shown})
  })

test.run()
