import {copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../src/system/codes.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

type Document = {
  readonly ok: boolean
  readonly result: Record<string, unknown>
  readonly error: {readonly code: string}
  readonly undo?: string
}

/** A folder with keys of these names. */
async function folderWithKeys(...names: readonly string[]): Promise<string> {
  const cwd = temporaryFolder()
  for (const name of names) await rel(cwd, `keys new ${name} --no-passphrase`)
  return cwd
}

/** Runs rel with --json; fails unless it ends with 0. */
async function rel(cwd: string, line: string): Promise<Document> {
  const {code, stdout, stderr} = await runRel([...line.split(' '), '--json'], {cwd})
  assert.is(code, 0, `rel ${line}: ${stdout}${stderr}`)
  return JSON.parse(stdout)
}

/** Runs rel with --json; fails unless it refuses with a code. */
async function refused(cwd: string, line: string, code: ErrorCode): Promise<void> {
  const ran = await runRel([...line.split(' '), '--json'], {cwd})
  assert.is.not(ran.code, 0)
  assert.is((JSON.parse(ran.stdout) as Document).error.code, code, `rel ${line}: ${ran.stdout}`)
}

function anchors(cwd: string): string[] {
  return readdirSync(cwd)
    .filter((name) => name.endsWith('trust.json'))
    .sort()
}

test('one key is enough for a start', async () => {
  const cwd = await folderWithKeys('release')
  const made = await rel(cwd, 'trust init --key release')
  assert.is(made.result.complete, true)
  assert.equal(anchors(cwd), ['1.trust.json', 'trust.json'])
  const {result} = await rel(cwd, 'trust show')
  assert.equal(Object.keys((result.trust as {roles: object}).roles), [
    'root',
    'manifest',
    'artifact',
  ])
})

test('two root keys: versions wait for both, and trust.json changes only then', async () => {
  const cwd = await folderWithKeys('r1', 'r2', 'build', 'canary')
  await rel(cwd, 'trust init --key r1 --root r1 --root r2 --root-threshold 2 --manifest build')
  assert.equal(anchors(cwd), ['1.trust.json'])
  await rel(cwd, 'trust sign 1.trust.json --key r2')
  const first = readFileSync(join(cwd, 'trust.json'))

  const added = await rel(cwd, 'trust add canary --role manifest --channel canary --key r1')
  assert.is(added.result.complete, false)
  assert.equal(readFileSync(join(cwd, 'trust.json')), first)
  await refused(cwd, 'trust add canary --role artifact --key r1', 'anchor_pending')
  await refused(cwd, 'trust sign 2.trust.json --key build', 'key_not_for_role')
  const signed = await rel(cwd, 'trust sign 2.trust.json --key r2')
  assert.is(signed.result.complete, true)
  assert.equal(readFileSync(join(cwd, 'trust.json')), readFileSync(join(cwd, '2.trust.json')))

  const again = await rel(cwd, 'trust sign 2.trust.json --key r2')
  assert.is(again.result.complete, true)
})

test('walks from version 1 to version 4 offline, and refuses every broken chain', async () => {
  const cwd = await folderWithKeys('r1', 'r2', 'build', 'build-2')
  await rel(cwd, 'trust init --key r1 --manifest build')
  await rel(cwd, 'trust rotate r1 r2 --key r1')
  assert.is((await rel(cwd, 'trust show')).result.complete, true, 'trust.json is still version 1')
  await rel(cwd, 'trust sign 2.trust.json --key r2')
  await rel(cwd, 'trust revoke build --replace-by build-2 --reason stolen --key r2')
  await rel(cwd, 'trust renew --expires 400d --key r2')
  assert.equal(anchors(cwd), [
    '1.trust.json',
    '2.trust.json',
    '3.trust.json',
    '4.trust.json',
    'trust.json',
  ])

  const walk = '1.trust.json 2.trust.json 3.trust.json 4.trust.json'
  const {result} = await rel(cwd, `trust show ${walk}`)
  assert.is((result.trust as {version: number}).version, 4)
  await refused(cwd, 'trust show 1.trust.json 3.trust.json', 'anchor_gap')
  await refused(cwd, 'trust show 2.trust.json 1.trust.json', 'anchor_rollback')
  await refused(cwd, 'trust add build --role manifest --key r2', 'key_revoked')
  await refused(cwd, 'trust revoke build --key r2', 'anchor_key_not_found')
})

test('a version signed by one of the two roots alone does not follow', async () => {
  const cwd = await folderWithKeys('r1', 'r2')
  await rel(cwd, 'trust init --key r1')
  await rel(cwd, 'trust rotate r1 r2 --key r1')
  await refused(cwd, 'trust show 1.trust.json 2.trust.json', 'anchor_new_root')
  const file = JSON.parse(readFileSync(join(cwd, '2.trust.json'), 'utf8'))
  await rel(cwd, 'trust sign 2.trust.json --key r2')
  const [, second] = JSON.parse(readFileSync(join(cwd, '2.trust.json'), 'utf8')).signatures
  writeFileSync(join(cwd, '2.trust.json'), JSON.stringify({...file, signatures: [second]}))
  await refused(cwd, 'trust show 1.trust.json 2.trust.json', 'anchor_old_root')
})

test('a dry run needs no private key, signs nothing and writes nothing', async () => {
  const cwd = await folderWithKeys('release', 'other')
  const plan = await rel(cwd, 'trust init --root release --manifest release --dry-run')
  assert.is(plan.result.dry_run, true)
  assert.equal(anchors(cwd), [])
  await rel(cwd, 'trust init --key release')
  for (const line of [
    'trust add other --role manifest --dry-run',
    'trust rotate release other --dry-run',
    'trust revoke release --replace-by other --dry-run',
    'trust renew --expires 500d --dry-run',
    'trust sign trust.json --dry-run',
  ])
    assert.is((await rel(cwd, line)).result.dry_run, true)
  assert.equal(anchors(cwd), ['1.trust.json', 'trust.json'])
})

test('nothing is overwritten, changed or accepted by mistake', async () => {
  const cwd = await folderWithKeys('release', 'other')
  await rel(cwd, 'trust init --key release')
  const before = readFileSync(join(cwd, 'trust.json'))
  await refused(cwd, 'trust init --key other', 'file_exists')
  await refused(cwd, 'trust add release --role manifest --key release', 'anchor_unchanged')
  await refused(cwd, 'trust add other --role manifest --key other', 'key_not_for_role')
  await refused(cwd, 'trust add other --role manifest', 'input_required')
  await refused(cwd, 'trust add other --role admin --key release', 'usage_invalid')
  await refused(cwd, 'trust add other --role manifest --channel a/b --key release', 'usage_invalid')
  await refused(cwd, 'trust revoke release --key release', 'threshold_unreachable')
  await refused(cwd, 'trust revoke --key release', 'usage_invalid')
  await refused(cwd, 'trust revoke --digest AB --key release', 'usage_invalid')
  await refused(cwd, 'trust renew --expires 2020-01-01 --key release', 'usage_invalid')
  await refused(cwd, 'trust renew --expires soon --key release', 'time_malformed')
  await refused(cwd, 'trust show absent.json', 'file_missing')
  assert.equal(readFileSync(join(cwd, 'trust.json')), before)
  assert.equal(anchors(cwd), ['1.trust.json', 'trust.json'])
})

test('identities and the fate of D2 manifests are part of a version', async () => {
  const cwd = await folderWithKeys('release')
  await rel(cwd, 'trust init --key release')
  const san = 'https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v{version}'
  const signer = {issuer: 'https://token.test', san, repo_id: '7', trigger: ['push']}
  writeFileSync(join(cwd, 'signers.json'), JSON.stringify([signer]))
  await rel(cwd, 'trust set --allowed-signers signers.json --legacy allow --key release')
  const {trust} = (await rel(cwd, 'trust show')).result as {trust: Record<string, unknown>}
  assert.equal(trust.allowed_signers, [{...signer, not_before: 0}])
  assert.is(trust.legacy, 'allow')
  await refused(cwd, 'trust set --legacy allow --key release', 'anchor_unchanged')
  await refused(cwd, 'trust set --key release', 'usage_invalid')
  await refused(cwd, 'trust set --product app --key release', 'usage_invalid')
  await refused(cwd, 'trust set --legacy deny --product app --key release', 'usage_invalid')
  await rel(cwd, 'trust set --legacy allow --product app --key release')
  const limited = (await rel(cwd, 'trust show')).result as {trust: Record<string, unknown>}
  assert.equal(limited.trust.legacy, {products: ['app']})
  await rel(cwd, 'trust set --legacy allow --key release')
  await rel(cwd, 'trust set --allowed-signers none --key release')
  const after = (await rel(cwd, 'trust show')).result as {trust: Record<string, unknown>}
  assert.is(after.trust.allowed_signers, undefined)
  assert.is(after.trust.legacy, 'allow')
})

test('more keys than an entry may hold are refused before they are signed', async () => {
  const cwd = await folderWithKeys('k0')
  const roots = Array.from({length: 17}, (_, at) => `k${at}`)
  for (const name of roots.slice(1)) await rel(cwd, `keys new ${name} --no-passphrase`)
  const flags = roots.map((name) => `--root ${name}`).join(' ')
  await refused(cwd, `trust init --key k0 ${flags}`, 'anchor_limit')
  await refused(cwd, `trust init --key k0 ${flags} --dry-run`, 'anchor_limit')
  assert.equal(anchors(cwd), [])
})

test('a weak key is refused when it is added', async () => {
  const cwd = await folderWithKeys('release')
  await rel(cwd, 'trust init --key release')
  writeFileSync(join(cwd, 'weak.pub'), `01${'00'.repeat(31)}\n`)
  await refused(cwd, 'trust add ./weak.pub --role manifest --key release', 'key_weak')
})

test('a changed or damaged anchor is refused', async () => {
  const cwd = await folderWithKeys('release')
  await rel(cwd, 'trust init --key release')
  const path = join(cwd, 'trust.json')
  const text = readFileSync(path, 'utf8')
  const damages: [string, ErrorCode][] = [
    [text.replace('"legacy": "deny"', '"legacy": "allow"'), 'signature_invalid'],
    [text.replace('"version": 1', '"version": 1, "version": 1'), 'json_duplicate_key'],
    [text.slice(0, -20), 'json_syntax'],
    ['', 'json_syntax'],
    [`${text}{}`, 'json_trailing'],
    [text.replace('"spec": 1', '"spec": 2'), 'anchor_spec_unsupported'],
  ]
  for (const [damaged, code] of damages) {
    writeFileSync(path, damaged)
    await refused(cwd, 'trust show', code)
    await refused(cwd, 'trust renew --key release', code)
  }
})

test('a version without the one before is not signed blindly', async () => {
  const [cwd, elsewhere] = [await folderWithKeys('release'), temporaryFolder()]
  await rel(cwd, 'trust init --key release')
  await rel(cwd, 'trust renew --expires 500d --key release')
  copyFileSync(join(cwd, '2.trust.json'), join(elsewhere, '2.trust.json'))
  await refused(elsewhere, 'trust sign 2.trust.json --dry-run', 'file_missing')
  assert.is((await rel(elsewhere, 'trust show 2.trust.json')).result.complete, true)
})

test('a late signature for an old version does not bring it back', async () => {
  const cwd = await folderWithKeys('r1', 'r2')
  await rel(cwd, 'trust init --key r1 --root r1 --root r2 --manifest r1')
  await rel(cwd, 'trust renew --expires 500d --key r1')
  await rel(cwd, 'trust sign 1.trust.json --key r2')
  const {result} = await rel(cwd, 'trust show')
  assert.is((result.trust as {version: number}).version, 2)
})

test('an interrupted completion is finished by the same command', async () => {
  const cwd = await folderWithKeys('release')
  await rel(cwd, 'trust init --key release')
  const first = readFileSync(join(cwd, 'trust.json'))
  await rel(cwd, 'trust renew --expires 500d --key release')
  writeFileSync(join(cwd, 'trust.json'), first)
  await rel(cwd, 'trust sign 2.trust.json --key release')
  assert.equal(readFileSync(join(cwd, 'trust.json')), readFileSync(join(cwd, '2.trust.json')))
  assert.ok(existsSync(join(cwd, '1.trust.json')))
})

test.run()
