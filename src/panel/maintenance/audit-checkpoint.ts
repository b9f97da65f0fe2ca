import {RelError} from '../../system/error.ts'
import {readFileLimited, writeFileAtomic} from '../../system/files.ts'
import type {JsonObject} from '../../system/json.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import type {PublicKey} from '../../trust/ed25519.ts'
import {addSignature, checkSignatures, parseSignatures} from '../../trust/envelope.ts'
import type {Signer} from '../../trust/signer.ts'
import {parseStrictJson} from '../../trust/strict-json.ts'
import type {PanelStore} from '../store/store.ts'

const MAX_FILE = 4096

/** How long the audit log was, and its head, at a time: what a cut tail is compared with. */
export type AuditCheckpoint = {
  readonly rows: number
  readonly head: string
  readonly time: number
}

/** Signs where the audit log stands, beside the database; nothing is written when it has not grown. */
export async function keepAuditCheckpoint(
  store: Pick<PanelStore, 'auditHead'>,
  {
    path,
    signer,
    now,
    known,
  }: {
    readonly path: string
    readonly signer: Signer
    readonly now: number
    readonly known?: AuditCheckpoint | undefined
  },
): Promise<AuditCheckpoint> {
  const {rows, head} = await store.auditHead()
  if (known?.rows === rows && known.head === head) return known
  const checkpoint = {rows, head, time: now}
  const body = {spec: 1, ...checkpoint}
  const signatures = await addSignature('audit-checkpoint', canonicalJson(body), [], signer)
  const text = JSON.stringify({audit_checkpoint: body, signatures})
  writeFileAtomic(path, `${text}\n`, {mode: 0o600})
  return checkpoint
}

/**
 * A checkpoint by the panel's own key. Refuses with file_missing, json_*, panel_data_invalid and as
 * checkSignatures does.
 */
export function readAuditCheckpoint(path: string, key: PublicKey): AuditCheckpoint {
  const invalid = () =>
    new RelError('panel_data_invalid', `${path} is no checkpoint of an audit log`)
  const json = parseStrictJson(readFileLimited(path, MAX_FILE), {bytes: MAX_FILE, depth: 4})
  const {audit_checkpoint: body, signatures} = (json ?? {}) as JsonObject
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw invalid()
  const checked = parseSignatures(signatures)
  checkSignatures('audit-checkpoint', canonicalJson(body), checked, {keys: [key], threshold: 1})
  const {spec, rows, head, time} = body as JsonObject
  if (
    spec !== 1 ||
    typeof rows !== 'number' ||
    typeof head !== 'string' ||
    typeof time !== 'number'
  )
    throw invalid()
  return {rows, head, time}
}

/** What is wrong with the log by a checkpoint; undefined when it goes on from there. */
export async function cutBy(
  store: Pick<PanelStore, 'audit'>,
  {rows, head}: AuditCheckpoint,
): Promise<string | undefined> {
  if (rows === 0) return undefined
  const [row] = await store.audit(rows - 1, 1)
  if (row === undefined || row.index !== rows) return `it had ${rows} rows, row ${rows} is gone`
  return row.hash === head ? undefined : `row ${rows} is another one than it was`
}
