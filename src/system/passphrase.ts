import {closeSync, constants, openSync, writeSync} from 'node:fs'
import type {ReadStream} from 'node:tty'
import {checkGiven, readInto} from './descriptors.ts'
import {RelError} from './error.ts'
import {fileError} from './files.ts'

/** minisign's own limit; longer ones are a file given by mistake. */
const MAX_PASSPHRASE_BYTES = 1024

/** Where a passphrase may come from; the first that is there counts, in this order. */
export type PassphraseSource = {
  /** A descriptor the caller of rel opened. */
  readonly fd?: number
  readonly file?: string
  /** REL_KEY_PASSPHRASE, the last resort: other processes of the user can read it. */
  readonly env?: string
  /** Ask at /dev/tty when nothing else is there. */
  readonly prompt: boolean
}

/**
 * One line of UTF-8, without its line end, in a buffer that the caller overwrites.
 * Refuses with input_required (nobody to ask), passphrase_empty, passphrase_malformed, interrupted,
 * file_missing, file_unreadable.
 */
export async function readPassphrase(source: PassphraseSource, question: string): Promise<Buffer> {
  return checked(given(source) ?? (await ask(source, question)))
}

/** The same for a new key: at a terminal it is asked for twice. Refuses with passphrase_mismatch too. */
export async function readNewPassphrase(
  source: PassphraseSource,
  question: string,
): Promise<Buffer> {
  const bytes = given(source)
  if (bytes !== undefined) return checked(bytes)
  const first = checked(await ask(source, question))
  const second = await ask(source, `${question} (again)`)
  const same = first.equals(second)
  second.fill(0)
  if (same) return first
  first.fill(0)
  throw new RelError('passphrase_mismatch', 'the two passphrases differ')
}

/** Holds what was asked for until forget() overwrites it. */
export class Passphrases {
  readonly #held: Buffer[] = []

  async hold(asking: Promise<Buffer>): Promise<Buffer> {
    const bytes = await asking
    this.#held.push(bytes)
    return bytes
  }

  /** The one that was asked for first, if any was. */
  get first(): Buffer | undefined {
    return this.#held[0]
  }

  forget(): void {
    for (const bytes of this.#held) bytes.fill(0)
    this.#held.length = 0
  }
}

function given({fd, file, env}: PassphraseSource): Buffer | undefined {
  if (fd !== undefined) {
    checkGiven(fd)
    return readDescriptor(fd, `descriptor ${fd}`)
  }
  if (file !== undefined) return readFile(file)
  return env === undefined ? undefined : Buffer.from(env, 'utf8')
}

function checked(bytes: Buffer): Buffer {
  const line = withoutLineEnd(bytes)
  const refuse = (code: 'passphrase_empty' | 'passphrase_malformed', message: string): never => {
    bytes.fill(0)
    throw new RelError(code, message)
  }
  if (line.length === 0) refuse('passphrase_empty', 'the passphrase is empty')
  if (line.length > MAX_PASSPHRASE_BYTES)
    refuse('passphrase_malformed', `the passphrase has more than ${MAX_PASSPHRASE_BYTES} bytes`)
  if (line.some((byte) => byte === 0x0a || byte === 0x0d || byte === 0))
    refuse('passphrase_malformed', 'the passphrase is more than one line')
  if (!isUtf8(line)) refuse('passphrase_malformed', 'the passphrase is not UTF-8')
  return line
}

function withoutLineEnd(bytes: Buffer): Buffer {
  let end = bytes.length
  if (bytes[end - 1] === 0x0a) end--
  if (bytes[end - 1] === 0x0d) end--
  return bytes.subarray(0, end)
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', {fatal: true}).decode(bytes)
    return true
  } catch {
    return false
  }
}

function readDescriptor(fd: number, name: string): Buffer {
  const buffer = Buffer.alloc(MAX_PASSPHRASE_BYTES + 3)
  return buffer.subarray(0, readInto(fd, buffer, name))
}

function readFile(path: string): Buffer {
  let fd: number
  try {
    // O_NONBLOCK: a FIFO that nobody writes to must not hang the open
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  try {
    return readDescriptor(fd, path)
  } finally {
    closeSync(fd)
  }
}

/** The terminal itself, whatever stdin and stdout are bound to. */
async function ask({prompt}: PassphraseSource, question: string): Promise<Buffer> {
  const fd = prompt ? openTerminal() : undefined
  if (fd === undefined) {
    const message = `${question}: a passphrase is needed and there is nobody to ask`
    throw new RelError('input_required', message, {
      hint: 'give --passphrase-fd or --passphrase-file',
    })
  }
  const {ReadStream} = await import('node:tty') // most passphrases come without a terminal
  const terminal = new ReadStream(fd)
  terminal.setRawMode(true)
  try {
    writeSync(fd, `${question}: `)
    return await readLine(terminal)
  } finally {
    terminal.setRawMode(false)
    writeSync(fd, '\n')
    terminal.destroy()
  }
}

function openTerminal(): number | undefined {
  try {
    return openSync('/dev/tty', 'r+')
  } catch {
    return undefined
  }
}

function readLine(terminal: ReadStream): Promise<Buffer> {
  const line = new SecretLine()
  return new Promise((resolve, reject) => {
    terminal.on('data', (chunk: Buffer) => {
      for (const byte of chunk) {
        const done = line.take(byte)
        if (done === 'more') continue
        if (done === 'line') resolve(line.bytes())
        else reject(new RelError('interrupted', 'interrupted at the passphrase'))
        break
      }
      chunk.fill(0)
    })
    terminal.on('error', reject)
    terminal.on('end', () => resolve(line.bytes()))
  })
}

/** What is typed without echo: the few editing keys that people expect, byte by byte. */
class SecretLine {
  readonly #buffer = Buffer.alloc(MAX_PASSPHRASE_BYTES + 2)
  #length = 0

  take(byte: number): 'more' | 'line' | 'interrupt' {
    if (byte === 0x0d || byte === 0x0a || byte === 0x04) return 'line'
    if (byte === 0x03) return 'interrupt'
    if (byte === 0x15) this.#length = 0
    else if (byte === 0x7f || byte === 0x08) this.#erase()
    else if (this.#length < this.#buffer.length) this.#buffer[this.#length++] = byte
    return 'more'
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** One character: UTF-8 continuation bytes go with their first byte. */
  #erase(): void {
    while (this.#length > 0) {
      this.#length--
      if (((this.#buffer[this.#length] ?? 0) & 0xc0) !== 0x80) return
    }
  }
}
