import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {diffManifests, isSameContent} from '../../../src/bundle/diff.ts'
import {planSign} from '../../../src/bundle/sign.ts'
import {d2Files, facts, makeTree} from '../../support/bundles.ts'

const manifestOf = async (files: Record<string, string>, more: Partial<typeof facts> = {}) =>
  (
    await planSign({
      directory: makeTree(files),
      facts: {...facts, ...more},
      rules: {allowLinks: false, normaliseModes: false},
      legacy: true,
    })
  ).manifest

test('the same bundle signed later does not differ', async () => {
  const before = await manifestOf(d2Files)
  const after = await manifestOf(d2Files, {timestamp: facts.timestamp + 1, sequence: 43})
  assert.ok(isSameContent(diffManifests(before, after)))
})

test('names what was added, removed and changed, with sizes and permissions', async () => {
  const {'config.toml': _, ...rest} = d2Files
  const before = await manifestOf(d2Files)
  const after = await manifestOf({...rest, 'main.py': 'other', 'new.txt': 'x'}, {version: '1.5.0'})
  const [entry] = after.files.filter(({path}) => path === 'run.sh')
  const files = after.files.map((file) =>
    file === entry ? ({...file, mode: '0644'} as const) : file,
  )
  const diff = diffManifests(before, {...after, files})
  assert.not(isSameContent(diff))
  assert.equal(diff.facts, [{name: 'version', before: '1.4.2', after: '1.5.0'}])
  assert.equal(
    diff.added.map(({path}) => path),
    ['new.txt'],
  )
  assert.equal(
    diff.removed.map(({path}) => path),
    ['config.toml'],
  )
  assert.equal(diff.changed, [
    {path: 'main.py', content: true, size: [14, 5], mode: ['0644', '0644']},
    {path: 'run.sh', content: false, size: [10, 10], mode: ['0755', '0644']},
  ])
  assert.is(diff.sizeDelta, 5 - 14 + 1 - 19)
})

test('every signed fact and every link is told', async () => {
  const before = await manifestOf(d2Files)
  const rel = before.rel
  if (rel === undefined) throw new Error('the fixture has no rel section')
  const links = [{path: 'l', target: 'main.py'}]
  const after = {...before, rel: {...rel, channel: 'beta', minVersion: '1.0.0', links, targets: []}}
  const diff = diffManifests(before, after)
  assert.equal(diff.facts.map(({name}) => name).sort(), ['channel', 'min_version', 'targets'])
  assert.equal(diff.links, [{name: 'l', before: undefined, after: 'main.py'}])
})

test.run()
