import {canonicalJson} from '../../trust/canonical-json.ts'
import {MerkleTree} from './merkle.ts'
import type {LogLeaf} from './store.ts'
import type {Engine, ReleaseRow, Work} from './tables.ts'

const PAGE_LEAVES = 1000

/** Appends to the product's log; the caller holds the product's row. */
export async function appendLeaf(
  {trx}: Work,
  event: 'published' | 'recalled',
  {product, version, digest, sequence}: ReleaseRow,
  time: number,
): Promise<void> {
  const last = await trx
    .selectFrom('log_leaves')
    .select('position')
    .where('product', '=', product)
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst()
  const position = last === undefined ? 0 : last.position + 1
  const text = canonicalJson({event, product, version, digest, sequence, time})
  await trx.insertInto('log_leaves').values({product, position, text}).execute()
}

export async function logLeaves(
  {db}: Engine,
  product: string,
  from: number,
  limit: number,
): Promise<readonly LogLeaf[]> {
  const rows = await db
    .selectFrom('log_leaves')
    .select(['position', 'text'])
    .where('product', '=', product)
    .where('position', '>=', from)
    .orderBy('position')
    .limit(limit)
    .execute()
  return rows.map(({position, text}) => ({index: position, text}))
}

/** Heads of the logs; a tree is kept in memory, since its leaves are only ever appended. */
export class LogHeads {
  readonly #engine: Engine
  readonly #trees = new Map<string, MerkleTree>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  async head(product: string): Promise<{size: number; root: string}> {
    const tree = await this.#grown(product)
    return {size: tree.size, root: tree.root()}
  }

  async proof(
    product: string,
    first: number,
    second: number,
  ): Promise<readonly string[] | undefined> {
    const tree = await this.#grown(product)
    if (first < 1 || first > second || second > tree.size) return undefined
    return tree.consistency(first, second)
  }

  async #grown(product: string): Promise<MerkleTree> {
    for (;;) {
      const tree = this.#trees.get(product) ?? new MerkleTree()
      const from = tree.size
      const leaves = await logLeaves(this.#engine, product, from, PAGE_LEAVES)
      // two callers may have read the same leaves: each is appended by the first that gets here
      for (const leaf of leaves) if (leaf.index === tree.size) tree.append(leaf.text)
      if (tree.size > 0) this.#trees.set(product, tree)
      if (leaves.length < PAGE_LEAVES) return tree
    }
  }
}
