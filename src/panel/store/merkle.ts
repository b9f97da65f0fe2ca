import {hash} from 'node:crypto'

const HASH_BYTES = 32

/** Hashes side by side: as objects of their own they would take eight times the memory. */
class Hashes {
  #bytes = Buffer.alloc(HASH_BYTES)
  #count = 0

  get count(): number {
    return this.#count
  }

  push(node: Buffer): void {
    const end = this.#count * HASH_BYTES
    if (end === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * end)
    node.copy(this.#bytes, end)
    this.#count++
  }

  at(index: number): Buffer | undefined {
    if (index >= this.#count) return undefined
    return this.#bytes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)
  }
}

/** The Merkle tree hash of RFC 6962 section 2.1 over texts that are only ever appended. */
export class MerkleTree {
  /** Hashes of full subtrees: of 2^level leaves each, from the first leaf on. */
  readonly #levels: Hashes[] = []

  get size(): number {
    return this.#levels[0]?.count ?? 0
  }

  append(text: string): void {
    let node = digest(Buffer.from([0]), Buffer.from(text, 'utf8'))
    for (let level = 0; ; level++) {
      const row = this.#levels[level] ?? new Hashes()
      this.#levels[level] = row
      const left = row.count % 2 === 1 ? row.at(row.count - 1) : undefined
      row.push(node)
      if (left === undefined) return
      node = parent(left, node)
    }
  }

  /** 64 hex digits; of no leaves, the hash of nothing. */
  root(): string {
    return (this.size === 0 ? digest() : this.#over(0, this.size)).toString('hex')
  }

  /**
   * That the tree of `size` leaves has grown out of the one of its first `before` leaves, as hex
   * (section 2.1.2). Both are at least 1, and `before` no more than `size`, which the tree has.
   */
  consistency(before: number, size: number): readonly string[] {
    return this.#subproof(before, 0, size, true).map((node) => node.toString('hex'))
  }

  #subproof(before: number, from: number, to: number, isKnown: boolean): readonly Buffer[] {
    if (before === to) return isKnown ? [] : [this.#over(from, to)]
    const middle = from + halfOf(to - from)
    return before <= middle
      ? [...this.#subproof(before, from, middle, isKnown), this.#over(middle, to)]
      : [...this.#subproof(before, middle, to, false), this.#over(from, middle)]
  }

  /** The hash over the leaves from one on to before another. */
  #over(from: number, to: number): Buffer {
    const level = Math.log2(to - from)
    const full = Number.isInteger(level) ? this.#levels[level]?.at(from / 2 ** level) : undefined
    if (full !== undefined) return full
    const middle = from + halfOf(to - from)
    return parent(this.#over(from, middle), this.#over(middle, to))
  }
}

/** The largest power of two below a count of at least two. */
function halfOf(count: number): number {
  let half = 1
  while (half * 2 < count) half *= 2
  return half
}

function parent(left: Buffer, right: Buffer): Buffer {
  return digest(Buffer.from([1]), left, right)
}

function digest(...parts: readonly Buffer[]): Buffer {
  return hash('sha256', Buffer.concat(parts), 'buffer')
}
