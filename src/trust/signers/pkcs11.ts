import {RelError} from '../../system/error.ts'
import {readPassphrase} from '../../system/passphrase.ts'
import {runProcess} from '../../system/processes.ts'
import type {PublicKey} from '../ed25519.ts'
import {parsePublicKey} from '../public-key.ts'
import type {Signer} from '../signer.ts'
import {childEnv, SIGNER_TIMEOUT_SECS, type SignerOptions} from './options.ts'
import {type Pkcs11Key, parsePkcs11Uri} from './pkcs11-uri.ts'
import {sameKey} from './verified.ts'

const TOOL = 'pkcs11-tool'
/** The PIN goes to the tool in its environment: arguments can be read by every user. */
const PIN_VARIABLE = 'REL_PKCS11_PIN'

type Token = {readonly key: Pkcs11Key; readonly label: string; readonly env: Record<string, string>}

/**
 * Signs on a PKCS#11 token through OpenSC's pkcs11-tool. The PIN comes from the URI's pin-source,
 * or as a passphrase does. Refuses with signer_unknown, signer_failed, tool_missing, key_mismatch.
 */
export async function openPkcs11Signer(uri: string, options: SignerOptions): Promise<Signer> {
  const key = parsePkcs11Uri(uri)
  const label = `pkcs11:${key.object ?? key.id}`
  const token = {key, label, env: childEnv(options.env)}
  const publicKey = await publicKeyOf(token, options.publicKey)
  const pin = await readPin(key, label, options)
  const variables = {...token.env, [PIN_VARIABLE]: pin.toString('utf8')}
  pin.fill(0)
  return {
    publicKey,
    label,
    sign: (message) => {
      const args = ['--login', '--pin', `env:${PIN_VARIABLE}`, '--sign', '--mechanism', 'EDDSA']
      return run({...token, env: variables}, args, message)
    },
    close: () => {
      variables[PIN_VARIABLE] = ''
    },
  }
}

async function publicKeyOf(token: Token, wanted: PublicKey | undefined): Promise<PublicKey> {
  if (wanted !== undefined) return wanted // the first signature proves it
  const bytes = await run(token, ['--read-object', '--type', 'pubkey'])
  return sameKey(token.label, parsePublicKey(bytes), wanted)
}

async function readPin(key: Pkcs11Key, label: string, options: SignerOptions): Promise<Buffer> {
  const {pinSource} = key
  if (pinSource === undefined) return options.secret(`PIN for ${label}`)
  if (pinSource.kind === 'file')
    return readPassphrase({file: pinSource.name, prompt: false}, `PIN for ${label}`)
  const env = options.env[pinSource.name]
  if (env === undefined)
    throw new RelError('input_required', `${pinSource.name}, the pin-source, is not set`)
  return readPassphrase({env, prompt: false}, `PIN for ${label}`)
}

async function run(token: Token, action: readonly string[], input?: Uint8Array): Promise<Buffer> {
  const {exitCode, stdout} = await runProcess(TOOL, [...addressOf(token.key), ...action], {
    timeoutSecs: SIGNER_TIMEOUT_SECS,
    env: token.env,
    maxOutput: 16_384,
    ...(input === undefined ? {} : {input}),
  })
  if (exitCode === 0) return stdout
  throw new RelError('signer_failed', `${TOOL} for ${token.label} ended with exit code ${exitCode}`)
}

/** One argument per value, so that none can be taken for an option. */
function addressOf({module, token, slot, object, id}: Pkcs11Key): string[] {
  return [
    `--module=${module}`,
    ...(token === undefined ? [] : [`--token-label=${token}`]),
    ...(slot === undefined ? [] : [`--slot=${slot}`]),
    ...(object === undefined ? [] : [`--label=${object}`]),
    ...(id === undefined ? [] : [`--id=${id}`]),
  ]
}
