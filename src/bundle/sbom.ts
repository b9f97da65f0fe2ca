import {dateOf} from './expectations.ts'
import type {BundleManifest, FileEntry} from './manifest.ts'
import {partsOfName} from './version.ts'

/**
 * A CycloneDX 1.6 document of a bundle: one component per file, with its SHA-256. Nothing in it
 * depends on where or when it is made: the time is that of the signature, `serial` the UUID of the
 * signed content. Written in pieces, since bundles may have 100,000 files.
 */
export function* cycloneDx(manifest: BundleManifest, serial: string): Generator<string> {
  const {bundleName, version, timestamp, files, rel} = manifest
  const name = rel?.product ?? partsOfName(bundleName).product
  const head = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${serial}`,
    version: 1,
    metadata: {
      timestamp: dateOf(timestamp),
      tools: {components: [{type: 'application', name: 'rel'}]},
      component: {type: 'application', 'bom-ref': 'bundle', name, version},
    },
  }
  yield `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "components": [`
  let lead = '\n'
  for (const file of files) {
    yield `${lead}    ${JSON.stringify(componentOf(file))}`
    lead = ',\n'
  }
  yield '\n  ]\n}\n'
}

function componentOf({path, sha256, size, mode}: FileEntry) {
  const properties = [
    ...(size === undefined ? [] : [{name: 'rel:size', value: String(size)}]),
    ...(mode === undefined ? [] : [{name: 'rel:mode', value: mode}]),
  ]
  return {
    type: 'file',
    'bom-ref': `file:${path}`,
    name: path,
    hashes: [{alg: 'SHA-256', content: sha256}],
    ...(properties.length === 0 ? {} : {properties}),
  }
}
