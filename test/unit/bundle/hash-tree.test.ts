import {spawnSync} from 'node:child_process'
import {chmodSync, linkSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  checkComplete,
  digestAt,
  type FileTable,
  fileStates,
  makeFileTable,
  takeNext,
} from '../../../src/bundle/file-table.ts'
import {hashFiles} from '../../../src/bundle/hash-tree.ts'
import {verifyBundle} from '../../../src/bundle/verify.ts'
import {RelError} from '../../../src/system/error.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {makeTree, policyOf, signTree, testSigner} from '../../support/bundles.ts'
import {throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

/** Enough files for the second thread to start at once. */
const MANY = 2500
const paths = Array.from({length: MANY}, (_, at) => `d${at % 7}/é-${String(at).padStart(4, '0')}`)
const contentOf = (path: string) => `content of ${path}`
const bigTree = () => makeTree(Object.fromEntries(paths.map((path) => [path, contentOf(path)])))

function tableOf(limit = 20): FileTable {
  return makeFileTable(MANY, {compares: false, settles: false, limit})
}

function checkDigests(table: FileTable): void {
  checkComplete(table)
  const wrong = paths.filter((path, at) => digestAt(table, at) !== sha256Hex(contentOf(path)))
  assert.equal(wrong, [])
}

test('two threads hash every file of a large tree into its own row', async () => {
  const table = tableOf()
  const seen: number[] = []
  await hashFiles(bigTree(), paths, table, ({done}) => seen.push(done))
  checkDigests(table)
  assert.is(seen[0], 0, 'progress is told from the beginning')
})

test('what a thread took and did not finish is done by the main thread', async () => {
  const table = tableOf()
  while (takeNext(table) !== undefined);
  await hashFiles(bigTree(), paths, table)
  checkDigests(table)
})

test('reading ends after as many bad files as are told', async () => {
  const table = tableOf(3)
  const root = temporaryFolder()
  await hashFiles(root, paths, table)
  const absent = table.states.filter((state) => state === fileStates.absent).length
  assert.ok(absent >= 3 && absent < 10, `${absent} files were looked for`)
  throwsCode(() => checkComplete(table), 'internal_error')
})

test('a row that nobody has filled never passes', () => {
  throwsCode(() => checkComplete(tableOf()), 'internal_error')
})

const damages: readonly [name: string, at: number, apply: (path: string) => void, code: string][] =
  [
    [
      'other content',
      2,
      (path) => writeFileSync(path, 'Content of d2/é-0002'),
      'file_digest_mismatch',
    ],
    ['longer', 777, (path) => writeFileSync(path, 'longer than before'.repeat(9)), 'size_mismatch'],
    ['missing', 1250, (path) => rmSync(path), 'file_absent'],
    ['mode', 1251, (path) => chmodSync(path, 0o600), 'mode_mismatch'],
    ['hard link', 1900, (path) => linkSync(path, join(temporaryFolder(), 'x')), 'file_hardlinked'],
    ['link', 2499, replaceByLink, 'file_not_regular'],
  ]

function replaceByLink(path: string): void {
  rmSync(path)
  symlinkSync('é-0000', path)
}

test('every kind of damage is found in a large tree, whichever thread reads it', async () => {
  const root = bigTree()
  await signTree(root, {unicodePaths: true})
  const pass = await verifyBundle(root, policyOf([testSigner().publicKey]))
  assert.is(pass.fileCount, MANY)
  for (const [, at, apply] of damages) apply(join(root, paths[at] as string))
  try {
    await verifyBundle(root, policyOf([testSigner().publicKey]))
    assert.unreachable('a damaged tree passed')
  } catch (error) {
    assert.instance(error, RelError)
    const {differences} = (error as RelError).details as {differences: {code: string}[]}
    const codes = differences.map(({code}) => code).sort()
    const wanted = damages.map(([, , , code]) => code)
    assert.equal(codes, wanted.sort())
  }
})

test('where no thread may be started, one does it all', async () => {
  const root = bigTree()
  await signTree(root, {unicodePaths: true})
  const key = join(temporaryFolder(), 'test.pub')
  writeFileSync(key, testSigner().publicKey.raw)
  const rights = ['--permission', '--allow-fs-read=*', '--allow-fs-write=*']
  const dev = join(import.meta.dirname, '../../../bin/dev.ts')
  const args = [dev, 'verify', root, '--public-key', key, '--json']
  const run = spawnSync(process.execPath, [...rights, ...args], {encoding: 'utf8'})
  assert.is(run.status, 0, run.stderr + run.stdout)
  assert.is(JSON.parse(run.stdout).result.files, MANY)
})

test.run()
