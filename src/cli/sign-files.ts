import {applyFileSign, type FileSignPlan, planFileSign} from '../bundle/sign-file.ts'
import {buildTime} from '../system/clock.ts'
import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import {shellWords} from '../system/shell-word.ts'
import {shortId} from '../trust/envelope.ts'
import type {Outcome} from './base-command.ts'
import {openSignerFromFlags} from './key-flags.ts'
import {withProgress} from './progress.ts'
import type {SignFlagValues} from './sign-flags.ts'
import {staleWarnings} from './stale-sidecars.ts'
import {verifyNext} from './verify-next.ts'

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
  const plans = await withProgress(`Reading ${counted(paths.length, 'file')}`, flags, async () => {
    const planned: FileSignPlan[] = []
    for (const path of paths) planned.push(await planFileSign({path, label, sshsig}))
    return planned
  })
  if (flags['dry-run']) return planned(plans)
  const signer = await openSignerFromFlags(flags)
  try {
    const warnings: string[] = []
    for (const plan of plans) warnings.push(...(await applyFileSign(plan, signer)).warnings)
    const {keyId} = signer.publicKey
    return {
      result: {files: plans.map(resultOf), signatures: [keyId]},
      lines: plans.map(({outputs}) => `✔ signed ${outputs.join(', ')}, key ${shortId(keyId)}`),
      warnings: [...warnings, ...staleWarnings(plans.flatMap(({stale}) => stale))],
      undo: `rm ${shellWords(plans.flatMap(({outputs}) => outputs))}`,
      next: verifyNext(paths[0] ?? 'FILE', flags.key),
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
