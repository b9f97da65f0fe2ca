import {PINNED_SNAPSHOT} from '../upstream/apt/config.ts'
import type {Playbook} from './playbook.ts'

/**
 * The suites that a build has to ask for at a version: those of a snapshot, with its id in their
 * addresses. Empty for an upstream that pins none.
 */
export function pinnedSuites(
  {upstream}: Playbook,
  version: string,
): readonly {readonly url: string; readonly suite: string}[] {
  if (upstream.kind !== 'apt_snapshot' && upstream.kind !== 'apt_kernel') return []
  const isPin = upstream.kind === 'apt_snapshot' || upstream.snapshot === PINNED_SNAPSHOT
  const id = isPin ? version : upstream.snapshot
  if (id === undefined) return []
  return upstream.suites.map(({name, url}) => {
    return {url: url.replaceAll('{snapshot}', id), suite: name}
  })
}
