import {readFileSync, writeFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {sha256Hex} from '../src/system/hash.ts'
import {parseTrustedRoot} from '../src/trust/sigstore/trusted-root.ts'

/**
 * Writes src/trust/sigstore/trusted-root.json from the trusted root that the installed
 * @sigstore/tuf was published with: run it after updating that package, and review the diff.
 */
const target = new URL('../src/trust/sigstore/trusted-root.json', import.meta.url)
const mirror = 'https://tuf-repo-cdn.sigstore.dev'

/** The trusted root as data, and where it is from. */
export function installedTrustedRoot(): {source: string; sha256: string; trusted_root: unknown} {
  const require = createRequire(import.meta.url)
  const {version} = require('@sigstore/tuf/package.json') as {version: string}
  const seeds = require('@sigstore/tuf/seeds.json') as Record<
    string,
    {targets: Record<string, string>}
  >
  const bytes = Buffer.from(seeds[mirror]?.targets['trusted_root.json'] ?? '', 'base64')
  parseTrustedRoot(bytes)
  return {
    source: `@sigstore/tuf ${version}, seeds.json, ${mirror} trusted_root.json`,
    sha256: sha256Hex(bytes),
    trusted_root: JSON.parse(bytes.toString('utf8')),
  }
}

if (process.argv[1] === import.meta.filename) {
  const {source, ...rest} = installedTrustedRoot()
  const before = JSON.parse(readFileSync(target, {encoding: 'utf8', flag: 'a+'}) || '{}')
  const taken = before.sha256 === rest.sha256 ? before.taken : new Date().toISOString().slice(0, 10)
  writeFileSync(target, `${JSON.stringify({source, taken, ...rest}, undefined, 2)}\n`)
}
