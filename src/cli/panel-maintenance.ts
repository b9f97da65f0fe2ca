import {join} from 'node:path'
import {readAuditCheckpoint} from '../panel/maintenance/audit-checkpoint.ts'
import {backUpPanel, restorePanel} from '../panel/maintenance/backup.ts'
import {collectGarbage} from '../panel/maintenance/gc.ts'
import {exportMirror, importMirror} from '../panel/maintenance/mirror.ts'
import {verifyPanel} from '../panel/maintenance/verify.ts'
import {systemTime} from '../system/clock.ts'
import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import {statIfThere} from '../system/files.ts'
import {shellWord} from '../system/shell-word.ts'
import {timeText} from '../trust/expiry.ts'
import {readPublicKey} from '../trust/public-key.ts'
import type {Outcome} from './base-command.ts'
import type {PanelPlace} from './panel-flags.ts'
import {besidePanel, local} from './panel-place.ts'

/** Files of DATA/keys; without them a restored panel would sign with keys that nobody knows. */
const keyFiles = ['license.key', 'license.pub', 'freshness.key', 'freshness.pub']

/** `rel panel backup DIR`: database, artifacts and keys of a running panel. */
export async function backUp(
  target: string,
  flags: PanelPlace & {readonly link: boolean},
): Promise<Outcome> {
  const report = await besidePanel(flags, (panel) =>
    backUpPanel(panel, {
      target,
      files: Object.fromEntries(
        keyFiles.map((name) => [`keys/${name}`, join(panel.folder.keys, name)]),
      ),
      isLinked: flags.link,
      now: systemTime(),
    }),
  )
  return {
    result: {...report, target},
    lines: [
      `✔ ${counted(report.files, 'file')} in ${target}, keys among them: keep it as they are`,
    ],
    next: `rel panel restore ${shellWord(target)} --to NEWDIR`,
  }
}

/** `rel panel restore DIR`. */
export async function restore(from: string, to: string): Promise<Outcome> {
  const report = await restorePanel(from, to)
  return {
    result: {...report, data: to},
    lines: [`✔ ${to} is as it was when the backup was made`],
    next: `rel panel serve --data ${shellWord(to)}`,
  }
}

/** `rel panel verify`: what is wrong is printed, then exit 20. */
export async function verify(
  flags: PanelPlace & {readonly 'audit-checkpoint'?: readonly string[] | undefined},
): Promise<Outcome> {
  const report = await besidePanel(flags, (panel) => {
    const own = panel.folder.auditCheckpoint
    const paths = [
      ...(statIfThere(own) === undefined ? [] : [own]),
      ...(flags['audit-checkpoint'] ?? []),
    ]
    const {publicKey} = panel.keys.freshness
    const checkpoints = paths.map((path) => readAuditCheckpoint(path, publicKey))
    return verifyPanel(panel, {checkpoints})
  })
  const {findings, blobs, bytes, releases, audit} = report
  const summary = `${counted(releases, 'release')}, ${counted(blobs, 'blob')}, ${counted(audit.rows, 'audit row')}`
  const outcome: Outcome = {
    result: {
      releases,
      blobs,
      bytes,
      audit: {...audit},
      logs: report.logs.map((log) => ({...log})),
      findings: findings.map((finding) => ({...finding})),
    },
    lines:
      findings.length === 0
        ? [`✔ ${summary}: all as it was written`]
        : findings.map(({code, subject, message}) => `✖ ${code}: ${subject}: ${message}`),
  }
  const [first] = findings
  if (first === undefined) return outcome
  const message = `${counted(findings.length, 'finding')} in ${summary}; first ${first.code}: ${first.subject}`
  const details = {findings: outcome.result.findings ?? []}
  return {...outcome, failure: new RelError('panel_damaged', message, {details})}
}

/** `rel panel gc`: removes bytes that nothing names. */
export async function collect(
  flags: PanelPlace & {readonly 'grace-hours': number; readonly 'dry-run': boolean},
): Promise<Outcome> {
  const isDryRun = flags['dry-run']
  const report = await besidePanel(flags, (panel) =>
    collectGarbage(panel, {graceSecs: flags['grace-hours'] * 3600, now: panel.clock(), isDryRun}),
  )
  const {blobs, bytes, uploads} = report
  const what = `${counted(blobs, 'blob')} (${bytes} bytes) and ${counted(uploads, 'upload')}`
  return {
    result: {...report, dry_run: isDryRun},
    lines: [isDryRun ? `${what} would be removed` : `✔ ${what} removed`],
  }
}

/** `rel panel export DIR`: what was published, for a panel without a network. */
export async function exportPanel(
  target: string,
  flags: PanelPlace & {readonly product?: readonly string[] | undefined},
): Promise<Outcome> {
  const {product: products} = flags
  return besidePanel(flags, async (panel) => {
    const {freshness: signer} = panel.keys
    const report = await exportMirror(panel, {
      target,
      signer,
      now: panel.clock(),
      ...(products === undefined ? {} : {products}),
    })
    const key = join(panel.folder.keys, 'freshness.pub')
    return {
      result: {...report, target, key_id: signer.publicKey.keyId},
      lines: [
        `✔ ${counted(report.releases, 'release')} of ${counted(report.products, 'product')} in ${target}`,
        `  Signed by ${signer.publicKey.keyId}; the other side needs ${key}`,
      ],
      next: `rel panel import ${shellWord(target)} --key freshness.pub --data DIR`,
    }
  })
}

/** `rel panel import DIR`. */
export async function importPanel(
  from: string,
  flags: PanelPlace & {readonly key: readonly string[]},
): Promise<Outcome> {
  const keys = flags.key.map((path) => readPublicKey(path))
  const report = await besidePanel(flags, (panel) =>
    importMirror(panel, {from, trusted: {keys, threshold: 1}, by: local}),
  )
  return {
    result: {...report},
    lines: [
      `✔ ${counted(report.releases, 'new release')} and ${counted(report.blobs, 'new blob')} from ${from}`,
    ],
  }
}

/** `rel panel clock`: the latest time that licences are judged by; --reset after a jump forward. */
export async function showClock(
  flags: PanelPlace & {readonly reset: boolean; readonly 'dry-run': boolean},
): Promise<Outcome> {
  const now = systemTime()
  const latest = await besidePanel(flags, async ({store}) => {
    const known = await store.latestTime(0)
    if (flags.reset && !flags['dry-run']) await store.resetTime(now, local)
    return known
  })
  const ahead = latest - now
  const line = `latest time seen: ${timeText(latest)}${ahead > 0 ? `, ${ahead} s after now` : ''}`
  if (!flags.reset) return {result: {latest, now, reset: false}, lines: [line]}
  return {
    result: {latest, now, reset: !flags['dry-run'], dry_run: flags['dry-run']},
    lines: [
      line,
      flags['dry-run']
        ? `it would be set to ${timeText(now)}`
        : `✔ set to ${timeText(now)}; start running panels again. There is no undo.`,
    ],
  }
}
