import {chownSync, mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {isName} from '../../../src/bundle/parse-manifest.ts'
import {configDefault, findProjectConfig, loadConfig} from '../../../src/cli/config.ts'
import {parseConfig, runsCode, settingNames} from '../../../src/cli/config-parse.ts'
import {configJsonSchema, configSchema} from '../../../src/cli/config-schema.ts'
import {needsThat} from '../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

type Tree = {root: string; project: string; deep: string; env: Record<string, string>}

/** A work tree with a folder in it, and places for the other layers. */
function tree(): Tree {
  const root = temporaryFolder()
  const project = join(root, 'project')
  const deep = join(project, 'a/b')
  for (const folder of [join(project, '.git'), deep, join(root, 'user/rel'), join(root, 'sys/rel')])
    mkdirSync(folder, {recursive: true})
  const env = {XDG_CONFIG_HOME: join(root, 'user'), XDG_CONFIG_DIRS: join(root, 'sys'), HOME: root}
  return {root, project, deep, env}
}

test('each layer comes before the next', async () => {
  const {root, project, deep, env} = tree()
  writeFileSync(
    join(root, 'sys/rel/config.yaml'),
    'product: s\nchannel: s\nkey: s\ntrust: s.json\n',
  )
  writeFileSync(join(root, 'user/rel/config.yaml'), 'product: u\nchannel: u\nkey: u\n')
  writeFileSync(join(project, 'rel.config.yaml'), 'product: p\nchannel: p\n')
  const {settings, files} = await loadConfig(deep, {...env, REL_PRODUCT: 'e'})
  const found = settingNames.map((name) => [settings[name]?.value, settings[name]?.origin.layer])
  assert.equal(found, [
    ['e', 'environment'],
    ['p', 'project'],
    ['u', 'user'],
    [join(root, 'sys/rel/s.json'), 'system'],
  ])
  assert.equal(
    files.map(({layer}) => layer),
    ['project', 'user', 'system'],
  )
})

test('an empty variable is none', async () => {
  const {deep, env} = tree()
  assert.equal((await loadConfig(deep, {...env, REL_PRODUCT: ''})).settings, {})
})

test('a project is searched up to the root of its work tree and no further', () => {
  const {root, project, deep} = tree()
  writeFileSync(join(root, 'rel.config.yaml'), '')
  assert.is(findProjectConfig(deep), undefined)
  writeFileSync(join(project, 'rel.config.yaml'), '')
  assert.is(findProjectConfig(deep), join(project, 'rel.config.yaml'))
  writeFileSync(join(deep, 'rel.config.json'), '')
  assert.is(findProjectConfig(deep), join(deep, 'rel.config.json'))
})

test('outside of a work tree only the folder itself is looked at', () => {
  const root = temporaryFolder()
  mkdirSync(join(root, 'below'))
  writeFileSync(join(root, 'rel.config.yaml'), '')
  assert.is(findProjectConfig(root), join(root, 'rel.config.yaml'))
  assert.is(findProjectConfig(join(root, 'below')), undefined)
})

test('a project’s file does not choose whom to trust', async () => {
  const {root, project, env} = tree()
  writeFileSync(join(project, 'rel.config.yaml'), 'trust: evil.json\nkey: k\n')
  const alone = await loadConfig(project, env)
  assert.is(configDefault(alone, 'trust'), join(project, 'evil.json'))
  assert.equal(alone.own, {})
  writeFileSync(join(root, 'user/rel/config.yaml'), 'trust: mine.json\n')
  const {own} = await loadConfig(project, env)
  assert.is(own.trust?.value, join(root, 'user/rel/mine.json'))
  const {own: named} = await loadConfig(project, {...env, REL_TRUST: 'env.json'})
  assert.is(named.trust?.value, 'env.json')
})

if (needsThat('another owner', process.geteuid?.() === 0, 'only root can give files away'))
  test('a configuration of another user is refused, in their own folder too', () => {
    const {project, deep} = tree()
    writeFileSync(join(project, 'rel.config.yaml'), '')
    chownSync(join(project, 'rel.config.yaml'), 12345, 12345)
    throwsCode(() => findProjectConfig(deep), 'config_invalid')
    chownSync(project, 12345, 12345)
    throwsCode(() => findProjectConfig(project), 'config_invalid')
  })

test('a folder’s name cannot begin a line of a log', () => {
  const folder = join(temporaryFolder(), 'k\n::warning::z\u202e')
  mkdirSync(folder)
  for (const extension of ['yaml', 'json'])
    writeFileSync(join(folder, `rel.config.${extension}`), '')
  const {message} = throwsCode(() => findProjectConfig(folder), 'config_invalid')
  assert.not.match(message, /[\n\u202e]/)
})

/** What is refused, and the line and column that are named. */
const refused: [string, string, number, number][] = [
  ['unknown key', 'product: a\nnope: b\n', 2, 1],
  ['__proto__', '__proto__: {product: a}\n', 1, 1],
  ['repeated key', 'product: a\nproduct: a\n', 2, 1],
  ['a number', 'product: 1\n', 1, 10],
  ['a list', 'channel: [a]\n', 1, 10],
  ['null', 'trust:\n', 1, 7],
  ['empty', 'key: ""\n', 1, 6],
  ['not a name', 'channel: a b\n', 1, 10],
  ['not a map', '- a\n', 1, 1],
  ['two documents', 'product: a\n---\nproduct: b\n', 2, 1],
  ['an unknown tag', 'product: !!js/function a\n', 1, 10],
  ['an alias', 'product: &a b\nchannel: *a\n', 2, 10],
  ['a merge key', '<<: {product: a}\n', 1, 1],
  ['not YAML', 'product: "a\n', 2, 1],
  ['a program', 'product: a\nkey: exec:sign\n', 2, 6],
  ['a library', 'key: pkcs11:token=x?module-path=/tmp/evil.so\n', 1, 6],
]

for (const [name, text, line, column] of refused)
  test(`refused with its place: ${name}`, async () => {
    const error = await rejectsCode(() => parseConfig(text, 'f.yaml', 'project'), 'config_invalid')
    assert.equal(error.details, {path: 'f.yaml', line, column})
  })

test('a person may name a program in their own file, and a project an agent', async () => {
  assert.equal(await parseConfig('key: exec:sign\n', 'f', 'user'), {key: 'exec:sign'})
  assert.equal(await parseConfig('key: ssh-agent:x\n', 'f', 'project'), {key: 'ssh-agent:x'})
  assert.equal(await parseConfig('', 'f', 'project'), {})
  assert.is(runsCode('EXEC:x'), true)
})

test('every setting is in the schema, and names are those of manifests', () => {
  const {properties} = configJsonSchema() as {properties: object}
  assert.equal(Object.keys(properties).sort(), ['$schema', ...settingNames].sort())
  for (const name of ['a', 'A.b_c-d', '', '-a', 'a b', 'a'.repeat(64), 'a'.repeat(65), 'ä'])
    assert.is(configSchema.safeParse({product: name}).success, isName(name), name)
})

test.run()
