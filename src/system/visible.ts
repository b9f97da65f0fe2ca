/**
 * Text of others, such as a path, as it may stand in a message: every control character, line end
 * and direction mark is spelled out, so that a name cannot begin a line of a log (where
 * `::error::` is a command to GitHub Actions), move the cursor or reorder what is read.
 */
export function visible(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const codePoint = character.codePointAt(0) ?? 0
    return `\\u{${codePoint.toString(16)}}`
  })
}
