import {randomBytes} from 'node:crypto'
import {
  type GrantFile,
  grantJson,
  grantLimits,
  grantText,
  parseGrant,
  signGrant,
} from '../device/grant.ts'
import {systemTime} from '../system/clock.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, writeFileAtomic} from '../system/files.ts'
import {shellWords} from '../system/shell-word.ts'
import {shortId} from '../trust/envelope.ts'
import {parseTime, timeText} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import {type KeyFlagValues, openSignerFromFlags} from './key-flags.ts'

export type GrantFlagValues = KeyFlagValues & {
  readonly product?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly node?: readonly string[] | undefined
  readonly expires?: string | undefined
  readonly add?: string | undefined
  readonly output: string
  readonly 'dry-run': boolean
}

/**
 * `rel device grant`: a new grant with one signature, or one that exists with one more. Refuses with
 * input_required, file_exists, upgrade_grant_invalid, time_malformed and as the signer does.
 */
export async function deviceGrant(flags: GrantFlagValues): Promise<Outcome> {
  const {output, add} = flags
  const isNew = add === undefined
  const given = isNew ? newGrant(flags) : parseGrant(readFileLimited(add, grantLimits.bytes))
  const {from, to, nodes, notAfter} = given.grant
  const lines = [
    `  from ${from} to ${to}, until ${timeText(notAfter)}`,
    `  for ${nodes.join(', ')}`,
  ]
  if (flags['dry-run'])
    return {
      result: {...grantJson(given.grant), output, dry_run: true},
      lines: [...lines, `would write ${output}`],
    }
  const file = await signed(given, flags)
  writeFileAtomic(output, grantText(file), {exclusive: add !== output})
  const signers = file.signatures.map(({keyid}) => shortId(keyid)).join(', ')
  return {
    result: {
      ...grantJson(file.grant),
      signatures: file.signatures.map(({keyid}) => keyid),
      output,
      dry_run: false,
    },
    lines: [`✔ ${output}: signed by ${signers}`, ...lines],
    ...(isNew ? {undo: `rm ${shellWords([output])}`} : {}),
    next: `rel device rollback DIR --grant ${shellWords([output])}`,
  }
}

function newGrant(flags: GrantFlagValues): Pick<GrantFile, 'grant' | 'signatures'> {
  const {product, from, to, node: nodes, expires} = flags
  if (!product || !from || !to || !nodes || !expires)
    throw new RelError('input_required', '--product, --from, --to, --node, --expires are needed', {
      hint: 'rel device grant --help',
    })
  const grant = {
    product,
    from,
    to,
    nodes: [...new Set(nodes)].toSorted(),
    notAfter: parseTime(expires, systemTime()),
    nonce: randomBytes(16).toString('hex'),
  }
  return parseGrant(Buffer.from(grantText({grant, signatures: []})))
}

async function signed(
  {grant, signatures}: Pick<GrantFile, 'grant' | 'signatures'>,
  flags: GrantFlagValues,
): Promise<GrantFile> {
  const signer = await openSignerFromFlags(flags)
  try {
    return await signGrant(grant, signer, signatures)
  } finally {
    await signer.close?.()
  }
}
