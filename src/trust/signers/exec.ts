import {RelError} from '../../system/error.ts'
import {runProcess} from '../../system/processes.ts'
import {SIGNATURE_BYTES} from '../ed25519.ts'
import type {Signer} from '../signer.ts'
import {childEnv, SIGNER_TIMEOUT_SECS, type SignerOptions} from './options.ts'

/**
 * Signs with any program: the message on its stdin, 64 bytes or their base64 on its stdout. The
 * command is split at white space and never sees a shell; what needs quoting goes into a script.
 * The public key must be given: asking the program for it would trust whatever it answers.
 * Refuses with signer_unknown, input_required; signing with signer_failed, tool_missing.
 */
export function openExecSigner(command: string, options: SignerOptions): Signer {
  const [file, ...args] = command.trim().split(/\s+/)
  if (!file) throw new RelError('signer_unknown', 'exec: without a command')
  const {publicKey} = options
  if (publicKey === undefined)
    throw new RelError('input_required', 'an exec: signer needs its public key', {
      hint: 'add --public-key FILE',
    })
  const label = `exec:${file}`
  const env = childEnv(options.env)
  return {
    publicKey,
    label,
    sign: async (message) => {
      const run = {timeoutSecs: SIGNER_TIMEOUT_SECS, input: message, env, maxOutput: 4096}
      const {exitCode, stdout} = await runProcess(file, args, run)
      if (exitCode !== 0)
        throw new RelError('signer_failed', `${label} ended with exit code ${exitCode}`)
      return signatureOf(stdout, label)
    },
  }
}

function signatureOf(stdout: Buffer, label: string): Buffer {
  if (stdout.length === SIGNATURE_BYTES) return stdout
  const text = stdout.toString('latin1').trim()
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length === SIGNATURE_BYTES && bytes.toString('base64') === text) return bytes
  const seen = `${stdout.length} bytes on stdout, wanted are 64, or those in base64`
  throw new RelError('signer_failed', `${label}: ${seen}`)
}
