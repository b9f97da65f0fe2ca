import {createHash} from 'node:crypto'

/**
 * What a node remembers of a panel's release log, and how it finds out that the panel has lost or
 * changed what it said before: written for the tests from docs/formats/release-manifest.md alone, with
 * nothing of rel.
 */
export type LogMemory = {
  readonly size: number
  readonly root: string
}

export type Checkpoint = {
  readonly log_size: number
  readonly log_root: string
}

export type Leaf = {readonly text?: string; readonly hash?: string}

/** `goes_on`, or that the panel is behind, or that it tells another story than before. */
export function judge(
  memory: LogMemory,
  {log_size, log_root}: Checkpoint,
  leaves: readonly Leaf[],
): 'goes_on' | 'behind' | 'another_story' | 'not_its_leaves' {
  if (log_size < memory.size) return 'behind'
  if (rootOf(leaves) !== log_root) return 'not_its_leaves'
  return rootOf(leaves.slice(0, memory.size)) === memory.root ? 'goes_on' : 'another_story'
}

/** RFC 6962 section 2.1, by its recursive definition. */
function rootOf(leaves: readonly Leaf[]): string {
  const hashes = leaves.map(({text, hash}) =>
    text === undefined
      ? Buffer.from(hash ?? '', 'hex')
      : sha256(Buffer.from([0]), Buffer.from(text)),
  )
  return treeHash(hashes).toString('hex')
}

function treeHash(hashes: readonly Buffer[]): Buffer {
  const [only] = hashes
  if (only === undefined) return sha256()
  if (hashes.length === 1) return only
  let half = 1
  while (half * 2 < hashes.length) half *= 2
  return sha256(Buffer.from([1]), treeHash(hashes.slice(0, half)), treeHash(hashes.slice(half)))
}

function sha256(...parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
