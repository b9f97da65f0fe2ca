import {RelError} from '../../system/error.ts'
import type {Signer} from '../signer.ts'
import type {SignerOptions} from './options.ts'
import {verifiedSigner} from './verified.ts'

/**
 * Opens whoever holds the private key: `file:PATH`, `exec:COMMAND ARG…`, `pkcs11:URI` (RFC 7512) or
 * `ssh-agent:SHA256:…|COMMENT` (docs/formats/keys.md). Every signature it makes is verified.
 * Refuses with signer_unknown, signer_failed and the codes of the holder.
 */
export async function openSigner(spec: string, options: SignerOptions): Promise<Signer> {
  return verifiedSigner(await openHolder(spec, options))
}

async function openHolder(spec: string, options: SignerOptions): Promise<Signer> {
  const [, kind = '', address = ''] = /^([a-z0-9-]+):(.*)$/s.exec(spec) ?? []
  switch (kind) {
    case 'file':
      return (await import('./file.ts')).openFileSigner(address, options)
    case 'exec':
      return (await import('./exec.ts')).openExecSigner(address, options)
    case 'pkcs11':
      return (await import('./pkcs11.ts')).openPkcs11Signer(spec, options)
    case 'ssh-agent':
      return (await import('./ssh-agent.ts')).openAgentSigner(address, options)
    default:
      throw new RelError(
        'signer_unknown',
        'a signer begins with file:, exec:, pkcs11: or ssh-agent:',
      )
  }
}
