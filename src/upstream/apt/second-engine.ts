import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../../system/error.ts'
import {fileError, readFileLimited, statIfThere} from '../../system/files.ts'
import {type ProcessResult, runProcess} from '../../system/processes.ts'
import {MAX_IN_RELEASE_BYTES} from './clearsign.ts'
import type {VerifiedText} from './in-release.ts'

/** Primary fingerprints, upper case, that an engine found valid signatures of. */
type Opinion = {
  readonly engine: string
  readonly good: readonly string[]
  /** What it takes for signed, when it has written that. */
  readonly text?: string | undefined
}

const TIMEOUT_SECS = 60

/**
 * Asks gpgv and sqv, whichever are installed, for the signers of a message that openpgp.js has
 * verified, with the same pinned keys. Returns the engines that agree. Refuses with
 * openpgp_engines_disagree: parsers of signed text have been fooled one at a time (CVE-2019-11841).
 */
export async function askSecondEngines(
  verified: VerifiedText,
  scratch: string,
): Promise<readonly string[]> {
  const folder = scratchFolder(scratch)
  try {
    writeFileSync(join(folder, 'keys.gpg'), verified.keyring, {mode: 0o600})
    writeMessage(folder, verified)
    const {form} = verified.message
    const opinions = [await askGpgv(folder, form), await askSqv(folder)]
    return opinions.flatMap((opinion) => (opinion === undefined ? [] : agreeing(opinion, verified)))
  } finally {
    rmSync(folder, {recursive: true, force: true})
  }
}

/** InRelease for gpgv; for sqv, and for what is signed apart, the signed bytes and the signature. */
function writeMessage(folder: string, {message, text}: VerifiedText): void {
  const write = (name: string, content: string | Uint8Array) =>
    writeFileSync(join(folder, name), content, {mode: 0o600})
  if (message.form === 'detached') {
    write('text', message.file.bytes)
    write('signature', message.file.signature)
    return
  }
  write('InRelease', message.frame.armored)
  write('text', text.replaceAll('\n', '\r\n'))
  write('signature', message.frame.signature)
}

function scratchFolder(scratch: string): string {
  try {
    return mkdtempSync(join(scratch, 'rel-openpgp-'))
  } catch (error) {
    throw fileError(error, scratch, 'write')
  }
}

function agreeing(
  {engine, good, text}: Opinion,
  {verdicts, text: ourText}: VerifiedText,
): string[] {
  const valid = verdicts.filter((verdict) => verdict.state === 'valid')
  // gpgv judges keys by today's date, sqv by that of the signature, as rel does
  const counted = engine === 'gpgv' ? valid.filter(({isCurrent}) => isCurrent) : valid
  const ours = listed(counted.map(({fingerprint}) => fingerprint))
  const theirs = listed(good)
  if (text !== undefined && text.replace(/[ \t]+$/gm, '') !== `${ourText}\n`)
    throw new RelError('openpgp_engines_disagree', `${engine} takes another text for signed`)
  if (ours === theirs) return [engine]
  throw new RelError(
    'openpgp_engines_disagree',
    `openpgp.js finds signatures of ${ours || 'nobody'}, ${engine} of ${theirs || 'nobody'}`,
  )
}

function listed(fingerprints: readonly string[]): string {
  return [...new Set(fingerprints)].sort().join(' ')
}

async function askGpgv(
  folder: string,
  form: VerifiedText['message']['form'],
): Promise<Opinion | undefined> {
  const args = ['--status-fd', '1', '--homedir', folder, '--keyring', join(folder, 'keys.gpg')]
  const files =
    form === 'detached'
      ? [join(folder, 'signature'), join(folder, 'text')]
      : ['--output', join(folder, 'gpgv-text'), join(folder, 'InRelease')]
  const ran = await runIfThere('gpgv', [...args, ...files])
  if (ran === undefined) return undefined
  return {
    engine: 'gpgv',
    good: gpgvSigners(ran.stdout.toString('utf8')),
    text: readIfThere(join(folder, 'gpgv-text')),
  }
}

/**
 * The primary fingerprints in gpgv's status lines (GnuPG doc/DETAILS). Its exit code says nothing:
 * it is 2 as soon as one key of several is unknown. VALIDSIG follows EXPKEYSIG and REVKEYSIG too, so
 * it counts only right after GOODSIG, and with a hash of SHA-256 or better (RFC 9580 9.5).
 */
export function gpgvSigners(status: string): readonly string[] {
  const good: string[] = []
  let isGood = false
  for (const line of status.split('\n')) {
    const [, word = '', rest = ''] = /^\[GNUPG:\] (\S+) ?(.*)$/.exec(line) ?? []
    if (word === 'NEWSIG' || word.endsWith('SIG'))
      isGood = word === 'GOODSIG' || (isGood && word === 'VALIDSIG')
    if (word !== 'VALIDSIG' || !isGood) continue
    const fields = rest.split(' ')
    const primary = fields[9] ?? fields[0] ?? ''
    if (['8', '9', '10', '12', '14'].includes(fields[7] ?? '')) good.push(primary.toUpperCase())
  }
  return good
}

async function askSqv(folder: string): Promise<Opinion | undefined> {
  const args = ['--keyring', join(folder, 'keys.gpg'), join(folder, 'signature')]
  const ran = await runIfThere('sqv', [...args, join(folder, 'text')])
  if (ran === undefined) return undefined
  const lines = ran.stdout.toString('utf8').split('\n')
  return {engine: 'sqv', good: lines.filter((line) => /^[0-9A-F]{40,64}$/.test(line))}
}

function readIfThere(path: string): string | undefined {
  const isThere = statIfThere(path) !== undefined
  return isThere ? readFileLimited(path, MAX_IN_RELEASE_BYTES).toString('utf8') : undefined
}

async function runIfThere(
  program: string,
  args: readonly string[],
): Promise<ProcessResult | undefined> {
  try {
    return await runProcess(program, args, {timeoutSecs: TIMEOUT_SECS, env: {LC_ALL: 'C'}})
  } catch (error) {
    if (error instanceof RelError && error.code === 'tool_missing') return undefined
    throw error
  }
}
