import {hash} from 'node:crypto'

/** A subtree that is full: 2^level leaves. */
type Peak = {readonly level: number; readonly hash: Buffer}

/** The Merkle tree hash of RFC 6962 section 2.1 over texts that are only ever appended. */
export class MerkleTree {
  /** From the widest to the narrowest, as the binary digits of the size. */
  readonly #peaks: Peak[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  append(text: string): void {
    let peak: Peak = {level: 0, hash: digest(Buffer.from([0]), Buffer.from(text, 'utf8'))}
    for (let last = this.#peaks.at(-1); last?.level === peak.level; last = this.#peaks.at(-1)) {
      this.#peaks.pop()
      peak = {level: peak.level + 1, hash: parent(last.hash, peak.hash)}
    }
    this.#peaks.push(peak)
    this.#size++
  }

  /** 64 hex digits; of no leaves, the hash of nothing. */
  root(): string {
    const [last, ...wider] = this.#peaks.map((peak) => peak.hash).reverse()
    if (last === undefined) return digest().toString('hex')
    return wider.reduce((right, left) => parent(left, right), last).toString('hex')
  }
}

function parent(left: Buffer, right: Buffer): Buffer {
  return digest(Buffer.from([1]), left, right)
}

function digest(...parts: readonly Buffer[]): Buffer {
  return hash('sha256', Buffer.concat(parts), 'buffer')
}
