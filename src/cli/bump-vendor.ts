import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {bumpPaths} from '../bump/journal.ts'
import {loadPlaybooks, playbookOf} from '../bump/load-playbooks.ts'
import {openUpstream} from '../bump/open-upstream.ts'
import {lockedEntry} from '../bump/survey.ts'
import {differing, vendorPinned} from '../bump/vendor-pinned.ts'
import {RelError} from '../system/error.ts'
import {openGit} from '../system/git.ts'
import type {Outcome} from './base-command.ts'
import {upstreamWorld} from './bump-world.ts'
import {type ProgressMode, withProgress} from './progress.ts'

/** `rel bump vendor ITEM`: what is pinned, into the work tree. Refuses with vendored_differs. */
export async function vendorItem(item: string, mode: ProgressMode): Promise<Outcome> {
  const git = await openGit(process.cwd())
  const playbook = playbookOf(await loadPlaybooks(git), item)
  if (playbook.vendor === undefined)
    throw new RelError('usage_invalid', `the playbook of ${item} vendors nothing`, {
      hint: 'Only a playbook with a vendor section has files to vendor.',
    })
  const world = upstreamWorld(process.env)
  const upstream = await openUpstream(playbook, world, await lockedEntry(git, item))
  const {work} = bumpPaths(git, item)
  mkdirSync(work, {recursive: true})
  const log = join(work, 'vendor.log')
  const vendored = await withProgress(`vendor ${item}`, mode, () =>
    vendorPinned({playbook, upstream, folder: git.root, log}),
  )
  const other = differing(vendored)
  if (other !== undefined) throw new RelError('vendored_differs', other)
  const {version, verified, artifacts, locked} = vendored
  const isLocked = locked !== undefined
  return {
    result: {
      item,
      version,
      level: verified.level,
      locked: isLocked,
      artifacts: artifacts.map(({path, sha256}) => ({path, sha256})),
    },
    lines: [
      `✔ ${item} ${version}, verified to ${verified.level}`,
      ...artifacts.map(({path, sha256}) => `✔ ${path} ${sha256}${isLocked ? ', as locked' : ''}`),
    ],
    warnings: isLocked
      ? []
      : [`${item} ${version} is not in rel.lock.json: nothing to compare with`],
    ...(isLocked ? {} : {next: `rel bump ${item} --lock`}),
  }
}
