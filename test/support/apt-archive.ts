import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {gzipSync} from 'node:zlib'
import {
  createCleartextMessage,
  createMessage,
  generateKey,
  type PrivateKey,
  reformatKey,
  sign,
} from 'openpgp'
import {sha256Hex} from '../../src/system/hash.ts'

/** A key that was made for one test: nothing else trusts it. */
export type TestKey = {
  readonly key: PrivateKey
  /** 40 upper-case hex digits. */
  readonly fingerprint: string
  readonly publicKey: Uint8Array
}

export async function testKey(
  options: {
    readonly date?: Date
    readonly validSecs?: number
    readonly isRevoked?: boolean
    readonly type?: 'rsa'
  } = {},
): Promise<TestKey> {
  const made = await generateKey({
    userIDs: [{name: 'TEST key, synthetic archive'}],
    format: 'object',
    date: options.date ?? new Date('2023-01-01'),
    ...(options.validSecs === undefined ? {} : {keyExpirationTime: options.validSecs}),
  })
  const key = made.privateKey
  const shown = options.isRevoked === true ? await key.revoke() : key
  return {
    key,
    fingerprint: key.getFingerprint().toUpperCase(),
    publicKey: shown.toPublic().write(),
  }
}

/** The same key, with an expiry that was always there as far as its public half says. */
export async function expiring({key}: TestKey, date: Date, validSecs: number): Promise<TestKey> {
  const {privateKey} = await reformatKey({
    privateKey: key,
    userIDs: [{name: 'TEST key, synthetic archive'}],
    format: 'object',
    date,
    keyExpirationTime: validSecs,
  })
  const fingerprint = privateKey.getFingerprint().toUpperCase()
  return {key: privateKey, fingerprint, publicKey: privateKey.toPublic().write()}
}

/** A clearsigned file by one or more keys. */
export async function clearsigned(
  text: string,
  keys: readonly TestKey[],
  date: Date,
): Promise<Buffer> {
  const signed = await sign({
    message: await createCleartextMessage({text}),
    signingKeys: keys.map(({key}) => key),
    date,
  })
  return Buffer.from(signed.replaceAll('\r\n', '\n')) // as archives write it
}

/** The armored signatures of a file, as in Release.gpg. */
export async function detached(
  bytes: Uint8Array,
  keys: readonly TestKey[],
  date: Date,
): Promise<Buffer> {
  const signed = await sign({
    message: await createMessage({binary: bytes}),
    signingKeys: keys.map(({key}) => key),
    detached: true,
    date,
  })
  return Buffer.from(signed.replaceAll('\r\n', '\n'))
}

/** A suite of a synthetic archive. */
export type TestSuite = {
  readonly suite: string
  readonly codename: string
  readonly date: Date
  readonly validUntil?: Date
  /** Stanzas by architecture. */
  readonly packages: Readonly<Record<string, readonly Readonly<Record<string, string>>[]>>
  readonly components?: string
  readonly origin?: string
}

export function releaseDate(date: Date): string {
  return date.toUTCString().replace('GMT', 'UTC')
}

/** Files below dists/SUITE/, and the text of the Release file that lists them. */
export function suiteFiles(suite: TestSuite): {release: string; files: Map<string, Buffer>} {
  const files = new Map<string, Buffer>()
  for (const [arch, stanzas] of Object.entries(suite.packages)) {
    const plain = Buffer.from(stanzas.map(stanzaText).join('\n'))
    files.set(`main/binary-${arch}/Packages`, plain)
    files.set(`main/binary-${arch}/Packages.gz`, gzipSync(plain))
  }
  const lines = [...files].map(([path, bytes]) => ` ${sha256Hex(bytes)} ${bytes.length} ${path}`)
  const release = [
    `Origin: ${suite.origin ?? 'Ubuntu'}`,
    `Suite: ${suite.suite}`,
    `Codename: ${suite.codename}`,
    `Date: ${releaseDate(suite.date)}`,
    ...(suite.validUntil === undefined ? [] : [`Valid-Until: ${releaseDate(suite.validUntil)}`]),
    `Architectures: ${Object.keys(suite.packages).join(' ')}`,
    `Components: ${suite.components ?? 'main'}`,
    'Acquire-By-Hash: yes',
    'SHA256:',
    ...lines,
  ].join('\n')
  return {release, files}
}

function stanzaText(fields: Readonly<Record<string, string>>): string {
  return `${Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('')}`
}

/** A binary package as an index has it; its .deb is `bytes`. */
export function packageOf(
  name: string,
  version: string,
  depends: string,
  bytes: Buffer = Buffer.from(`${name} ${version}`),
): Record<string, string> {
  return {
    Package: name,
    Version: version,
    Architecture: 'arm64',
    ...(depends === '' ? {} : {Depends: depends}),
    Filename: `pool/main/l/linux/${name}_${version}_arm64.deb`,
    Size: String(bytes.length),
    SHA256: sha256Hex(bytes),
  }
}

export type LoopbackArchive = {
  readonly url: string
  /** By path; a test may change what is served. */
  readonly files: Map<string, Buffer>
  /** Paths in the order in which they were asked for. */
  readonly requests: string[]
  close(): Promise<void>
}

/** Serves files on 127.0.0.1; whatever is not there is 404. */
export async function serveArchive(
  files: Map<string, Buffer> = new Map(),
): Promise<LoopbackArchive> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    requests.push(path)
    const bytes = files.get(path)
    response.writeHead(bytes === undefined ? 404 : 200, {'content-length': bytes?.length ?? 0})
    response.end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as AddressInfo
  return {
    ...{url: `http://127.0.0.1:${port}`, files, requests},
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/** Puts a signed suite below an address path such as /ubuntu/20260331T000000Z. */
export async function publish(
  archive: LoopbackArchive,
  base: string,
  suite: TestSuite,
  keys: readonly TestKey[],
): Promise<void> {
  const {release, files} = suiteFiles(suite)
  const folder = `${base}/dists/${suite.suite}`
  const inRelease = await clearsigned(release, keys, suite.date)
  archive.files.set(`${folder}/InRelease`, inRelease)
  for (const [path, bytes] of files) {
    if (!path.endsWith('.gz')) continue // archives list the plain file and do not serve it
    const byHash = path.replace(/[^/]+$/, `by-hash/SHA256/${sha256Hex(bytes)}`)
    archive.files.set(`${folder}/${byHash}`, bytes)
  }
}
