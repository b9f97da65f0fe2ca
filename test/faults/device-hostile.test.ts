import {chmodSync, chownSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import {readConfig} from '../../src/device/device.ts'
import {makeRoot} from '../../src/device/init.ts'
import {makeNode, makeSources} from '../support/device/node.ts'
import {needsThat} from '../support/needs.ts'
import {throwsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

// Each test is an attack that went through once: what somebody does to whom `rel device` obeys.

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')

const isRoot = process.getuid?.() === 0
const OTHER = 12345

const takeovers: readonly [string, (root: string) => void][] = [
  ['device.json that all can write', (root) => chmodSync(join(root, 'device.json'), 0o666)],
  ['an anchor that a group can write', (root) => chmodSync(join(root, 'trust_anchor.json'), 0o664)],
  ['a root that all can write', (root) => chmodSync(root, 0o777)],
  ['a folder above that all can write', (root) => chmodSync(join(root, '..'), 0o777)],
]

for (const [name, change] of takeovers)
  test(`a node that others can change is not opened: ${name}`, async () => {
    const {root} = await makeNode(sources)
    readConfig(root)
    change(root)
    throwsCode(() => readConfig(root), 'upgrade_layout_invalid')
  })

const owned = ['', '..', '.rel', 'versions', 'device.json', 'trust_anchor.json']

if (needsThat('root', isRoot, 'changing an owner takes root'))
  for (const name of owned)
    test(`rel as root obeys no node of another user: ${name || 'the root'}`, async () => {
      const {root} = await makeNode(sources)
      chownSync(join(root, name), OTHER, OTHER)
      throwsCode(() => readConfig(root), 'upgrade_layout_invalid')
    })

test('no node is made where others could exchange it', () => {
  const folder = join(temporaryFolder(), 'open')
  mkdirSync(folder)
  chmodSync(folder, 0o777)
  throwsCode(() => makeRoot(join(folder, 'node')), 'upgrade_layout_invalid')
})

test.run()
