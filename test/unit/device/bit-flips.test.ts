import {randomInt} from 'node:crypto'
import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {applyPack, planPack} from '../../../src/bundle/archive/pack.ts'
import {apply} from '../../../src/device/apply.ts'
import {trustedNow} from '../../../src/device/clock-mark.ts'
import {licenseOf} from '../../../src/device/license-gate.ts'
import {writeSealed} from '../../../src/device/sealed-file.ts'
import {loadSeen} from '../../../src/device/seen.ts'
import {stage} from '../../../src/device/stage.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {RelError} from '../../../src/system/error.ts'
import {randomOf} from '../../support/device/hostile-answers.ts'
import {makeNode, makeSources, plain} from '../../support/device/node.ts'
import {licenseText, nodeAnchor, panelNode} from '../../support/device/panel-node.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const seed = Number(process.env.REL_TEST_SEED ?? randomInt(2 ** 31))
const random = randomOf(seed)
const sources = await makeSources('1.0.0', '1.1.0')

/** The bytes with one bit of them changed, and which. */
function flipped(bytes: Buffer): {readonly bytes: Buffer; readonly what: string} {
  const [at, bit] = [random(bytes.length), random(8)]
  const changed = Buffer.from(bytes)
  changed[at] = (changed[at] as number) ^ (1 << bit)
  return {bytes: changed, what: `byte ${at} bit ${bit} of REL_TEST_SEED=${seed}`}
}

const recordsOf = (root: string) =>
  ['.rel/state.json', '.rel/floor.json'].map((name) => readFileSync(join(root, name), 'utf8'))

for (const format of ['tar', 'tar.gz', 'tar.zst'] as const)
  test(`a bit of a ${format} that flips is found, or changes nothing that is installed`, async () => {
    const folder = temporaryFolder()
    const output = join(folder, `app.${format}`)
    await applyPack(planPack({directory: sources.of('1.1.0'), output, format, replace: false}))
    const whole = readFileSync(output)
    let device = await makeNode(sources)
    let refused = 0
    for (let round = 0; round < 70; round++) {
      const {bytes, what} = flipped(whole)
      const path = join(folder, `flipped.${format}`)
      writeFileSync(path, bytes)
      const before = recordsOf(device.root)
      try {
        await stage(device, path, plain)
      } catch (error) {
        assert.ok(error instanceof RelError, `${what}: ${error}`)
        assert.match(error.code, /^upgrade_(?:checksum_mismatch|signature_invalid)$/, what)
        assert.equal(recordsOf(device.root), before, what)
        assert.equal(readdirSync(join(device.root, 'versions')), ['1.0.0'], what)
        refused++
        continue
      }
      await apply(device, plain)
      await verifyDevice(device)
      device = await makeNode(sources)
    }
    assert.ok(refused > 40, `${refused} of 70 were refused`)
  })

test('a bit of the licence that flips makes it none', async () => {
  const text = Buffer.from(await licenseText())
  const terms = {url: 'http://127.0.0.1:9', anchor: await nodeAnchor()}
  const node = await panelNode({...terms, license: text.toString()})
  const genuine = JSON.stringify(licenseOf(node))
  let refused = 0
  for (let round = 0; round < 200; round++) {
    const {bytes, what} = flipped(text)
    writeFileSync(join(node.root, 'license'), bytes)
    try {
      // white space at the ends is nobody's business
      assert.is(JSON.stringify(licenseOf(node)), genuine, what)
    } catch (error) {
      assert.ok(error instanceof RelError, `${what}: ${error}`)
      assert.is(error.code, 'upgrade_license_invalid', what)
      refused++
    }
  }
  assert.ok(refused > 190, `${refused} of 200 were refused`)
})

test('a bit of what the node remembers that flips is found before it is used', async () => {
  const license = (await licenseText()).toString()
  const terms = {url: 'http://127.0.0.1:9', anchor: await nodeAnchor(), license}
  const node = await panelNode(terms)
  const readers = [
    ['.rel/clock.json', {schema: 1, latest: 1_700_000_000}, () => trustedNow(node)],
    ['.rel/seen.json', {schema: 1}, () => loadSeen(node.root, terms.url)],
  ] as const
  for (const [path, value, read] of readers) {
    writeSealed(node.world.fs, path, value)
    const whole = readFileSync(join(node.root, path))
    for (let round = 0; round < 100; round++) {
      const {bytes, what} = flipped(whole)
      writeFileSync(join(node.root, path), bytes)
      let code: string | undefined
      try {
        read()
      } catch (error) {
        code = error instanceof RelError ? error.code : String(error)
      }
      assert.is(code, 'upgrade_state_corrupt', `${path}: ${what}`)
    }
  }
})

test.run()
