import {spawnSync} from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parsePlaybook} from '../../../src/bump/playbook-parse.ts'
import {vendor} from '../../../src/bump/vendor.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {traefikPlaybook} from '../../support/bump/sample.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

/** Vendors by a script whose child leaves its session; what it left, and the log. */
async function vendoredLeaving(secs: number) {
  const root = temporaryFolder()
  const folder = join(root, 'tree')
  const log = join(root, 'evidence/vendor.log')
  mkdirSync(folder)
  const body = `mkfifo away; setsid sh -c "echo >away; exec sleep ${secs}" & read line <away; echo v3 >out`
  const playbook = {
    ...parsePlaybook(traefikPlaybook, 't.yaml'),
    vendor: {run: [['sh', '-c', body]], artifacts: ['out'], timeout_secs: 60},
  }
  const [artifact] = await vendor({playbook, folder, version: 'v3.3.5', assets: [], log})
  assert.is(artifact?.path, 'out')
  const {stdout} = spawnSync('/usr/bin/ps', ['-eo', 'pid=,args='], {encoding: 'utf8'})
  const left = new RegExp(`^ *(\\d+) sleep ${secs}$`, 'm').exec(stdout)?.[1]
  if (left !== undefined) process.kill(Number(left))
  return {left, log: readFileSync(log, 'utf8')}
}

test('what leaves the session of a vendoring command ends with it', async () => {
  assert.is((await vendoredLeaving(983)).left, undefined)
})

test('without namespaces it ends all the same, and the log says what may not', async () => {
  const tools = temporaryFolder()
  for (const name of readdirSync('/usr/bin'))
    if (name !== 'unshare') symlinkSync(join('/usr/bin', name), join(tools, name))
  const {PATH} = process.env
  process.env.PATH = tools
  try {
    const {left, log} = await vendoredLeaving(982)
    assert.is(left, undefined)
    assert.match(log, /and hid could go on/)
  } finally {
    process.env.PATH = PATH
  }
})

const changes: readonly [string, (path: string) => void][] = [
  ['changed', (path) => writeFileSync(path, 'other bytes')],
  ['removed', (path) => rmSync(path)],
  [
    'replaced by a link to the same bytes',
    (path) => {
      renameSync(path, `${path}.old`)
      symlinkSync(`${path}.old`, path)
    },
  ],
]
for (const [name, change] of changes)
  test(`a verified file that was ${name} since is asset_changed, and nothing is run`, async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'asset')
    writeFileSync(path, 'bytes')
    const sha256 = sha256Hex('bytes')
    const asset = {name: 'a', arch: 'amd64', path, sha256, size: 5, level: 'L1'} as const
    const playbook = {
      ...parsePlaybook(traefikPlaybook, 't.yaml'),
      vendor: {run: [['cp', path, 'out']], artifacts: ['out'], timeout_secs: 60},
    }
    const log = join(folder, 'evidence/vendor.log')
    const vendoring = {playbook, folder, version: 'v3.3.5', assets: [asset], log}
    assert.equal(await vendor(vendoring), [{path: 'out', sha256}])
    rmSync(join(folder, 'out'))
    change(path)
    await rejectsCode(() => vendor(vendoring), 'asset_changed')
    assert.not.ok(existsSync(join(folder, 'out')))
  })

test.run()
