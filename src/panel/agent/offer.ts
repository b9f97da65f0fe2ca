import type {ChannelName} from '../../release/release.ts'
import {channelOf, sortKey} from '../../release/version.ts'

/** What decides which release is offered. */
export type Candidate = {
  readonly sortKey: string
  /** Sort key of the lowest installed version that may go to it directly. */
  readonly minFromKey?: string
}

/**
 * The release that a node at version `current` is offered: the highest that is newer, that it may go
 * to directly (`min_from`), and that lies not past a stop-over it has not visited. A stop-over on a
 * channel that the licence does not open binds nobody; one that is not there to be visited lets
 * nobody past. `candidates` descend. Undefined when there is nothing to go to.
 */
export function nextFrom<C extends Candidate>(
  candidates: readonly C[],
  stopovers: readonly string[],
  channels: readonly ChannelName[],
  current: string,
): C | undefined {
  const from = sortKey(current)
  const barrier = stopovers
    .filter((version) => channels.includes(channelOf(version)))
    .map(sortKey)
    .filter((key) => key > from)
    .toSorted()[0]
  return candidates.find(
    ({sortKey: key, minFromKey}) =>
      key > from &&
      (barrier === undefined || key <= barrier) &&
      (minFromKey === undefined || minFromKey <= from),
  )
}

/** The highest release that is not newer than what a node has: what it is told when it may not move. */
export function highestUpTo<C extends Candidate>(
  candidates: readonly C[],
  current: string,
): C | undefined {
  const from = sortKey(current)
  return candidates.find(({sortKey: key}) => key <= from)
}
