/** Edits between two words: insert, delete, replace, swap of neighbours (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1
  const rows = [Array.from({length: width}, (_, column) => column)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j < width; j++) row.push(cheapest(a, b, i, j, rows, row))
    rows.push(row)
  }
  return rows[a.length]?.[b.length] ?? 0
}

function cheapest(
  a: string,
  b: string,
  i: number,
  j: number,
  rows: readonly (readonly number[])[],
  row: readonly number[],
): number {
  const above = rows[i - 1] ?? []
  const replaced = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
  const best = Math.min(replaced, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1)
  const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
  return swapped ? Math.min(best, (rows[i - 2]?.[j - 2] ?? 0) + 1) : best
}

/** Words longer than this are nobody's typing mistake; the distance is quadratic in them. */
const MAX_WORD = 64

/** The known words a typing mistake probably meant, nearest first, at most `limit`. */
export function nearest(word: string, known: Iterable<string>, limit = 1): string[] {
  if (word.length > MAX_WORD) return []
  const reach = Math.max(1, Math.floor(word.length / 3))
  return [...known]
    .map((candidate) => ({candidate, distance: distanceTo(word, candidate)}))
    .filter(({distance}) => distance <= reach)
    .sort((x, y) => x.distance - y.distance || (x.candidate < y.candidate ? -1 : 1))
    .slice(0, limit)
    .map(({candidate}) => candidate)
}

/** A beginning of four letters or more counts as near: `verif` for verify, `sig` does not. */
function distanceTo(word: string, candidate: string): number {
  if (word.length >= 4 && candidate.startsWith(word)) return 1
  return editDistance(word, candidate)
}
