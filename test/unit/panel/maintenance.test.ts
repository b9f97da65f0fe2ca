import {spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {DatabaseSync} from 'node:sqlite'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {BlobStore, UploadStore} from '../../../src/panel/blobs/blobs.ts'
import {openFileBlobs} from '../../../src/panel/blobs/files.ts'
import {backUpPanel, restorePanel, verifyBackup} from '../../../src/panel/maintenance/backup.ts'
import {collectGarbage} from '../../../src/panel/maintenance/gc.ts'
import {exportMirror, importMirror} from '../../../src/panel/maintenance/mirror.ts'
import {verifyPanel} from '../../../src/panel/maintenance/verify.ts'
import {openSqliteStore} from '../../../src/panel/store/sqlite.ts'
import type {PanelStore} from '../../../src/panel/store/store.ts'
import {releaseText} from '../../../src/release/release-manifest.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {signedAnchor, testAnchor, testNow, testSigner} from '../../support/anchors.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {testBytes, testRelease} from '../../support/releases.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {inPieces, listed} from './blobs-conformance.ts'
import {by} from './store-conformance.ts'

type TestPanel = {
  readonly folder: string
  readonly store: PanelStore
  readonly blobs: BlobStore
  readonly uploads: UploadStore
}

const opened: PanelStore[] = []

async function panel(folder = temporaryFolder('rel panel-')): Promise<TestPanel> {
  const store = await openSqliteStore({path: join(folder, 'panel.db'), now: () => testNow})
  opened.push(store)
  return {folder, store, ...(await openFileBlobs({folder}))}
}

test.after(async () => {
  for (const store of opened) await store.close()
})

const anchor = testAnchor(
  {role: 'root', keys: ['root']},
  {role: 'manifest', keys: ['manifest']},
  {role: 'artifact', keys: ['artifact']},
)

/** Publishes a signed release with its bytes. */
async function publish(
  {store, blobs}: TestPanel,
  version: string,
  sigstore?: string,
): Promise<readonly string[]> {
  const file = await testRelease({version})
  const {product, channel, artifacts} = file.release
  await store.addProduct(product, by)
  const text = (await signedAnchor(anchor, 'root')).toString()
  await store.setProduct(product, {anchor: text}, by)
  for (const artifact of artifacts) {
    const bytes = testBytes(artifact.name, version)
    await blobs.put(artifact.sha256, artifact.size, inPieces(bytes))
  }
  const {digest} = file
  const envelope = releaseText(file)
  await store.addDraft({product, version, channel, digest, envelope, artifacts}, by)
  if (sigstore !== undefined) await store.setSigstore(product, version, {sigstore, digest}, by)
  await store.publish(product, version, {digest, matrixVersion: 1}, by)
  return artifacts.map(({sha256}) => sha256)
}

function pathOf({folder}: TestPanel, sha256: string): string {
  return join(folder, 'blobs', 'sha256', sha256.slice(0, 2), sha256)
}

const hourAgo = Date.now() / 1000 - 3600

async function putOld(tested: TestPanel, text: string): Promise<string> {
  const sha256 = sha256Hex(text)
  await tested.blobs.put(sha256, text.length, inPieces(Buffer.from(text)))
  utimesSync(pathOf(tested, sha256), hourAgo, hourAgo)
  return sha256
}

const grace = {graceSecs: 600, now: Math.floor(Date.now() / 1000)}

test('gc removes what nothing names and nobody is at', async () => {
  const tested = await panel()
  const kept = await publish(tested, '1.4.2')
  for (const sha256 of kept) utimesSync(pathOf(tested, sha256), hourAgo, hourAgo)
  const old = await putOld(tested, 'old')
  const young = sha256Hex('young')
  await tested.blobs.put(young, 5, inPieces(Buffer.from('young')))
  const uploading = await putOld(tested, 'uploading')
  const row = {sha256: uploading, size: 9, owner: 'x', created: 1, expires: grace.now + 600}
  await tested.store.addUpload({id: 'U1', ...row})
  await tested.uploads.create({id: 'U1', size: 9})
  await tested.store.addUpload({id: 'U2', ...row, sha256: young, expires: grace.now - 1})
  await tested.uploads.create({id: 'U2', size: 5})
  writeFileSync(join(tested.folder, 'blobs', 'tmp', 'orphan'), '')
  utimesSync(join(tested.folder, 'blobs', 'tmp', 'orphan'), hourAgo, hourAgo)

  const dry = await collectGarbage(tested, {...grace, isDryRun: true})
  assert.equal(dry, {blobs: 1, bytes: 3, uploads: 1, orphans: 0})
  assert.is((await listed(tested.blobs)).length, kept.length + 3)

  const report = await collectGarbage(tested, grace)
  assert.equal(report, {blobs: 1, bytes: 3, uploads: 1, orphans: 1})
  assert.equal(await listed(tested.blobs), [...kept, young, uploading].sort())
  assert.is(await tested.blobs.stat(old), undefined)
  assert.is(await tested.uploads.offset('U1'), 0)
  assert.is(await tested.uploads.offset('U2'), undefined)
  assert.equal(await collectGarbage(tested, grace), {blobs: 0, bytes: 0, uploads: 0, orphans: 0})
})

test('gc keeps a blob that is put again or drafted while it runs', async () => {
  const tested = await panel()
  const again = await putOld(tested, 'again')
  const drafted = await putOld(tested, 'drafted')
  const file = await testRelease({version: '1.4.2'})
  const {product, channel, version} = file.release
  await tested.store.addProduct(product, by)
  const artifacts = file.release.artifacts.map((artifact) => ({...artifact, sha256: drafted}))
  const between: PanelStore = {
    ...tested.store,
    unlessLive: async (sha256, remove) => {
      if (sha256 === again) await tested.blobs.put(again, 5, inPieces(Buffer.from('again')))
      else {
        const draft = {product, version, channel, digest: file.digest, envelope: '', artifacts}
        await tested.store.addDraft(draft, by)
      }
      return tested.store.unlessLive(sha256, remove)
    },
  }
  const report = await collectGarbage({...tested, store: between}, grace)
  assert.equal(report, {blobs: 0, bytes: 0, uploads: 0, orphans: 0})
  assert.equal(await listed(tested.blobs), [again, drafted].sort())
})

test('verify finds nothing in a sound panel', async () => {
  const tested = await panel()
  for (const version of ['1.4.2', '1.4.3', '1.5.0-beta.1']) await publish(tested, version)
  await tested.store.recall('edge-agent', '1.4.3', {reason: 'x'}, by)
  const report = await verifyPanel(tested)
  assert.equal(report.findings, [])
  assert.equal([report.releases, report.blobs], [3, 6])
  assert.equal(report.logs, [
    {product: 'edge-agent', ...(await tested.store.logHead('edge-agent'))},
  ])
})

const tampered: readonly [string, string, (tested: TestPanel, sha256: string) => void][] = [
  [
    'a byte of a blob',
    'blob_mismatch',
    (tested, sha256) => {
      chmodSync(pathOf(tested, sha256), 0o600)
      writeFileSync(pathOf(tested, sha256), 'other')
    },
  ],
  ['a lost blob', 'blob_missing', (tested, sha256) => rmSync(pathOf(tested, sha256))],
  ['an audit row', 'audit_chain_broken', sql('audit_update', `update audit set actor = 'nobody'`)],
  [
    'the end of the audit log cut off',
    'audit_chain_broken',
    sql(
      'audit_delete',
      `delete from audit where position >=
       (select max(position) from audit where event = 'release.published')`,
    ),
  ],
  [
    'the last leaf dropped',
    'log_inconsistent',
    sql('log_leaves_delete', 'delete from log_leaves where position = 1'),
  ],
  [
    'a leaf rewritten',
    'log_inconsistent',
    sql('log_leaves_update', `update log_leaves set text = replace(text, '1.4.2', '1.4.9')`),
  ],
  [
    'a signed manifest',
    'release_malformed',
    sql('releases_update', `update releases set envelope = replace(envelope, '1.4.2', '1.4.9')`),
  ],
  [
    'an artifact row',
    'release_malformed',
    sql('releases_update', `update releases set artifacts = '[]' where version = '1.4.2'`),
  ],
]

function sql(trigger: string, statement: string): (tested: TestPanel) => void {
  return ({folder}) => {
    const database = new DatabaseSync(join(folder, 'panel.db'))
    database.exec(`drop trigger ${trigger}; ${statement}`)
    database.close()
  }
}

for (const [name, code, tamper] of tampered) {
  test(`verify finds ${name}`, async () => {
    const tested = await panel()
    const [sha256 = ''] = await publish(tested, '1.4.2')
    await publish(tested, '1.4.3')
    tamper(tested, sha256)
    const {findings} = await verifyPanel(tested)
    assert.ok(
      findings.some((finding) => finding.code === code),
      JSON.stringify(findings),
    )
  })
}

for (const isLinked of [false, true]) {
  test(`a backup ${isLinked ? 'with links' : 'of copies'} is a panel again`, async () => {
    const tested = await panel()
    await publish(tested, '1.4.2')
    await publish(tested, '1.4.3')
    await putOld(tested, 'garbage')
    const parent = temporaryFolder()
    const target = join(parent, 'the backup')
    writeFileSync(join(parent, 'key'), 'secret')
    const options = {target, now: testNow, isLinked, files: {'keys/license': join(parent, 'key')}}
    const made = await backUpPanel(tested, options)
    assert.is(made.files, 6) // database, key, four blobs
    await rejectsCode(() => backUpPanel(tested, options), 'file_exists')
    assert.equal(await verifyBackup(target), made)
    const restored = join(parent, 'restored')
    assert.equal(await restorePanel(target, restored), made)
    await rejectsCode(() => restorePanel(target, restored), 'file_exists')
    const again = await panel(restored)
    assert.equal((await verifyPanel(again)).findings, [])
    assert.equal(
      await again.store.releases('edge-agent', {limit: 9}),
      await tested.store.releases('edge-agent', {limit: 9}),
    )
    assert.is(readFileSync(join(restored, 'keys', 'license'), 'utf8'), 'secret')
    assert.equal(
      readdirSync(parent).filter((name) => name.startsWith('.')),
      [],
    )
  })
}

test('what a backup that was killed has left is no backup, and the next one removes it', async () => {
  const tested = await panel()
  await publish(tested, '1.0.0')
  const parent = temporaryFolder()
  const target = join(parent, 'backup')
  const options = {target, now: testNow, files: {}}
  const dead = spawnSync('true').pid
  const names = {
    half: `.backup.${dead}.${'0'.repeat(16)}.rel-tmp`,
    living: `.backup.${process.ppid}.${'1'.repeat(16)}.rel-tmp`,
    shared: `.backup.${dead}.${'2'.repeat(16)}.rel-tmp`,
    other: `.backup2.${dead}.${'3'.repeat(16)}.rel-tmp`,
  }
  for (const name of Object.values(names)) {
    mkdirSync(join(parent, name), {mode: 0o700})
    writeFileSync(join(parent, name, 'panel.db'), 'half')
  }
  chmodSync(join(parent, names.shared), 0o755)
  await rejectsCode(() => verifyBackup(join(parent, names.half)), 'file_missing')
  await rejectsCode(
    () => restorePanel(join(parent, names.half), join(parent, 'restored')),
    'file_missing',
  )
  await backUpPanel(tested, options)
  await verifyBackup(target)
  const left = readdirSync(parent).filter((name) => name.endsWith('.rel-tmp'))
  assert.equal(left.toSorted(), [names.living, names.other, names.shared].toSorted())
})

test('a damaged backup is not restored', async () => {
  const tested = await panel()
  const [sha256 = ''] = await publish(tested, '1.4.2')
  const parent = temporaryFolder()
  const target = join(parent, 'backup')
  await backUpPanel(tested, {target, now: testNow, files: {}})
  const damages: readonly [string, (folder: string) => void][] = [
    ['blob', (folder) => rmSync(join(folder, 'blobs', 'sha256', sha256.slice(0, 2), sha256))],
    ['database', (folder) => writeFileSync(join(folder, 'panel.db'), randomBytes(4096))],
    [
      'a way out',
      (folder) => {
        const text = readFileSync(join(folder, 'backup.json'), 'utf8')
        writeFileSync(join(folder, 'backup.json'), text.replace('"panel.db"', '"../panel.db"'))
      },
    ],
  ]
  for (const [name, damage] of damages) {
    const copy = join(parent, name)
    cpSync(target, copy, {recursive: true})
    damage(copy)
    await rejectsCode(() => restorePanel(copy, join(parent, 'restored')), 'backup_damaged')
    assert.not.ok(readdirSync(parent).includes('restored'))
  }
})

test('a backup of a panel with a lost blob refuses', async () => {
  const tested = await panel()
  const [sha256 = ''] = await publish(tested, '1.4.2')
  rmSync(pathOf(tested, sha256))
  const parent = temporaryFolder()
  const options = {target: join(parent, 'backup'), now: testNow, files: {}}
  await rejectsCode(() => backUpPanel(tested, options), 'blob_missing')
  assert.equal(readdirSync(parent), [])
})

const signer = testSigner('export')
const trusted = {keys: [signer.publicKey], threshold: 1}

async function exported(tested: TestPanel, now = testNow): Promise<string> {
  const target = join(temporaryFolder(), 'export')
  await exportMirror(tested, {target, signer, now})
  return target
}

test('a mirror has the same releases and the same log', async () => {
  const source = await panel()
  for (const version of ['1.4.2', '1.4.3']) await publish(source, version)
  await publish(source, '1.5.0-beta.1', 'a Sigstore bundle')
  await source.store.recall('edge-agent', '1.4.3', {reason: 'bricks', replacement: '1.4.4'}, by)
  await source.store.setProduct('edge-agent', {floor: '1.4.2'}, by)
  const from = await exported(source)
  const mirror = await panel()
  const report = await importMirror(mirror, {from, trusted, by})
  assert.equal([report.products, report.releases, report.blobs], [1, 3, 4])
  const vouched = await mirror.store.release('edge-agent', '1.5.0-beta.1')
  assert.is(vouched?.sigstore, 'a Sigstore bundle')
  assert.equal(
    await mirror.store.log('edge-agent', 0, 9),
    await source.store.log('edge-agent', 0, 9),
  )
  assert.equal((await verifyPanel(mirror)).findings, [])
  assert.is((await mirror.store.product('edge-agent'))?.floor, '1.4.2')
  assert.equal((await mirror.store.release('edge-agent', '1.4.3'))?.recall, {
    reason: 'bricks',
    replacement: '1.4.4',
  })
  const again = await importMirror(mirror, {from, trusted, by})
  assert.equal([again.releases, again.blobs], [0, 0])

  await publish(source, '1.6.0')
  const more = await importMirror(mirror, {from: await exported(source), trusted, by})
  assert.equal([more.releases, more.blobs], [1, 2])
  assert.equal(await mirror.store.logHead('edge-agent'), await source.store.logHead('edge-agent'))
  const older = await importMirror(mirror, {from, trusted, by})
  assert.is(older.releases, 0)
})

test('an older export takes nothing back', async () => {
  const source = await panel()
  await publish(source, '1.4.2')
  const old = await exported(source, testNow)
  await source.store.setProduct('edge-agent', {stopovers: ['1.4.2']}, by)
  const mirror = await panel()
  for (const from of [old, await exported(source, testNow + 1), old])
    await importMirror(mirror, {from, trusted, by})
  assert.equal((await mirror.store.product('edge-agent'))?.stopovers, ['1.4.2'])
})

test('an export that was touched changes nothing', async () => {
  const source = await panel()
  const [sha256 = ''] = await publish(source, '1.4.2')
  const from = await exported(source)
  const mirror = await panel()
  const refusals: readonly [string, Parameters<typeof rejectsCode>[1], (folder: string) => void][] =
    [
      ['list', 'signature_invalid', (folder) => edit(folder, '"created":', '"created":1')],
      ['blob', 'blob_mismatch', (folder) => damage(folder, sha256)],
      ['lost', 'file_missing', (folder) => rmSync(join(folder, 'mirror.json'))],
      ['no json', 'json_syntax', (folder) => writeFileSync(join(folder, 'mirror.json'), '{')],
    ]
  for (const [name, code, touch] of refusals) {
    const copy = join(temporaryFolder(), name)
    cpSync(from, copy, {recursive: true})
    touch(copy)
    await rejectsCode(() => importMirror(mirror, {from: copy, trusted, by}), code)
  }
  const strangers = {keys: [testSigner('stranger').publicKey], threshold: 1}
  await rejectsCode(() => importMirror(mirror, {from, trusted: strangers, by}), 'key_unknown')
  assert.equal(await mirror.store.products(), [])
})

function edit(folder: string, before: string, after: string): void {
  const path = join(folder, 'mirror.json')
  writeFileSync(path, readFileSync(path, 'utf8').replace(before, after))
}

function damage(folder: string, sha256: string): void {
  const path = join(folder, 'blobs', 'sha256', sha256.slice(0, 2), sha256)
  chmodSync(path, 0o600)
  writeFileSync(path, 'x'.repeat(readFileSync(path).length))
}

test('two histories of one product do not mix', async () => {
  const [source, other] = [await panel(), await panel()]
  await publish(source, '1.4.2')
  await publish(other, '1.4.3')
  const before = await other.store.logHead('edge-agent')
  await rejectsCode(
    async () => importMirror(other, {from: await exported(source), trusted, by}),
    'mirror_conflict',
  )
  assert.equal(await other.store.logHead('edge-agent'), before)
  assert.is(await other.store.release('edge-agent', '1.4.2'), undefined)
})

test.run()
