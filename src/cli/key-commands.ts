import {join} from 'node:path'
import {Passphrases, readNewPassphrase} from '../system/passphrase.ts'
import {shellWords} from '../system/shell-word.ts'
import type {PublicKey} from '../trust/ed25519.ts'
import {shortId} from '../trust/envelope.ts'
import {
  createKey,
  type KeyEntry,
  type KeyPlan,
  listKeys,
  nameOfFile,
  planKey,
  publicKeyPath,
  savePublicKey,
  saveSecretKey,
  withKeyFile,
} from '../trust/key-store.ts'
import {deriveMinisignKeyId, showMinisignKeyId} from '../trust/minisign.ts'
import {formatPublicKey} from '../trust/public-key.ts'
import type {SecretKey, SecretKeyFormat} from '../trust/secret-key.ts'
import {sshFingerprint} from '../trust/signers/ssh-agent.ts'
import type {Outcome} from './base-command.ts'
import {type KeyFileFlagValues, keyFileOptions, passphraseSource} from './key-flags.ts'

type NewKeyFlags = {
  readonly format: SecretKeyFormat
  readonly 'no-passphrase': boolean
  readonly 'dry-run': boolean
  readonly 'passphrase-fd'?: number | undefined
  readonly 'passphrase-file'?: string | undefined
  readonly input: boolean
}

/** `rel keys new`: the files are planned before a passphrase is asked for. */
export async function newKey(name: string, flags: NewKeyFlags): Promise<Outcome> {
  const root = process.cwd()
  const plan = planKey(root, name, 'both')
  if (flags['dry-run']) return planned(plan)
  const passphrases = new Passphrases()
  try {
    const passphrase = await newPassphrase(name, flags, passphrases)
    const key = await createKey(root, plan, {format: flags.format, ...(passphrase && {passphrase})})
    return saved('new key', plan, key, passphrase !== undefined)
  } finally {
    passphrases.forget()
  }
}

type ImportFlags = NewKeyFlags &
  KeyFileFlagValues & {readonly name?: string | undefined; readonly public: boolean}

/** `rel keys import`: a private key keeps its passphrase, or gets one. */
export async function importKey(file: string, flags: ImportFlags): Promise<Outcome> {
  const name = flags.name ?? nameOfFile(file)
  planKey(process.cwd(), name, 'public')
  const {secret, ...options} = keyFileOptions(flags)
  const passphrases = new Passphrases()
  const passphrase = () => passphrases.hold(secret(`Passphrase for ${file}`))
  try {
    const open = {...options, isPublic: flags.public, passphrase}
    return await withKeyFile(file, open, (opened) =>
      opened.half === 'public'
        ? importPublic(name, opened.key, flags)
        : importSecret(name, opened.key, flags, passphrases),
    )
  } finally {
    passphrases.forget()
  }
}

async function importPublic(name: string, key: PublicKey, flags: ImportFlags): Promise<Outcome> {
  const plan = planKey(process.cwd(), name, 'public')
  if (flags['dry-run']) return planned(plan, key)
  savePublicKey(process.cwd(), plan, key)
  return saved('public key', plan, key, false)
}

async function importSecret(
  name: string,
  key: SecretKey,
  flags: ImportFlags,
  passphrases: Passphrases,
): Promise<Outcome> {
  const plan = planKey(process.cwd(), name, 'both')
  if (flags['dry-run']) return planned(plan, key.publicKey)
  const kept = flags['no-passphrase'] ? undefined : passphrases.first
  const passphrase = kept ?? (await newPassphrase(name, flags, passphrases))
  const storage = {format: flags.format, ...(passphrase && {passphrase})}
  await saveSecretKey(process.cwd(), plan, key, storage)
  return saved('imported key', plan, key.publicKey, passphrase !== undefined)
}

async function newPassphrase(
  name: string,
  flags: NewKeyFlags,
  passphrases: Passphrases,
): Promise<Buffer | undefined> {
  if (flags['no-passphrase']) return undefined
  const source = passphraseSource(flags, process.env)
  return passphrases.hold(readNewPassphrase(source, `New passphrase for ${name}`))
}

function planned({name, secretPath, publicPath}: KeyPlan, key?: PublicKey): Outcome {
  const lines = [
    ...(key === undefined ? [] : [`key id: ${shortId(key.keyId)}`]),
    ...(secretPath === undefined ? [] : [`would write ${secretPath} (private, mode 0600)`]),
    `would write ${publicPath} (public)`,
  ]
  const result = {
    name,
    dry_run: true,
    public_path: publicPath,
    ...(secretPath === undefined ? {} : {secret_path: secretPath}),
    ...(key === undefined ? {} : {key_id: key.keyId}),
  }
  return {result, lines}
}

function saved(what: string, plan: KeyPlan, key: PublicKey, encrypted: boolean): Outcome {
  const {name, secretPath, publicPath} = plan
  const protection = encrypted ? 'encrypted' : 'in the clear'
  const files = secretPath === undefined ? [publicPath] : [secretPath, publicPath]
  return {
    result: {
      name,
      dry_run: false,
      key_id: key.keyId,
      public_path: publicPath,
      ...(secretPath === undefined ? {} : {secret_path: secretPath, encrypted}),
    },
    lines: [
      `✔ ${what} ${name}, id ${shortId(key.keyId)}`,
      ...(secretPath === undefined ? [] : [`private: ${secretPath} (0600, ${protection})`]),
      `public:  ${publicPath}`,
    ],
    undo: `rm ${shellWords(files)}`,
    next: secretPath === undefined ? `rel keys show ${name}` : `rel sign DIR --key ${name}`,
    ...(secretPath === undefined || encrypted
      ? {}
      : {warnings: ['whoever reads the private key file can sign: it has no passphrase']}),
  }
}

/** `rel keys list`. */
export function listKeyFiles(): Outcome {
  const keys = listKeys(process.cwd())
  const width = Math.max(0, ...keys.map(({name}) => name.length))
  return {
    result: {keys: keys.map(entryResult)},
    lines: keys.length === 0 ? ['no keys'] : keys.map((key) => entryLine(key, width)),
    ...(keys.length === 0 ? {next: 'rel keys new NAME'} : {}),
  }
}

function entryResult({name, keyId, publicPath, secretPath, problem}: KeyEntry) {
  return {
    name,
    key_id: keyId ?? null,
    public_path: publicPath ?? null,
    secret_path: secretPath ?? null,
    problem: problem ?? null,
  }
}

function entryLine({name, keyId, publicPath, secretPath, problem}: KeyEntry, width: number) {
  const id = keyId === undefined ? (problem ?? 'no public half').padEnd(16) : shortId(keyId)
  const halves = [publicPath && 'public', secretPath && 'private'].filter(Boolean).join(' + ')
  return `${name.padEnd(width)}  ${id}  ${halves}`
}

/** `rel keys show`. */
export async function showKey(
  nameOrPath: string,
  flags: KeyFileFlagValues & {readonly public: boolean},
): Promise<Outcome> {
  const path = publicKeyPath(process.cwd(), nameOrPath)
  const isNamed = path === join(process.cwd(), 'rel.keys', `${nameOrPath}.pub`)
  const {secret, ...options} = keyFileOptions(flags)
  const passphrases = new Passphrases()
  const passphrase = () => passphrases.hold(secret(`Passphrase for ${path}`))
  try {
    const open = {...options, passphrase, isPublic: flags.public || isNamed}
    return await withKeyFile(path, open, async ({half, key}) =>
      shown(half === 'private' ? publicHalf(key) : key),
    )
  } finally {
    passphrases.forget()
  }
}

type ShownKey = PublicKey & {readonly minisignKeyId?: Uint8Array}

function publicHalf({publicKey, minisignKeyId}: SecretKey): ShownKey {
  return {...publicKey, ...(minisignKeyId && {minisignKeyId})}
}

function shown(key: ShownKey): Outcome {
  const texts = formatPublicKey(key)
  const minisignKeyId = showMinisignKeyId(key.minisignKeyId ?? deriveMinisignKeyId(key))
  const sshName = sshFingerprint(key.raw)
  const formats = Object.entries(texts)
  return {
    result: {
      key_id: key.keyId,
      minisign_key_id: minisignKeyId,
      ssh_fingerprint: sshName,
      public_key: texts,
    },
    lines: [
      `key id    ${shortId(key.keyId)}`,
      `minisign  ${minisignKeyId}`,
      `ssh       ${sshName}`,
      ...formats.flatMap(([format, text]) => ['', `${format}:`, ...text.trimEnd().split('\n')]),
    ],
  }
}
