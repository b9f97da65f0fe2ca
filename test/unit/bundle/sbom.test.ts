import {createRequire} from 'node:module'
import {Spec, Validation} from '@cyclonedx/cyclonedx-library'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {sbomOf} from '../../../src/bundle/inspect.ts'
import {planSign} from '../../../src/bundle/sign.ts'
import {uuidOfUrl} from '../../../src/bundle/uuid.ts'
import {d2Files, facts, makeTree} from '../../support/bundles.ts'
import {needsThat} from '../../support/needs.ts'

const plan = async (d2 = false) =>
  (
    await planSign({
      directory: makeTree(d2Files),
      facts: {...facts, d2},
      rules: {allowLinks: false, normaliseModes: false},
      legacy: true,
    })
  ).manifest

const text = (pieces: Iterable<string>) => [...pieces].join('')

// the validator loads these by itself, and says so only when it is called
const validators = ['ajv', 'ajv-formats', 'ajv-formats-draft2019']
const loadable = validators.every(isLoadable)

function isLoadable(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name)
    return true
  } catch {
    return false
  }
}

if (needsThat('CycloneDX validator', loadable, `npm packages ${validators.join(', ')}`)) {
  test('CycloneDX’s own validator accepts the document, of both kinds of manifest', async () => {
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6)
    for (const d2 of [false, true])
      assert.is(await validator.validate(text(sbomOf(await plan(d2)))), null)
  })

  test('the validator would refuse a document that is wrong', async () => {
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6)
    const wrong = text(sbomOf(await plan())).replace('"SHA-256"', '"SHA-255"')
    assert.is.not(await validator.validate(wrong), null)
  })
}

test('the same content gives the same document, other content another serial', async () => {
  assert.is(text(sbomOf(await plan())), text(sbomOf(await plan())))
  const {serialNumber} = JSON.parse(text(sbomOf(await plan()))) as {serialNumber: string}
  const manifest = await plan()
  const other = JSON.parse(text(sbomOf({...manifest, version: '1.4.3'}))) as {serialNumber: string}
  assert.is.not(other.serialNumber, serialNumber)
})

test('lists every file with its digest', async () => {
  const manifest = await plan()
  const bom = JSON.parse(text(sbomOf(manifest))) as {
    components: {name: string; hashes: {content: string}[]}[]
  }
  assert.equal(
    bom.components.map(({name, hashes}) => [name, hashes[0]?.content]),
    manifest.files.map(({path, sha256}) => [path, sha256]),
  )
})

test('UUIDs are those of RFC 9562', () => {
  // python3 -c "import uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, 'https://example.org/'))"
  assert.is(uuidOfUrl('https://example.org/'), '527dda32-a0de-5105-a042-cb475b5f7d11')
})

test.run()
