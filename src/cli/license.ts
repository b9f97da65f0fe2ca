import {newUlid} from '../panel/admin/ulid.ts'
import {channelsOf, stateAt, visible} from '../release/entitlement.ts'
import type {License, LicenseFile, LicenseState, TrackName} from '../release/license.ts'
import {
  armouredLicense,
  checkLicense,
  checkLicenseUse,
  issueLicense,
  licenseHeader,
  licenseLimits,
  parseLicense,
} from '../release/license-file.ts'
import {channelOf} from '../release/version.ts'
import {systemTime} from '../system/clock.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import type {JsonObject} from '../system/json.ts'
import {shellWords} from '../system/shell-word.ts'
import {loadAnchor} from '../trust/anchor-store.ts'
import {shortId} from '../trust/envelope.ts'
import {parseTime, timeText} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import {type KeyFlagValues, openSignerFromFlags} from './key-flags.ts'
import type {PanelFlagValues} from './license-flags.ts'
import {openPanelClient} from './panel-client.ts'

/** Of an armoured file; white space around it is allowed. */
const MAX_FILE = 4 * licenseLimits.bytes
/** Only its holder needs it: whoever has the file has what it opens. */
const FILE_MODE = 0o600

export type IssueFlagValues = KeyFlagValues &
  PanelFlagValues & {
    readonly product?: string | undefined
    readonly customer: string
    readonly track: TrackName
    readonly entitlement?: readonly string[] | undefined
    readonly expires: string
    readonly id?: string | undefined
    readonly output?: string | undefined
    readonly 'dry-run': boolean
  }

/**
 * `rel license issue`: signed here by --key, by the panel's own key, or signed here and registered.
 * Refuses with input_required when neither is named, or no product is.
 */
export async function licenseIssue(flags: IssueFlagValues): Promise<Outcome> {
  const now = systemTime()
  const {product, customer, track, entitlement: entitlements = [], panel} = flags
  if (product === undefined)
    throw new RelError('input_required', 'no product was named', {
      hint: 'Give --product, or product: in rel.config.yaml.',
    })
  const id = flags.id ?? newUlid(now * 1000)
  const wanted = {
    id,
    product,
    customer,
    track,
    entitlements,
    expires: parseTime(flags.expires, now),
  }
  const output = flags.output ?? `${id}.license`
  if (statIfThere(output) !== undefined)
    throw new RelError('file_exists', `${output} is there already`)
  if (flags['dry-run'])
    return {
      result: {...wanted, output, dry_run: true},
      lines: [...licenseLines({...wanted, issued: now, serial: 1}), `would write ${output}`],
    }
  const isSigned = flags.key !== undefined || flags.signer !== undefined
  if (!isSigned && panel === undefined)
    throw new RelError('input_required', 'nobody was named to sign the licence', {
      hint: 'Give --key NAME, or --panel URL to let the panel sign it.',
    })
  const file = isSigned ? await signedHere({...wanted, issued: now, serial: 1}, flags) : undefined
  const text =
    panel === undefined
      ? undefined
      : await registered(file, {...wanted, entitlements: [...entitlements]}, flags)
  const issued = file ?? parseLicense(text ?? '')
  writeFileAtomic(output, armouredLicense(issued), {mode: FILE_MODE})
  return {
    result: {...licenseJson(issued.license), output, registered: panel !== undefined},
    lines: [
      `✔ issued ${output}${panel === undefined ? '' : ', registered with the panel'}`,
      ...licenseLines(issued.license),
    ],
    ...(panel === undefined ? {undo: `rm ${shellWords([output])}`} : {}),
    next: `rel license inspect ${shellWords([output])}`,
  }
}

async function signedHere(license: License, flags: KeyFlagValues): Promise<LicenseFile> {
  const signer = await openSignerFromFlags(flags)
  try {
    return await issueLicense(license, signer)
  } finally {
    await signer.close?.()
  }
}

/** The text of the file as the panel has it. */
async function registered(
  file: LicenseFile | undefined,
  wanted: JsonObject,
  flags: PanelFlagValues,
): Promise<string> {
  const client = openPanelClient(flags, process.env)
  const body = file === undefined ? wanted : {file: armouredLicense(file)}
  return fileOf(await client.call('POST', '/v1/licenses', body))
}

function fileOf({file}: JsonObject): string {
  if (typeof file === 'string') return file
  throw new RelError('panel_refused', 'the panel sent no licence')
}

export type InspectFlagValues = {
  readonly trust?: string | undefined
  readonly product?: string | undefined
  readonly header: boolean
}

/**
 * `rel license inspect`: what a licence says. With a trust anchor, whether it is genuine and good
 * now. Refuses with what parseLicense, checkLicense and checkLicenseUse refuse with.
 */
export function licenseInspect(path: string, flags: InspectFlagValues): Outcome {
  const file = readLicense(path)
  const {license, signatures} = file
  const now = systemTime()
  const {trust: trusted} = flags
  const signedBy =
    trusted === undefined ? undefined : checkLicense(file, loadAnchor(trusted).anchor, now).signedBy
  if (signedBy !== undefined || flags.product !== undefined)
    checkLicenseUse(license, flags.product, now)
  if (flags.header) {
    const header = licenseHeader(file)
    return {result: {header}, lines: [header]}
  }
  const ids = signatures.map(({keyid}) => shortId(keyid)).join(', ')
  return {
    result: {
      ...licenseJson(license),
      state: stateAt(license.expires, 'active', now),
      verified: signedBy !== undefined,
      signatures: signatures.map(({keyid}) => keyid),
    },
    lines: [
      ...licenseLines(license),
      signedBy === undefined
        ? `  signed by ${ids || 'nobody'}, not verified`
        : `✔ signed by ${ids}`,
    ],
    warnings: signedBy === undefined ? ['the signature was not verified: give --trust FILE'] : [],
  }
}

function readLicense(path: string): LicenseFile {
  return parseLicense(readFileLimited(path, MAX_FILE))
}

export type RenewFlagValues = KeyFlagValues &
  PanelFlagValues & {
    readonly expires: string
    readonly output?: string | undefined
    readonly 'dry-run': boolean
  }

/** `rel license renew`: a file of the same licence with a later expiry and a higher serial. */
export async function licenseRenew(subject: string, flags: RenewFlagValues): Promise<Outcome> {
  const now = systemTime()
  const expires = parseTime(flags.expires, now)
  const {panel} = flags
  const path = statIfThere(subject) === undefined ? undefined : subject
  const before = path === undefined ? undefined : readLicense(path).license
  const id = before?.id ?? checkedId(subject)
  const output = flags.output ?? path ?? `${id}.license`
  if (flags['dry-run'])
    return {
      result: {id, expires, output, dry_run: true},
      lines: [`would renew ${id} until ${timeText(expires)} and write ${output}`],
    }
  const isSigned = flags.key !== undefined || flags.signer !== undefined
  if (isSigned && before === undefined)
    throw new RelError('usage_invalid', 'a renewal that is signed here starts from the file')
  if (!isSigned && panel === undefined)
    throw new RelError('input_required', 'nobody was named to sign the licence', {
      hint: 'Give --key NAME, or --panel URL to let the panel sign it.',
    })
  const own =
    isSigned && before !== undefined
      ? await signedHere({...before, issued: now, expires, serial: before.serial + 1}, flags)
      : undefined
  if (panel !== undefined) {
    const client = openPanelClient(flags, process.env)
    const body = own === undefined ? {expires} : {file: armouredLicense(own)}
    const answer = await client.call('POST', `/v1/licenses/${id}/renew`, body)
    const file = own ?? parseLicense(fileOf(answer))
    return renewed(file, output)
  }
  if (own === undefined) throw new RelError('internal_error', 'nobody renewed the licence')
  return renewed(own, output)
}

function renewed(file: LicenseFile, output: string): Outcome {
  writeFileAtomic(output, armouredLicense(file), {mode: FILE_MODE})
  return {
    result: {...licenseJson(file.license), output},
    lines: [`✔ renewed ${output}`, ...licenseLines(file.license)],
  }
}

/** `rel license freeze` and `revoke`: on the panel, which nodes ask. */
export async function licenseStop(
  verb: 'freeze' | 'revoke',
  subject: string,
  flags: PanelFlagValues & {readonly reason: string; readonly 'dry-run': boolean},
): Promise<Outcome> {
  const id = idOf(subject)
  if (flags['dry-run'])
    return {result: {id, verb, dry_run: true}, lines: [`would ${verb} licence ${id}`]}
  const client = openPanelClient(flags, process.env)
  const answer = await client.call('POST', `/v1/licenses/${id}/${verb}`, {reason: flags.reason})
  const {state = ''} = answer
  return {
    result: {id, state},
    lines: [`✔ licence ${id} is ${String(state)}`],
    ...(verb === 'freeze'
      ? {undo: `rel license renew ${id} --expires 365d --panel ${client.url}`}
      : {warnings: ['a revoked licence cannot be brought back; issue a new one']}),
  }
}

function idOf(subject: string): string {
  return statIfThere(subject) === undefined ? checkedId(subject) : readLicense(subject).license.id
}

function checkedId(text: string): string {
  if (/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(text)) return text
  throw new RelError('usage_invalid', 'this is neither a file nor the id of a licence')
}

export type ExplainFlagValues = PanelFlagValues & {
  readonly release?: string | undefined
  readonly product?: string | undefined
  readonly state: LicenseState
}

/** `rel license explain`: what a licence sees, and why not more. */
export async function licenseExplain(subject: string, flags: ExplainFlagValues): Promise<Outcome> {
  if (flags.panel !== undefined) return explainedByPanel(idOf(subject), flags)
  const {license} = readLicense(subject)
  const now = systemTime()
  const state = stateAt(license.expires, flags.state, now)
  const channels = channelsOf(license)
  const {release, product = license.product} = flags
  const verdict =
    release === undefined
      ? undefined
      : visible(
          license,
          flags.state,
          {product, channel: channelOf(release), state: 'published'},
          now,
        )
  return {
    result: {
      ...licenseJson(license),
      state,
      channels: [...channels],
      ...(verdict === undefined ? {} : {release: {version: release ?? '', ...verdict}}),
    },
    lines: [
      ...licenseLines(license),
      `  sees the channels ${channels.join(', ')}${state === 'active' ? '' : `, but is ${state}: nothing newer is handed out`}`,
      ...(verdict === undefined ? [] : [`  ${release}: ${verdictText(verdict)}`]),
    ],
  }
}

async function explainedByPanel(id: string, flags: ExplainFlagValues): Promise<Outcome> {
  const client = openPanelClient(flags, process.env)
  const query = flags.release === undefined ? '' : `?version=${encodeURIComponent(flags.release)}`
  const answer = await client.call('GET', `/v1/licenses/${id}/explain${query}`)
  const {state = '', channels = [], highest, version, release} = answer
  const names = Array.isArray(channels) ? channels.join(', ') : ''
  return {
    result: answer,
    lines: [
      `${id} is ${String(state)} and sees the channels ${names}`,
      ...(typeof highest === 'string' ? [`  the highest it may have is ${highest}`] : []),
      ...(typeof version === 'string' ? [`  ${version}: ${verdictText(release as Verdict)}`] : []),
    ],
  }
}

type Verdict = ReturnType<typeof visible>

const hiddenTexts: Readonly<Record<string, string>> = {
  other_product: 'hidden, it is of another product',
  draft: 'hidden, it is not published yet',
  other_channel: 'hidden, its channel is not on this track',
}

function verdictText(verdict: Verdict): string {
  if (verdict.verdict === 'visible') return 'may be fetched'
  if (verdict.verdict === 'recalled') return 'was recalled'
  if (verdict.verdict === 'hidden') return hiddenTexts[verdict.reason] ?? 'hidden'
  return verdict.code === 'license_revoked'
    ? 'no, the licence was revoked'
    : 'no, the licence is frozen'
}

function licenseLines(license: License): string[] {
  const {id, product, customer, track, entitlements, expires, serial} = license
  return [
    `  ${id} for ${customer}`,
    `  ${product}, track ${track}${entitlements.length === 0 ? '' : `, ${entitlements.join(', ')}`}`,
    `  until ${timeText(expires)}, serial ${serial}`,
  ]
}

function licenseJson(license: License): JsonObject {
  const {id, product, customer, track, entitlements, issued, expires, serial} = license
  return {id, product, customer, track, entitlements: [...entitlements], issued, expires, serial}
}
