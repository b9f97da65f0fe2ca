import type {BundleManifest, FileEntry, FileMode, LinkEntry} from './manifest.ts'

export type FileChange = {
  readonly path: string
  /** Undefined where a D2 manifest signs none. */
  readonly size: readonly [number | undefined, number | undefined]
  readonly mode: readonly [FileMode | undefined, FileMode | undefined]
  /** False when only size or mode are signed differently. */
  readonly content: boolean
}

/** A signed fact that is not the same; undefined where it is not signed. */
export type FactChange = {
  readonly name: string
  readonly before: string | undefined
  readonly after: string | undefined
}

export type BundleDiff = {
  readonly facts: readonly FactChange[]
  readonly added: readonly FileEntry[]
  readonly removed: readonly FileEntry[]
  readonly changed: readonly FileChange[]
  readonly links: readonly FactChange[]
  /** Bytes after minus bytes before; D2 manifests count as 0. */
  readonly sizeDelta: number
}

/** What changes from one manifest to another: files, permissions, links, and what is said of them. */
export function diffManifests(before: BundleManifest, after: BundleManifest): BundleDiff {
  const old = new Map(before.files.map((file) => [file.path, file]))
  const added = after.files.filter(({path}) => !old.has(path))
  const kept = new Set(after.files.map(({path}) => path))
  const removed = before.files.filter(({path}) => !kept.has(path))
  const changed = after.files.flatMap((file) => changeOf(old.get(file.path), file))
  return {
    facts: changesOf(factsOf(before), factsOf(after)),
    added,
    removed,
    changed,
    links: changesOf(linksOf(before.rel?.links), linksOf(after.rel?.links)),
    sizeDelta: (after.rel?.totalSize ?? 0) - (before.rel?.totalSize ?? 0),
  }
}

/** True when nothing but the time and the sequence differs, which rise with every signature. */
export function isSameContent({facts, added, removed, changed, links}: BundleDiff): boolean {
  const told = facts.filter(({name}) => name !== 'sequence')
  return [told, added, removed, changed, links].every((list) => list.length === 0)
}

function changeOf(before: FileEntry | undefined, after: FileEntry): FileChange[] {
  if (before === undefined) return []
  const content = before.sha256 !== after.sha256
  if (!content && before.size === after.size && before.mode === after.mode) return []
  const {path} = after
  return [{path, content, size: [before.size, after.size], mode: [before.mode, after.mode]}]
}

function factsOf({bundleName, version, rel}: BundleManifest): Map<string, string> {
  const facts: readonly (readonly [string, string | number | undefined])[] = [
    ['bundle_name', bundleName],
    ['version', version],
    ['product', rel?.product],
    ['channel', rel?.channel],
    ['sequence', rel?.sequence],
    ['expires', rel?.expires],
    ['min_version', rel?.minVersion],
    ['min_from', rel?.minFrom],
    ['min_updater', rel?.minUpdater],
    ['targets', rel?.targets.join(', ')],
    ...Object.entries(rel?.extensions ?? {}),
  ]
  return new Map(
    facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)] as const])),
  )
}

function linksOf(links: readonly LinkEntry[] = []): Map<string, string> {
  return new Map(links.map(({path, target}) => [path, target]))
}

function changesOf(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): FactChange[] {
  const names = new Set([...before.keys(), ...after.keys()])
  return [...names].flatMap((name) => {
    const change = {name, before: before.get(name), after: after.get(name)}
    return change.before === change.after ? [] : [change]
  })
}
