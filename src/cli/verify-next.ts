import {statIfThere} from '../system/files.ts'
import {shellWord} from '../system/shell-word.ts'
import {publicKeyPath} from '../trust/key-store.ts'

/** The command that verifies what was just made, with whoever is known in this folder. */
export function verifyNext(path: string, key?: string): string {
  if (statIfThere('trust.json') !== undefined)
    return `rel verify ${shellWord(path)} --trust trust.json`
  return `rel verify ${shellWord(path)} --public-key ${publicHalf(key) ?? 'FILE'}`
}

/** The public key file of a named key; of a private key file none is known. */
function publicHalf(key: string | undefined): string | undefined {
  if (key === undefined || key.includes('/')) return undefined
  const path = publicKeyPath('', key)
  return path.endsWith('.pub') ? path : undefined
}
