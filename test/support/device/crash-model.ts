import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import type {DurableOp} from '../../../src/device/durable-fs.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import type {Memory} from './memory.ts'

/** A promise that was made to somebody at this point of a trace. */
export type Note = {
  readonly op: 'note'
  /**
   * `judged`: the new version has answered, so that the updater may end the trial; `unhealthy`: it
   * has not. `guarding`: the guard has begun to lead back; `counted` and `taken_back`: it has ended, and the program starts.
   */
  readonly what:
    | 'installed'
    | 'started'
    | 'judged'
    | 'unhealthy'
    | 'reported'
    | 'guarding'
    | 'counted'
    | 'taken_back'
  /** The number of the record, and the floor, that were told. */
  readonly seq: number
  readonly floor: string
  /** How many starts the guard has counted. */
  readonly count?: number
  /** What the node remembered beside its records. */
  readonly memory?: Memory
}

/** The port, and the hard link that the guard makes. */
export type ModelOp = DurableOp | {readonly op: 'link'; readonly path: string; readonly to: string}

export type Step = ModelOp | Note

type FileNode = {
  readonly kind: 'file'
  readonly id: number
  readonly mode: number
  synced: Buffer
  now: Buffer
}
type LinkNode = {readonly kind: 'link'; readonly id: number; readonly target: string}
type DirNode = {
  readonly kind: 'dir'
  readonly id: number
  synced: Map<string, Node>
  now: Map<string, Node>
  /** What each name has been since the last sync, in order; undefined: nothing. */
  pending: Map<string, (Node | undefined)[]>
}
type Node = FileNode | LinkNode | DirNode

const EMPTY = Buffer.alloc(0)

/** Names that no reader looks at: a tree that is being written or removed, a file before its rename. */
const UNREAD = /^\..*\.(?:rel-tmp|partial|trash)$/

/**
 * A file system that forgets: bytes are durable after a sync of their file, names after a sync of
 * their folder, and what is not survives a power cut in any subset.
 */
export class ForgetfulDisk {
  readonly root: DirNode
  #ids = 0

  /** Starts with what is at a path, all of it durable. */
  constructor(path: string | undefined) {
    this.root = path === undefined ? this.#dir() : (this.#load(path) as DirNode)
  }

  /** Throws when the system would refuse. */
  run(op: ModelOp): void {
    const {folder, name} = this.#place(op.path)
    const there = op.path === '' ? this.root : folder.now.get(name)
    if (op.op === 'create')
      this.#add(folder, name, {
        kind: 'file',
        id: this.#ids++,
        mode: 'mode' in op ? op.mode : 0o600,
        synced: EMPTY,
        now: EMPTY,
      })
    else if (op.op === 'mkdir') this.#add(folder, name, this.#dir())
    else if (op.op === 'symlink')
      this.#add(folder, name, {kind: 'link', id: this.#ids++, target: op.target})
    else if (there === undefined) throw new Error(`ENOENT ${op.path}`)
    else if (op.op === 'link') {
      const to = this.#place(op.to)
      this.#add(to.folder, to.name, there)
    } else if (op.op === 'write') {
      const file = asFile(there)
      file.now = Buffer.concat([file.now, op.bytes])
    } else if (op.op === 'sync') asFile(there).synced = asFile(there).now
    else if (op.op === 'sync_dir') {
      const dir = asDir(there)
      dir.synced = new Map(dir.now)
      dir.pending = new Map()
    } else if (op.op === 'rename') {
      const to = this.#place(op.to)
      const over = to.folder.now.get(to.name)
      if (over?.kind === 'dir') throw new Error(`ENOTEMPTY ${op.to}`)
      set(folder, name, undefined)
      set(to.folder, to.name, there)
    } else if (op.op === 'rmdir' && asDir(there).now.size > 0)
      throw new Error(`ENOTEMPTY ${op.path}`)
    else set(folder, name, undefined)
  }

  /** Everything that can still make a difference; equal texts behave alike for ever. */
  fingerprint(): string {
    const seen = new Map<number, number>()
    const of = (node: Node | undefined): unknown => {
      if (node === undefined) return null
      if (node.kind === 'link') return node.target
      if (node.kind === 'file') return [textOf(node.synced), textOf(node.now)]
      const known = seen.get(node.id)
      if (known !== undefined) return known
      seen.set(node.id, seen.size)
      const names = [
        ...new Set([...node.synced.keys(), ...node.now.keys(), ...node.pending.keys()]),
      ]
      return names
        .sort()
        .map((name) => {
          const now = of(node.now.get(name))
          if (UNREAD.test(name)) return now === null ? null : [name, now]
          // two files of the same bytes are one choice
          return [
            name,
            now,
            [...new Set(choicesOf(node, name).map((it) => JSON.stringify(of(it))))],
          ]
        })
        .filter((it) => it !== null)
    }
    return JSON.stringify(of(this.root))
  }

  #load(path: string): Node {
    const stat = lstatSync(path)
    if (stat.isSymbolicLink()) return {kind: 'link', id: this.#ids++, target: readlinkSync(path)}
    if (stat.isFile()) {
      const bytes = readFileSync(path)
      return {kind: 'file', id: this.#ids++, mode: stat.mode & 0o777, synced: bytes, now: bytes}
    }
    const dir = this.#dir()
    for (const name of readdirSync(path)) dir.now.set(name, this.#load(join(path, name)))
    dir.synced = new Map(dir.now)
    return dir
  }

  #dir(): DirNode {
    return {kind: 'dir', id: this.#ids++, synced: new Map(), now: new Map(), pending: new Map()}
  }

  #add(folder: DirNode, name: string, node: Node): void {
    if (folder.now.has(name)) throw new Error(`EEXIST ${name}`)
    set(folder, name, node)
  }

  #place(path: string): {folder: DirNode; name: string} {
    const parts = path.split('/')
    const name = parts.pop() ?? ''
    let folder = this.root
    for (const part of parts) folder = asDir(folder.now.get(part))
    return {folder, name}
  }
}

const digests = new WeakMap<Buffer, string>()

/** The bytes, or what stands for them where they are many. */
function textOf(bytes: Buffer): string {
  if (bytes.length <= 4096) return bytes.toString('base64')
  const text = digests.get(bytes) ?? `sha256 ${sha256Hex(bytes)}`
  digests.set(bytes, text)
  return text
}

function set(folder: DirNode, name: string, node: Node | undefined): void {
  if (node === undefined) folder.now.delete(name)
  else folder.now.set(name, node)
  folder.pending.set(name, [...(folder.pending.get(name) ?? []), node])
}

function asDir(node: Node | undefined): DirNode {
  if (node?.kind !== 'dir') throw new Error('ENOTDIR')
  return node
}

function asFile(node: Node | undefined): FileNode {
  if (node?.kind !== 'file') throw new Error('EINVAL')
  return node
}

function choicesOf(dir: DirNode, name: string): (Node | undefined)[] {
  return [...new Set([dir.synced.get(name), ...(dir.pending.get(name) ?? [])])]
}

/** What a reader finds after a power cut: each read is a choice that stays made. */
export type View = {
  /** Bytes of a file, target of a link, sorted names of a folder; undefined when nothing is there. */
  read(path: string): Found | undefined
}

export type Found =
  | {readonly kind: 'file'; readonly bytes: Buffer; readonly mode?: number}
  | {readonly kind: 'link'; readonly target: string}
  | {readonly kind: 'dir'; readonly names: readonly string[]}

/** No cut of a flow here has as many; more would mean that the model no longer looks at all. */
const MAX_STATES = 50_000

/** Calls `look` for every state that a reader could tell apart; returns how many there were. */
export function everyCrash(disk: ForgetfulDisk, look: (view: View) => void): number {
  let prefix: number[] = []
  for (let count = 1; ; count++) {
    if (count > MAX_STATES) throw new Error(`more than ${MAX_STATES} states after one cut`)
    const taken: {at: number; of: number}[] = []
    look(
      viewOf(disk, (options) => {
        const at = prefix[taken.length] ?? 0
        taken.push({at, of: options})
        return at
      }),
    )
    while (taken.length > 0 && (taken.at(-1)?.at ?? 0) + 1 >= (taken.at(-1)?.of ?? 0)) taken.pop()
    const last = taken.pop()
    if (last === undefined) return count
    prefix = [...taken.map(({at}) => at), last.at + 1]
  }
}

function viewOf(disk: ForgetfulDisk, choose: (options: number) => number): View {
  const made = new Map<string, number>()
  const pick = <T>(key: string, options: readonly T[]): T => {
    const at = made.get(key) ?? (options.length > 1 ? choose(options.length) : 0)
    made.set(key, at)
    return options[at] as T
  }
  const entry = (dir: DirNode, name: string) => pick(`${dir.id}/${name}`, choicesOf(dir, name))
  const read = (path: string): Found | undefined => {
    let node: Node | undefined = disk.root
    for (const part of path === '' ? [] : path.split('/')) {
      if (node?.kind !== 'dir') return undefined
      node = entry(node, part)
    }
    if (node === undefined) return undefined
    if (node.kind === 'link') return node
    if (node.kind === 'dir') {
      const dir = node
      const names = new Set([...dir.synced.keys(), ...dir.pending.keys()])
      return {kind: 'dir', names: [...names].sort().filter((it) => entry(dir, it) !== undefined)}
    }
    const {synced, now, id, mode} = node
    if (synced.equals(now)) return {kind: 'file', bytes: now, mode}
    const options = synced.length === 0 ? [synced, now] : [synced, EMPTY, now]
    return {kind: 'file', bytes: pick(`file ${id}`, options), mode}
  }
  return {read}
}

/** A state as files, without what no reader looks at: absent paths are not in it. */
export type Snapshot = ReadonlyMap<string, Found>

export function snapshotOf(view: View): Snapshot {
  const files = new Map<string, Found>()
  const add = (path: string) => {
    const found = view.read(path)
    if (found === undefined) return
    files.set(path, found)
    if (found.kind !== 'dir') return
    for (const name of found.names)
      if (!UNREAD.test(name)) add(path === '' ? name : `${path}/${name}`)
  }
  add('')
  return files
}

/** Equal for equal states. */
export function snapshotText(files: Snapshot): string {
  const shown = (found: Found) =>
    found.kind === 'file' ? textOf(found.bytes) : found.kind === 'link' ? found.target : ''
  return JSON.stringify([...files].map(([path, found]) => [path, shown(found)]))
}

/** Makes a state in a folder that does not exist yet. */
export function restore(files: Snapshot, root: string): void {
  for (const [path, found] of files) {
    const absolute = join(root, path)
    if (found.kind === 'dir') mkdirSync(absolute, {mode: 0o755})
    else if (found.kind === 'link') symlinkSync(found.target, absolute)
    else writeFileSync(absolute, found.bytes, {mode: found.mode ?? 0o600})
  }
}
