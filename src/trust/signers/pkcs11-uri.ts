import {RelError} from '../../system/error.ts'

/** A key on a token (RFC 7512), as far as rel needs it. */
export type Pkcs11Key = {
  /** The PKCS#11 library of the token's maker. */
  readonly module: string
  readonly token?: string
  /** Label of the key, CKA_LABEL. */
  readonly object?: string
  /** CKA_ID in hex. */
  readonly id?: string
  readonly slot?: string
  readonly pinSource?: {readonly kind: 'file' | 'env'; readonly name: string}
}

/** `pkcs11:token=T;object=O?module-path=/x.so&pin-source=file:/p`. Refuses with signer_unknown. */
export function parsePkcs11Uri(uri: string): Pkcs11Key {
  const [path = '', query = '', ...more] = uri.replace(/^pkcs11:/, '').split('?')
  if (more.length > 0) throw refused('more than one ?')
  const key: {-readonly [Name in keyof Pkcs11Key]?: Pkcs11Key[Name]} = {}
  for (const [name, value] of [...attributes(path, ';'), ...attributes(query, '&')]) {
    const text = name === 'id' ? value.toString('hex') : textOf(value)
    if (name === 'token') key.token = text
    else if (name === 'object') key.object = text
    else if (name === 'id') key.id = text
    else if (name === 'slot-id') key.slot = text
    else if (name === 'module-path') key.module = text
    else if (name === 'pin-source') key.pinSource = pinSource(text)
    else if (name === 'pin-value') throw refused('pin-value puts the PIN where all can read it')
    else if (name !== 'type' || text !== 'private')
      throw refused(`attribute ${JSON.stringify(name)}`)
  }
  const {module, object, id} = key
  if (module === undefined) throw refused('module-path=/path/to/library.so is missing')
  if (object === undefined && id === undefined) throw refused('object= or id= is missing')
  return {...key, module}
}

function* attributes(text: string, separator: string): Generator<[string, Buffer]> {
  const seen = new Set<string>()
  for (const part of text.split(separator)) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = equals === -1 ? part : part.slice(0, equals)
    if (seen.has(name)) throw refused(`attribute ${JSON.stringify(name)} twice`)
    seen.add(name)
    yield [name, percentDecoded(equals === -1 ? '' : part.slice(equals + 1))]
  }
}

/** To bytes, not text: an id is any bytes. */
function percentDecoded(text: string): Buffer {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw refused('a % without two hex digits')
  const escaped = Buffer.from(text, 'utf8').toString('latin1')
  const bytes = escaped.replace(/%(..)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1')
}

/** What becomes an argument or a path, which NUL would end early. */
function textOf(value: Buffer): string {
  if (value.includes(0)) throw refused('a NUL character')
  return value.toString('utf8')
}

function pinSource(text: string): {kind: 'file' | 'env'; name: string} {
  const [, kind, name] = /^(file|env):(.+)$/.exec(text) ?? []
  if (name === undefined || (kind !== 'file' && kind !== 'env'))
    throw refused('pin-source is file:PATH or env:NAME')
  return {kind, name}
}

function refused(seen: string): RelError {
  return new RelError('signer_unknown', `the pkcs11 URI could not be used: ${seen}`)
}
