import {readFileSync} from 'node:fs'
import {publicKeyFromRaw, verifyEd25519} from '../../../src/trust/ed25519.ts'

export type Ed25519Case = {
  readonly pk: string
  readonly msg: string
  readonly sig: string
  readonly result?: 'valid' | 'invalid'
  readonly sk?: string
  readonly comment?: string
}

/** The cases of a file beside this one. */
export function readCases(name: string): Ed25519Case[] {
  const text = readFileSync(new URL(name, import.meta.url), 'utf8')
  return (JSON.parse(text) as {tests: Ed25519Case[]}).tests
}

/** rel's verdict; a key that is refused when it is loaded accepts nothing. */
export function verdict({pk, msg, sig}: Ed25519Case): 'V' | 'X' {
  const [key, message, signature] = [pk, msg, sig].map((hex) => Buffer.from(hex, 'hex'))
  if (!key || !message || !signature) throw new Error('three fields are three buffers')
  try {
    return verifyEd25519(publicKeyFromRaw(key), message, signature) ? 'V' : 'X'
  } catch {
    return 'X'
  }
}

/** Every file in one row per file, for comparison between versions of Node. */
export function allVerdicts(): string {
  const files = ['rfc8032.json', 'wycheproof-ed25519.json', 'speccheck.json']
  return files.map((file) => readCases(file).map(verdict).join('')).join('\n')
}
