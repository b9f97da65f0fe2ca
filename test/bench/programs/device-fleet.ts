import {closeSync, mkdirSync, openSync, readSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {shell} from '../measure.ts'
import {startInstalledPanel} from '../panel-process.ts'

/**
 * device-fleet.ts BYTES FILES: an installed panel with two products, `large` and `tenth`, whose version
 * 2.0.0 is a bundle of so many bytes and files, and of a tenth of both; ends with its parent. For each
 * there is what a node begins with, and what curl and sha256sum need to do the same by hand.
 */
const [bytes = 0, files = 0] = process.argv.slice(2).map(Number)
const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'
const rel = './installed/rel'

process.once('disconnect', () => process.exit())
const panel = await startInstalledPanel('panel')
for (const role of ['license', 'freshness'])
  shell(`${rel} trust add panel/keys/${role}.pub --role ${role} --key bench`, '.')
const scope = '--verb publish --verb release --product large --product tenth'
for (const [product, part] of [
  ['large', 1],
  ['tenth', 10],
] as const) {
  const words = `${product} --data panel --anchor trust.json --require bundle/linux/${arch}`
  shell(`${rel} panel product add ${words}`, '.')
  makeTree(`${product}-2.0.0`, bytes / part, files / part)
  for (const version of ['1.0.0', '3.0.0']) {
    mkdirSync(`${product}-${version}`)
    writeFileSync(`${product}-${version}/version`, `${version}\n`)
  }
}
const made = shell(`${rel} panel token new bench --data panel ${scope} --json`, '.')
writeFileSync('token', `${JSON.parse(made).result.token}\n`, {mode: 0o600})
for (const product of ['large', 'tenth']) publish(product)
writeFileSync('fleet.ready', '')

/** Pieces of a real program, which compress as programs do, no two files alike. */
function makeTree(folder: string, size: number, count: number): void {
  const program = openSync(process.execPath, 'r')
  const piece = Buffer.alloc(Math.floor(size / count))
  const room = statSync(process.execPath).size - piece.length
  for (let index = 0; index < count; index++) {
    readSync(program, piece, 0, piece.length, Math.floor((index * 7_777_777) % room))
    piece.writeUInt32LE(index)
    const parent = join(folder, `d${Math.floor(index / 100)}`)
    mkdirSync(parent, {recursive: true})
    writeFileSync(join(parent, `f${index}.bin`), piece)
  }
  closeSync(program)
}

function publish(product: string): void {
  const dist = `dist-${product}`
  const name = `bundle-linux-${arch}.tar.zst`
  mkdirSync(dist)
  for (const version of ['1.0.0', '2.0.0', '3.0.0']) {
    const facts = `--product ${product} --version ${version} --key bench`
    shell(`${rel} sign ${product}-${version} ${facts}`, '.')
  }
  const admin = `--panel ${panel.url} --token-file`
  const terms = `--customer bench --track stable --expires 30d --output ${product}.license`
  shell(
    [
      'set -e',
      `${rel} pack ${product}-2.0.0 -o ${dist}/${name}`,
      `${rel} release manifest ${dist} --product ${product} --version 2.0.0 --key bench`,
      `${rel} publish ${dist} ${admin} token`,
      `${rel} license issue --product ${product} ${terms} ${admin} panel/admin-token`,
      `${rel} license inspect ${product}.license --header | sed 's/^/authorization: Bearer /' > ${product}.header`,
      `cd ${product}-2.0.0; find . -type f ! -name manifest.json -exec sha256sum {} + > ../${product}.sums`,
    ].join('\n'),
    '.',
  )
  writeFileSync(`${product}.url`, `${panel.url}/download/${product}/2.0.0/${name}`)
  const config = {
    spec: 1,
    product,
    source: {panel: panel.url},
    upgrade: {enabled: true},
    health: {command: ['true']},
  }
  writeFileSync(`${product}.json`, JSON.stringify(config))
}
