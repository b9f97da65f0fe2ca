import {createHash} from 'node:crypto'
import {createReadStream, realpathSync} from 'node:fs'
import {join, relative} from 'node:path'
import {RelError} from '../system/error.ts'
import {fileError, statIfThere, writeFileAtomic} from '../system/files.ts'
import {runProcess} from '../system/processes.ts'
import type {VerifiedAsset} from '../upstream/upstream.ts'
import type {LockEntry} from './lock-file.ts'
import type {Playbook} from './playbook.ts'

export type Vendoring = {
  readonly playbook: Playbook
  /** The checkout that the commands run in. */
  readonly folder: string
  readonly version: string
  readonly assets: readonly VerifiedAsset[]
  /** File that takes what the commands print. */
  readonly log: string
}

/**
 * Runs a playbook's vendoring commands in a checkout and gives the digests of what they leave. The
 * commands get REL_ITEM, REL_VERSION and, per verified asset, REL_ASSET_ARCH; no token, nothing
 * else of the caller's environment. Refuses with vendor_failed.
 */
export async function vendor(vendoring: Vendoring): Promise<LockEntry['artifacts']> {
  const {playbook, folder, version, assets, log} = vendoring
  if (playbook.vendor === undefined) return []
  const env = {
    REL_ITEM: playbook.item,
    REL_VERSION: version,
    ...assetVariables(assets),
  }
  const said: string[] = []
  for (const [file = '', ...args] of playbook.vendor.run) {
    const options = {cwd: folder, env, timeoutSecs: playbook.vendor.timeout_secs}
    const ran = await runProcess(file, args, {...options, maxOutput: 64 * 1024 * 1024})
    said.push(`$ ${[file, ...args].join(' ')}\n${ran.stdout.toString('utf8')}${ran.stderr}`)
    writeFileAtomic(log, said.join('\n'))
    if (ran.exitCode !== 0)
      throw new RelError('vendor_failed', `${file} ended with ${ran.exitCode}`, {
        hint: `Read ${log}.`,
        details: {log, exit_code: ran.exitCode},
      })
  }
  const found: {path: string; sha256: string}[] = []
  for (const path of playbook.vendor.artifacts)
    found.push({path, sha256: await digestInside(folder, path)})
  return found
}

/** REL_ASSET_AMD64 and so on: where the verified files are. */
export function assetVariables(assets: readonly VerifiedAsset[]): Record<string, string> {
  return Object.fromEntries(
    assets.map(({arch, path}) => {
      return [`REL_ASSET_${arch.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`, path]
    }),
  )
}

/** A link must not make a digest of something outside of the checkout. */
async function digestInside(folder: string, path: string): Promise<string> {
  const full = join(folder, path)
  if (statIfThere(full)?.isFile() !== true)
    throw new RelError('vendor_failed', `vendoring left no file ${path}`)
  if (relative(realpathSync(folder), realpathSync(full)).startsWith('..'))
    throw new RelError('vendor_failed', `${path} is outside of the checkout`)
  const hasher = createHash('sha256')
  try {
    for await (const chunk of createReadStream(full)) hasher.update(chunk as Buffer)
  } catch (error) {
    throw fileError(error, full, 'read')
  }
  return hasher.digest('hex')
}
