/** What to say of signatures that were left beside something that has just been signed anew. */
export function staleWarnings(paths: readonly string[]): string[] {
  return paths.map((path) => `${path} is of an earlier signing: make it again, or remove it`)
}
