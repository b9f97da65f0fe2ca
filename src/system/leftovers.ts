import {rmSync} from 'node:fs'

/** Unfinished files that no run may leave behind when it is interrupted. */
const paths = new Set<string>()

/**
 * Names a temporary file until the returned function is called (after the rename, or after its
 * own removal). An interrupted process removes what is still named here.
 */
export function trackLeftover(path: string): () => void {
  paths.add(path)
  return () => {
    paths.delete(path)
  }
}

/** Removes every tracked file; for the process's last moments, so it never throws. */
export function removeLeftovers(): void {
  for (const path of paths) {
    try {
      rmSync(path, {force: true, recursive: true})
    } catch {
      // nothing is left to do for a file that cannot be removed while the process ends
    }
  }
  paths.clear()
}
