import {applyFileSign, type FileSignPlan, planFileSign} from '../bundle/sign-file.ts'
import {buildTime} from '../system/clock.ts'
import {RelError} from '../system/error.ts'
import {shortId} from '../trust/envelope.ts'
import type {Outcome} from './base-command.ts'
import {openSignerFromFlags} from './key-flags.ts'
import type {SignFlagValues} from './sign-flags.ts'

/** `rel sign FILE…`: detached signatures beside each file. All files are planned before one is signed. */
export async function signFiles(paths: readonly string[], flags: SignFlagValues): Promise<Outcome> {
  const target = flags.target?.[0]
  if ((flags.target?.length ?? 0) > 1)
    throw new RelError('usage_invalid', 'a single file is for one --target')
  const {version, product, component, channel} = flags
  const label = {
    timestamp: flags.timestamp ?? buildTime(process.env),
    ...(version === undefined ? {} : {version}),
    ...(product === undefined ? {} : {product}),
    ...(component === undefined ? {} : {component}),
    ...(channel === undefined ? {} : {channel}),
    ...(target === undefined ? {} : {target}),
  }
  const sshsig = flags.also?.includes('sshsig') === true
  const plans = paths.map((path) => planFileSign({path, label, sshsig}))
  if (flags['dry-run']) return planned(plans)
  const signer = await openSignerFromFlags(flags)
  try {
    const warnings: string[] = []
    for (const plan of plans) warnings.push(...(await applyFileSign(plan, signer)).warnings)
    const {keyId} = signer.publicKey
    return {
      result: {files: plans.map(resultOf), signatures: [keyId]},
      lines: plans.map(({outputs}) => `✔ signed ${outputs.join(', ')}, key ${shortId(keyId)}`),
      warnings,
      undo: `rm ${plans.flatMap(({outputs}) => outputs).join(' ')}`,
      next: `rel verify ${paths[0]} --public-key FILE`,
    }
  } finally {
    await signer.close?.()
  }
}

function planned(plans: readonly FileSignPlan[]): Outcome {
  return {
    result: {files: plans.map(resultOf), dry_run: true},
    lines: plans.flatMap(({outputs}) => outputs.map((path) => `would write ${path}`)),
    warnings: plans.flatMap(({warnings}) => warnings),
  }
}

function resultOf({path, digests, comment, outputs}: FileSignPlan) {
  return {path, sha256: digests.sha256, size: digests.size, trusted_comment: comment, outputs}
}
