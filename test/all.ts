import {spawnSync} from 'node:child_process'
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {setUpDebian, setupLine, TEST_PACKAGES} from '../scripts/setup-debian.ts'

/** Everything a fresh machine can run, in one go: what `npm test` calls. */
const kinds = ['unit', 'vectors', 'cli', 'faults', 'e2e', 'boot']
const root = join(import.meta.dirname, '..')

process.stdout.write(`${setupLine(setUpDebian(TEST_PACKAGES))}\n`)
const folders = kinds
  .map((kind) => join('test', kind))
  .filter((path) => existsSync(join(root, path)))
const {status} = spawnSync(process.execPath, ['test/run.ts', ...folders], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
})
process.exitCode = status ?? 1
