/** Words that a POSIX shell takes as they are. */
const plainWord = /^[A-Za-z0-9@%+=:,._/][A-Za-z0-9@%+=:,._/-]*$/

/**
 * A path as one word of a command that people copy: quoted where a shell would read more into it,
 * and never taken for an option. Undo and Next lines, and hints that are commands, pass here.
 */
export function shellWord(path: string): string {
  const word = path.startsWith('-') ? `./${path}` : path
  return plainWord.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** Several paths as the words of a command. */
export function shellWords(paths: readonly string[]): string {
  return paths.map(shellWord).join(' ')
}
