import {mkdirSync, readdirSync, rmSync} from 'node:fs'
import {basename, extname, join} from 'node:path'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import type {PublicKey} from './ed25519.ts'
import {detectKeyFormat, MAX_KEY_FILE_BYTES} from './key-formats/detect.ts'
import {formatPublicKey, type ParsedPublicKey, parsePublicKey, readPublicKey} from './public-key.ts'
import {
  destroySecretKey,
  formatSecretKey,
  generateSecretKey,
  type OpenSecretKeyOptions,
  readSecretKey,
  type SecretKey,
  type SecretKeyFormat,
} from './secret-key.ts'

/** Private keys: never committed, 0600 in a folder of mode 0700. */
const SECRET_FOLDER = join('.rel', 'keys')
/** Public halves: to be committed. */
const PUBLIC_FOLDER = 'rel.keys'

/** Where the halves of a named key are, relative to the project's root. */
export type KeyPlan = {
  readonly name: string
  readonly publicPath: string
  /** Absent when only a public key is imported. */
  readonly secretPath?: string
}

/**
 * What `keys new` and `keys import` will write. Refuses with key_name_invalid, and with file_exists
 * when either half is there: a private key that is overwritten is gone.
 */
export function planKey(root: string, name: string, half: 'both' | 'public'): KeyPlan {
  const {secretPath, publicPath} = keyPaths(name)
  const paths = half === 'public' ? [publicPath] : [secretPath, publicPath]
  for (const path of paths) {
    if (statIfThere(join(root, path)) !== undefined)
      throw new RelError('file_exists', `${path} exists already, and keys are never overwritten`)
  }
  return half === 'public' ? {name, publicPath} : {name, publicPath, secretPath}
}

function keyPaths(name: string): {secretPath: string; publicPath: string} {
  if (!isKeyName(name)) {
    const wanted = 'letters, digits, dot, dash and underscore, 64 at most, no dot or dash first'
    throw new RelError('key_name_invalid', `a key is named with ${wanted}`)
  }
  const secretPath = join(SECRET_FOLDER, `${name}.key`)
  return {secretPath, publicPath: join(PUBLIC_FOLDER, `${name}.pub`)}
}

function isKeyName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(name)
}

/** How a private key is written down: with a passphrase, or, without one, in the clear. */
export type SecretStorage = {
  readonly format: SecretKeyFormat
  readonly passphrase?: Uint8Array
}

/** Makes a key and writes both halves. */
export async function createKey(
  root: string,
  plan: KeyPlan,
  storage: SecretStorage,
): Promise<PublicKey> {
  const key = generateSecretKey()
  try {
    await saveSecretKey(root, plan, key, storage)
    return key.publicKey
  } finally {
    destroySecretKey(key)
  }
}

/**
 * Writes both halves of an opened key; when the second cannot be written, the first is removed.
 * Refuses with key_folder_unsafe, file_exists, write_failed, disk_full.
 */
export async function saveSecretKey(
  root: string,
  plan: KeyPlan,
  key: SecretKey,
  {format, passphrase}: SecretStorage,
): Promise<void> {
  const {secretPath = keyPaths(plan.name).secretPath} = plan
  const text = await formatSecretKey(key, format, passphrase)
  makeSecretFolder(root)
  writeFileAtomic(join(root, secretPath), text, {mode: 0o600, exclusive: true})
  try {
    savePublicKey(root, plan, key.publicKey)
  } catch (error) {
    rmSync(join(root, secretPath), {force: true})
    throw error
  }
}

/** Writes the public half as SPKI PEM. */
export function savePublicKey(root: string, plan: KeyPlan, key: PublicKey): void {
  makeFolder(join(root, PUBLIC_FOLDER), 0o755)
  const {pem} = formatPublicKey(key)
  writeFileAtomic(join(root, plan.publicPath), pem, {mode: 0o644, exclusive: true})
}

/** All that .rel/.gitignore may say; a later line could take files out again. */
const IGNORE_ALL = '*\n'

/**
 * `.rel/.gitignore` first, so that no private key is ever there without it. What is there already
 * may have come with a repository or been prepared by another user.
 * Refuses with key_folder_unsafe.
 */
function makeSecretFolder(root: string): void {
  makePrivateFolder(root, '.rel')
  const ignore = join(root, '.rel', '.gitignore')
  if (statIfThere(ignore) === undefined) writeFileAtomic(ignore, IGNORE_ALL)
  checkIgnore(ignore)
  makePrivateFolder(root, SECRET_FOLDER)
}

/** A real directory of ours in which nobody else can put, swap or remove names. */
function makePrivateFolder(root: string, name: string): void {
  const path = join(root, name)
  makeFolder(path, 0o700)
  const stat = statIfThere(path)
  if (stat?.isDirectory() !== true) throw unsafe(`${name} is not a directory itself`)
  if (process.geteuid !== undefined && stat.uid !== process.geteuid())
    throw unsafe(`${name} belongs to another user`)
  if ((stat.mode & 0o022) !== 0) throw unsafe(`${name} can be written by group or others`)
}

function checkIgnore(path: string): void {
  const isFile = statIfThere(path)?.isFile() === true
  const text = isFile ? readFileLimited(path, 1024).toString('utf8') : ''
  if (text.trimEnd() !== IGNORE_ALL.trimEnd())
    throw unsafe('.rel/.gitignore does not say * and nothing more')
}

function unsafe(seen: string): RelError {
  return new RelError('key_folder_unsafe', `no private key is written here: ${seen}`)
}

function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, {recursive: true, mode})
  } catch (error) {
    throw fileError(error, path, 'write')
  }
}

/** A private key by name or path; a path that could be a name is written ./NAME. */
export function secretKeyPath(root: string, nameOrPath: string): string {
  return resolve(root, nameOrPath, (name) => keyPaths(name).secretPath)
}

/** A public key by name or path. */
export function publicKeyPath(root: string, nameOrPath: string): string {
  return resolve(root, nameOrPath, (name) => keyPaths(name).publicPath)
}

/** Refuses with key_not_found when a bare word is neither a name nor a file. */
function resolve(root: string, nameOrPath: string, pathOf: (name: string) => string): string {
  if (!isKeyName(nameOrPath)) return nameOrPath
  const named = join(root, pathOf(nameOrPath))
  if (statIfThere(named) !== undefined) return named
  if (statIfThere(nameOrPath) !== undefined) return nameOrPath
  const message = `there is no file ${nameOrPath}, and no key of that name at ${pathOf(nameOrPath)}`
  throw new RelError('key_not_found', message)
}

/** A key file that may hold either half; of a private key only the public half is kept. */
export type KeyFile =
  | {readonly half: 'public'; readonly key: ParsedPublicKey}
  | {readonly half: 'private'; readonly key: SecretKey}

async function openKeyFile(
  path: string,
  options: OpenSecretKeyOptions & {readonly isPublic: boolean},
): Promise<KeyFile> {
  const {format, isPublic} = options
  if (isPublic) return {half: 'public', key: readPublicKey(path, format)}
  const key = publicKeyIn(path, options)
  if (key !== undefined) return {half: 'public', key}
  return {half: 'private', key: await readSecretKey(path, options)}
}

/** Undefined for a private key, and for raw bytes, which could be one. */
function publicKeyIn(
  path: string,
  {format}: Pick<OpenSecretKeyOptions, 'format'>,
): ParsedPublicKey | undefined {
  const bytes = readFileLimited(path, MAX_KEY_FILE_BYTES)
  try {
    if ((format ?? detectKeyFormat(bytes)) === 'raw') return undefined
    return parsePublicKey(bytes, format)
  } catch (error) {
    if (error instanceof RelError && error.code === 'key_private') return undefined
    throw error
  } finally {
    bytes.fill(0)
  }
}

/**
 * Opens a key file of either half while `use` runs, then overwrites what was private. 32 bytes
 * without any format can be either: they are taken for a private key unless `isPublic`, so that a
 * private key is never printed as if it were public.
 * Refuses with the codes of parsePublicKey and readSecretKey.
 */
export async function withKeyFile<Result>(
  path: string,
  options: OpenSecretKeyOptions & {readonly isPublic: boolean},
  use: (file: KeyFile) => Promise<Result>,
): Promise<Result> {
  const file = await openKeyFile(path, options)
  try {
    return await use(file)
  } finally {
    if (file.half === 'private') destroySecretKey(file.key)
  }
}

/** A name for an imported key when none was given: that of its file. */
export function nameOfFile(path: string): string {
  return basename(path, extname(path))
}

/** One line of `rel keys list`; a public half that cannot be read has a code instead of an id. */
export type KeyEntry = {
  readonly name: string
  readonly publicPath?: string
  readonly secretPath?: string
  readonly keyId?: string
  readonly problem?: ErrorCode
}

/** The keys of a project by name. */
export function listKeys(root: string): KeyEntry[] {
  const secrets = namesIn(join(root, SECRET_FOLDER), '.key')
  const publics = namesIn(join(root, PUBLIC_FOLDER), '.pub')
  const names = [...new Set([...secrets, ...publics])].sort()
  return names.map((name) => {
    const {secretPath, publicPath} = keyPaths(name)
    return {
      name,
      ...(secrets.includes(name) ? {secretPath} : {}),
      ...(publics.includes(name) ? {publicPath, ...identify(join(root, publicPath))} : {}),
    }
  })
}

function identify(path: string): {keyId: string} | {problem: ErrorCode} {
  try {
    return {keyId: readPublicKey(path).keyId}
  } catch (error) {
    if (error instanceof RelError) return {problem: error.code}
    throw error
  }
}

function namesIn(folder: string, extension: string): string[] {
  if (statIfThere(folder) === undefined) return []
  const files = filesIn(folder).filter((file) => file.endsWith(extension))
  return files.map((file) => file.slice(0, -extension.length)).filter(isKeyName)
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    throw fileError(error, folder, 'read')
  }
}
