/** Bytes that the rolling hash looks at. */
const REACH = 32
/** One place in so many is remembered. */
const SAMPLE_BITS = 10
/** Places that must agree before a piece is looked for elsewhere than in its own place. */
const LEAST_VOTES = 16

/** A number for each byte (Knuth's multiplicative hash), so that a sum of them mixes. */
const gear = Int32Array.from(
  {length: 256},
  (_, byte) => Math.imul(byte + 1, 0x9e3779b1) ^ (byte << 7),
)

/** Where the content of an old file is, so that code that has moved is found. */
export class OldIndex {
  readonly #places = new Map<number, number>()

  /** Bytes of the old file from a place on; ends of blocks are looked over. */
  add(at: number, bytes: Uint8Array): void {
    // content that is there twice says nothing of where it came from
    for (const [hash, place] of samples(bytes))
      this.#places.set(hash, this.#places.has(hash) ? -1 : at + place)
  }

  /**
   * How far most of these bytes have moved: add it to their place to have that in the old file. 0
   * when nothing speaks for another place; `slack` is how exact it has to be.
   */
  shiftOf(at: number, bytes: Uint8Array, slack: number): number {
    const shifts: number[] = []
    for (const [hash, place] of samples(bytes)) {
      const was = this.#places.get(hash) ?? -1
      if (was >= 0) shifts.push(was - at - place)
    }
    shifts.sort((a, b) => a - b)
    let best = {shift: 0, votes: shifts.filter((shift) => Math.abs(shift) <= slack).length}
    for (let from = 0, to = 0; to < shifts.length; to++) {
      while ((shifts[to] ?? 0) - (shifts[from] ?? 0) > slack) from++
      const votes = to - from + 1
      const isMore = votes >= LEAST_VOTES && votes > 2 * best.votes
      if (isMore || (best.shift !== 0 && votes > best.votes))
        best = {shift: shifts[(from + to) >> 1] ?? 0, votes}
    }
    return best.shift
  }
}

/** Places that content itself chooses (a gear hash), wherever it stands. */
function* samples(bytes: Uint8Array): Generator<readonly [hash: number, place: number]> {
  let hash = 0
  for (let place = 0; place < bytes.length; place++) {
    hash = ((hash << 1) + (gear[bytes[place] ?? 0] ?? 0)) | 0
    if (hash >>> (32 - SAMPLE_BITS) === 0 && place >= REACH) yield [hash, place]
  }
}
