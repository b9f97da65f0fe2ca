import {chmodSync, lstatSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import {checkFolder, checkOwned} from '../../../src/device/owned.ts'
import {throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const cases: readonly [string, above: number, own: number, isGood: boolean][] = [
  ['of its owner alone', 0o755, 0o755, true],
  ['its group can write', 0o755, 0o775, false],
  ['all can write', 0o755, 0o757, false],
  ['all can write, though it is sticky', 0o755, 0o1777, false],
  ['below one in which a group can write', 0o775, 0o755, false],
  ['below one in which all can write', 0o757, 0o755, false],
  ['below a sticky one, such as /tmp', 0o1777, 0o755, true],
]

for (const [name, above, own, isGood] of cases)
  test(`a folder ${isGood ? 'is taken' : 'is refused'}: ${name}`, () => {
    const outer = join(temporaryFolder(), 'above')
    const folder = join(outer, 'node')
    mkdirSync(folder, {recursive: true})
    chmodSync(folder, own)
    chmodSync(outer, above)
    if (isGood) checkFolder(folder)
    else throwsCode(() => checkFolder(folder), 'upgrade_layout_invalid')
    if (isGood || above !== 0o755) checkOwned('node', lstatSync(folder))
    else throwsCode(() => checkOwned('node', lstatSync(folder)), 'upgrade_layout_invalid')
  })

test.run()
